"""A run as a whole: repeatable, resumable bit for bit, undisturbed by its probes and by its neighbours."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn import functional

from bnrepro import data
from bnrepro import run as running
from bnrepro.config import RunConfig
from bnrepro.data import Dataset
from bnrepro.errors import BadInput
from bnrepro.files import read_json, write_json
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import Make
from interruption import stored_state

CPU = torch.device("cpu")
NETWORKS = pytest.mark.parametrize("network", ["mlp", "mlp_bn"])


def load_data(config: RunConfig) -> Dataset:
    return data.load(config.data, Path(config.data_root))


@NETWORKS
def test_the_same_config_gives_the_same_tables(network: str, small: Make, tmp_path: Path) -> None:
    first = run(small(f"network={network}"))
    second = run(small(f"network={network}", f"runs_root={tmp_path / 'again'}"))
    assert first.metrics.read_bytes() == second.metrics.read_bytes()
    assert first.status["status"] == "finished"


def test_a_finished_run_is_not_run_again(small: Make, capsys: pytest.CaptureFixture[str]) -> None:
    record = run(small())
    before = {path.name: path.stat().st_mtime_ns for path in record.folder.iterdir()}
    run(small())
    assert "nothing to do" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in record.folder.iterdir()} == before


@NETWORKS
def test_probes_change_nothing(network: str, small: Make) -> None:
    watched = run(small(f"network={network}"))
    unwatched = run(
        small(f"network={network}", "probes.activation_steps=0", "probes.evaluate_every=1000", "name=unwatched")
    )
    for name, value in stored_state(watched).items():
        assert torch.equal(value, stored_state(unwatched)[name]), name


@NETWORKS
def test_a_replicas_result_does_not_depend_on_its_neighbours(network: str, small: Make) -> None:
    settings = [f"network={network}", "steps=100", "model.init_std=0.5"]
    alone = run(small(*settings, "seeds=[3]")).read_metrics()
    beside = run(small(*settings, "seeds=[0,1,2,3,4]")).read_metrics()
    beside = beside[beside["seed"] == 3].reset_index(drop=True)
    assert (alone[["step", "layer", "unit", "metric"]] == beside[["step", "layer", "unit", "metric"]]).all(axis=None)
    accuracy = alone["metric"] == "accuracy"
    for rows, tolerance in ((accuracy, 2 / 360), (~accuracy, 2e-4)):  # two examples; losses, percentiles, norms
        ours, theirs = (torch.tensor(table.loc[rows, "value"].to_numpy()) for table in (alone, beside))
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=tolerance)


def files(record: Record) -> dict[Path, bytes]:
    """Read all that a run left, but for who held its folder last."""
    return {path: path.read_bytes() for path in record.folder.iterdir() if path.name != "holder.json"}


def test_a_run_that_another_process_ended_meanwhile_is_left_alone(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config, build = small("network=mlp"), running.initial
    left: dict[Path, bytes] = {}

    def meanwhile(*arguments: Any) -> State:
        monkeypatch.setattr(running, "initial", build)
        other = run(config)
        left.update(files(other))
        return build(*arguments)

    monkeypatch.setattr(running, "initial", meanwhile)
    record = run(config)
    assert record.metrics in left
    assert files(record) == left


def test_a_study_that_another_process_ended_meanwhile_is_left_alone(
    small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, locked = small("experiment=theory", "study=exact", "study.trials=3"), Record.locked
    left: dict[Path, bytes] = {}

    def meanwhile(record: Record) -> Any:
        monkeypatch.setattr(Record, "locked", locked)
        run(config)
        left.update(files(record))
        return locked(record)

    monkeypatch.setattr(Record, "locked", meanwhile)
    record = run(config)
    assert record.metrics in left
    assert files(record) == left


@NETWORKS
@pytest.mark.parametrize("step", ["written_out", "autograd"])
def test_one_step_is_plain_gradient_descent(network: str, step: str, small: Make) -> None:
    config = small(f"network={network}", "optim.lr=0.5", f"runtime.step={step}")
    state, beside = (initial(config, load_data(config), CPU) for _ in range(2))
    batch = beside.sampler.next()
    logits = beside.model(batch.images)
    losses = torch.stack([functional.cross_entropy(*of_it) for of_it in zip(logits, batch.labels, strict=True)])
    losses.sum().backward()
    advance(state)
    torch.testing.assert_close(state.loss, losses.detach())
    for (name, p), (_, before) in zip(state.model.named_parameters(), beside.model.named_parameters(), strict=True):
        torch.testing.assert_close(p, before - 0.5 * before.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_it_learns(small: Make) -> None:
    """Digits are easy: with BN a few hundred steps are enough."""
    metrics = run(small("network=mlp_bn", "steps=1000", "optim.lr=1")).read_metrics()
    last = metrics[(metrics["step"] == 1000) & (metrics["metric"] == "accuracy")]
    assert len(last) == 3
    assert last["value"].min() > 0.9


def test_a_folder_with_another_config_is_refused_and_kept(small: Make) -> None:
    record = run(small("name=mine"))
    path = record.folder / "config.json"
    write_json(path, {**read_json(path), "optim.lr": 7.0})
    with pytest.raises(BadInput, match=r"optim\.lr is 7\.0 there and 0\.14 here"):
        run(small("name=mine"))
    assert read_json(path)["optim.lr"] == 7.0


def test_nothing_is_written_when_the_data_is_missing(small: Make, tmp_path: Path) -> None:
    config = small("data=mnist", "data.download=false", f"data_root={tmp_path / 'empty'}")
    with pytest.raises(BadInput):
        run(config)
    assert list(tmp_path.iterdir()) == []


def test_cuda_is_refused_where_there_is_none(small: Make) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    config = small()
    with pytest.raises(BadInput, match=r"runtime\.device is cuda"):
        run(replace(config, runtime=replace(config.runtime, device="cuda")))


def test_tf32_is_refused_where_there_is_no_gpu(small: Make) -> None:
    with pytest.raises(BadInput, match=r"runtime\.precision is tf32: only NVIDIA's GPUs have it"):
        run(small("runtime.device=cpu", "runtime.precision=tf32"))


def test_metrics_are_tidy(small: Make) -> None:
    table = run(small()).read_metrics()
    assert list(table) == ["run", "seed", "lr", "step", "split", "layer", "unit", "metric", "value"]
    keys = ["seed", "step", "split", "layer", "unit", "metric"]
    assert not table.duplicated(keys).any()
    assert isinstance(table, pd.DataFrame)
    assert set(table["metric"]) == {
        *("accuracy", "loss", "weight_norm", "gradient_norm"),
        *("input_p15", "input_p50", "input_p85"),
    }

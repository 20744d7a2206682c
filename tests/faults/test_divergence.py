"""A replica whose loss is NaN or infinite is recorded with its step; its neighbours, and its sweep, go on."""

from pathlib import Path

import pytest
import torch

import children
from bnrepro import data
from bnrepro import run as running
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import initial
from bnrepro.train import advance
from conftest import Make
from interruption import interrupted


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
@pytest.mark.parametrize("step", ["written_out", "autograd"])
@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_a_replica_that_diverges_is_marked_and_leaves_the_others_alone(
    value: str, step: str, network: str, small: Make
) -> None:
    config = small(f"network={network}", f"runtime.step={step}")
    dataset = data.load(config.data, Path("nowhere"))
    healthy, poisoned = (initial(config, dataset, torch.device("cpu")) for _ in range(2))
    for number in range(1, 11):
        if number == 4:
            with torch.no_grad():
                poisoned.model.output.weight[1, 0, 0] = float(value)
        advance(healthy)
        advance(poisoned)
    assert poisoned.diverged_at.tolist() == [0, 4, 0]
    assert healthy.diverged_at.tolist() == [0, 0, 0]
    assert running.diverged(config, poisoned) == {"1": 4}
    for name, tensor in healthy.model.state_dict().items():
        for r in (0, 2):
            assert torch.equal(tensor[r], poisoned.model.state_dict()[name][r]), name


def test_a_diverging_run_ends_diverged_and_is_recorded(small: Make) -> None:
    record = run(small("optim.lr=1e38", "probes.activation_steps=3"))
    assert record.status["status"] == "diverged"
    assert set(record.status["diverged"]) == {"0", "1", "2"}
    assert record.ended


@pytest.mark.parametrize("step", ["written_out", "autograd"])
def test_a_run_whose_last_update_diverges_is_recorded_too(step: str, small: Make) -> None:
    """Its losses were finite: each is taken before the update."""
    record = run(small("model.nonlinearity=relu", "optim.lr=1e38", "steps=1", f"runtime.step={step}"))
    assert record.status["status"] == "diverged"
    assert record.status["diverged"] == {"0": 1, "1": 1, "2": 1}


def test_a_run_that_goes_on_knows_when_its_replicas_diverged(small: Make, tmp_path: Path) -> None:
    settings = ["network=mlp", "model.nonlinearity=relu", "optim.rates=[0.1,1e38]", "runtime.checkpoint_every=5"]
    undisturbed = run(small(*settings, f"runs_root={tmp_path / 'undisturbed'}"))
    config = small(*settings)
    interrupted(config, 12)
    assert run(config).status["diverged"] == undisturbed.status["diverged"]
    assert 1 <= max(undisturbed.status["diverged"].values()) < 5


def test_a_run_that_diverges_is_no_failure_of_its_sweep(tmp_path: Path) -> None:
    jobs = ["-m", "network=mlp", "model.nonlinearity=relu", "optim.lr=0.1,1e38", "seeds=[0]", "steps=20"]
    code, said = children.finish(children.train, tmp_path / "said", *jobs, f"runs_root={tmp_path / 'runs'}")
    assert code == 0, said
    records = [Record(path.parent) for path in (tmp_path / "runs").rglob("status.json")]
    ends = {record.config["optim.lr"]: record.status["status"] for record in records}
    assert ends == {0.1: "finished", 1e38: "diverged"}

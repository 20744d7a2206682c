"""A run that stops anywhere ends like an undisturbed one; what would not be the same is refused."""

import os
import socket
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

import children
from bnrepro import checkpoint, data, tables
from bnrepro import run as running
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.files import read_json, write_json
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import initial
from conftest import Make, load
from interruption import interrupted, stored_state


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
@pytest.mark.parametrize("stop", [7, 24, 40, 59])
def test_an_interrupted_run_ends_like_an_undisturbed_one(network: str, stop: int, small: Make, tmp_path: Path) -> None:
    """Stops before the first checkpoint, in an epoch, at its end (24 mini-batches), before the last step."""
    settings = [f"network={network}", "runtime.checkpoint_every=8", "batch_size=60"]
    undisturbed = run(small(*settings, f"runs_root={tmp_path / 'undisturbed'}"))
    config = small(*settings)
    interrupted(config, stop)
    assert Record.of(config).status["status"] == "failed"
    assert not Record.of(config).ended
    resumed = run(config)
    assert resumed.metrics.read_bytes() == undisturbed.metrics.read_bytes()
    for name, value in stored_state(undisturbed).items():
        assert torch.equal(value, stored_state(resumed)[name]), name


SMALL_IMAGES = ["data=shapes", "data.train_images=100", "data.test_images=50", "data.train_examples=0"]
SMALL_IMAGES += ["data.test_examples=0", "model.width=0.0625", "probes.activation_examples=20", "batch_size=8"]


@pytest.mark.parametrize(
    "settings",
    [
        ["network=mlp_bn", "runtime.step=autograd", "optim.momentum=0.9", "optim.half_life=0.5", "optim.l2=0.01"],
        ["network=mlp", "optim.rates=[0.1,1]"],
        ["network=bn_baseline", "runtime.precision=bfloat16", "seeds=[0]", *SMALL_IMAGES],
    ],
    ids=["autograd", "rates", "bfloat16"],
)
def test_so_does_one_of_another_step(settings: list[str], small: Make, tmp_path: Path) -> None:
    settings += ["steps=16", "runtime.checkpoint_every=5"]
    undisturbed = run(small(*settings, f"runs_root={tmp_path / 'undisturbed'}"))
    config = small(*settings)
    interrupted(config, 12)
    assert run(config).metrics.read_bytes() == undisturbed.metrics.read_bytes()


def train_as(rank: int, port: int, config: RunConfig) -> None:
    """Train as one of two processes that torchrun would have started."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ.update({**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"})
    run(config)


def two_ranks(said: Path, config: RunConfig) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [children.start(train_as, said / str(rank), rank, port, config) for rank in range(2)]


def test_two_ranks_that_are_killed_end_like_undisturbed_ones(tmp_path: Path) -> None:
    overrides = ["network=mlp_bn", "norm.synchronised=true", "seeds=[0,1]", "steps=60", "probes.evaluate_every=20"]
    overrides += ["runtime.checkpoint_every=10", "name=two"]
    config = load([*children.SMALL, *overrides])
    roots = {name: tmp_path / name / "runs" for name in ("killed", "again", "alone")}
    roots["again"] = roots["killed"]

    def begin(name: str) -> list[BaseProcess]:
        (tmp_path / name).mkdir()
        return two_ranks(tmp_path / name, replace(config, runs_root=str(roots[name])))

    ranks = begin("killed")
    end = time.monotonic() + 120
    while not list(tmp_path.rglob("checkpoint.pt")):
        assert time.monotonic() < end, (tmp_path / "killed/0").read_text()
        time.sleep(0.01)
    for rank in ranks:
        rank.kill()
        rank.join()
    for name in ("again", "alone"):
        for rank in begin(name):
            rank.join(120)
            assert rank.exitcode == 0, (tmp_path / name / "0").read_text()
    assert "going on from step" in (tmp_path / "again/0").read_text()
    folders = [next(roots[name].rglob("config.json")).parent for name in ("again", "alone")]
    disturbed, undisturbed = map(Record, folders)
    assert disturbed.config["runtime.processes"] == 2
    assert disturbed.metrics.read_bytes() == undisturbed.metrics.read_bytes()
    for name, value in stored_state(undisturbed).items():
        assert torch.equal(value, stored_state(disturbed)[name]), name
    single = run(replace(config, runs_root=str(tmp_path / "single")))
    first = "metric == 'loss' and step == 20"  # later what rounding adds has grown
    ours, one = (record.read_metrics().query(first)["value"] for record in (undisturbed, single))
    np.testing.assert_allclose(ours, one, rtol=1e-3)
    assert len(one) == 4  # of two seeds, on two splits


def test_a_run_goes_on_from_any_step(small: Make) -> None:
    """At the paper's size there are 31 million, more than float32 can count."""
    config = small("network=mlp", "steps=31000002", "probes.activation_steps=0", "runtime.checkpoint_every=5")
    record = interrupted(config, 12)
    state = initial(config, data.load(config.data, Path("nowhere")), torch.device("cpu"))
    begun = checkpoint.restore(record.checkpoint, config, state)
    assert begun
    state.step = 31_000_001
    checkpoint.save(record.checkpoint, config, state, begun)
    assert run(config).status["step"] == 31_000_002


def test_a_run_does_not_go_on_with_other_data(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small("steps=60", "runtime.checkpoint_every=20")
    interrupted(config, 45)
    made_by = running.provenance
    monkeypatch.setattr(running, "provenance", lambda *where, **of: {**made_by(*where, **of), "data_sha256": "other"})
    before = Record.of(config).metrics.read_bytes()
    with pytest.raises(BadInput, match=r"is of other data: their SHA-256 is .* there and other now"):
        run(config)
    assert Record.of(config).metrics.read_bytes() == before


def test_a_run_that_others_resume_says_so(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small("steps=60", "runtime.checkpoint_every=20")
    interrupted(config, 45)
    made_by = running.provenance
    monkeypatch.setattr(running, "provenance", lambda *where, **of: {**made_by(*where, **of), "commit": "another"})
    record = run(config)
    begun, *later = [record.provenance, *record.provenance["resumed"]]
    assert [(part["step"], part["commit"]) for part in later] == [(40, "another")]
    assert tables.runs([record], [""])["commit"].item() == f"{begun['commit']}, then another"


def test_a_changed_config_is_refused_with_the_keys_that_differ(small: Make) -> None:
    config = small("steps=30", "runtime.checkpoint_every=10")
    record = interrupted(config, 20)
    path = record.folder / "config.json"
    write_json(path, {**read_json(path), "optim.lr": 7.0, "runtime.threads": 2, "runtime.processes": 2})
    with pytest.raises(BadInput, match=r"optim\.lr is 7\.0 there .*processes is 2 there.*threads is 2 there"):
        run(config)


@pytest.mark.parametrize("override", ["runtime.threads=2", "runtime.processes=2", "steps=61"])
def test_what_changes_the_last_bits_is_another_run(override: str, small: Make) -> None:
    assert Record.of(small(override)).folder != Record.of(small()).folder

"""Two processes that train one network, over Gloo on this machine's CPU, against one process."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bnrepro import data
from bnrepro.compose import load
from bnrepro.errors import BadInput
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import initial

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
MLP = ["data=digits", "seeds=[0,1]"]
SYNCHRONISED = ["network=mlp_bn", "norm.synchronised=true", *MLP]
SLOW = pytest.mark.slow
INCEPTION = ["data=shapes", "data.train_images=200", "data.test_images=60", "data.train_examples=0"]
INCEPTION += ["data.test_examples=0", "model.width=0.0625", "probes.activation_examples=20", "steps=6"]


def start(root: Path, *overrides: str) -> subprocess.Popen[str]:
    where = ["scale=smoke", "runtime.device=cpu", f"runs_root={root}", "runtime.progress_seconds=1000"]
    command = [*TORCHRUN, str(ROOT / "scripts/train.py"), *where, *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def together(root: Path, *overrides: str) -> tuple[Record, str]:
    """Run in two processes; return the record, and what was printed."""
    job = start(root, *overrides)
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said
    (status,) = root.rglob("status.json")
    return Record(status.parent), said


def alone(root: Path, *overrides: str) -> Record:
    return run(load(["scale=smoke", "runtime.device=cpu", f"runs_root={root}", *overrides]))


def state(record: Record) -> dict[str, torch.Tensor]:
    content = record.checkpoint.read_bytes()[32:]
    path = record.folder / "state.pt"
    path.write_bytes(content)
    model: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state"]["model"]
    return {name: value for name, value in model.items() if value.is_floating_point()}


def compare(ours: Record, one: Record, tolerance: float) -> None:
    expected = state(one)
    for name, value in state(ours).items():
        torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance)
    two, single = ours.read_metrics(), one.read_metrics()
    keys = ["seed", "step", "split", "layer", "unit", "metric"]
    joined = two.merge(single, on=keys, suffixes=("_two", "_one"))
    assert len(joined) == len(two) == len(single)
    np.testing.assert_allclose(joined["value_two"], joined["value_one"], rtol=20 * tolerance, atol=20 * tolerance)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["network=mlp", *MLP], id="mlp", marks=SLOW),
        pytest.param(["network=mlp_bn", "norm.synchronised=true", "norm.population=exact", *MLP], id="BN", marks=SLOW),
        pytest.param(
            ["network=mlp_bn", "norm.synchronised=true", "norm.population=moving", *MLP], id="moving", marks=SLOW
        ),
        pytest.param(["network=inception", *INCEPTION], id="inception", marks=SLOW),  # dropout, LRN, augmentation
    ],
)
def test_two_processes_train_what_one_does(overrides: list[str], tmp_path: Path) -> None:
    ours, said = together(tmp_path / "two", *overrides)
    assert ours.config["runtime.processes"] == 2
    assert said.count("step ") == 1  # the first process alone speaks
    compare(ours, alone(tmp_path / "one", *overrides), tolerance=2e-5)


@SLOW
def test_without_synchronising_bn_is_over_each_share(tmp_path: Path) -> None:
    overrides = ["network=mlp_bn", *MLP, "steps=1"]
    ours, _ = together(tmp_path / "two", *overrides)
    settings = load(["scale=smoke", *overrides])
    dataset = data.load(settings.data, tmp_path)
    one = initial(settings, dataset, torch.device("cpu"))
    x = one.model.linears[0](one.sampler.next().images)  # (R, B, C)
    variances = [share.var(dim=1) for share in x.chunk(2, dim=1)]
    expected = 0.9 * 1 + 0.1 * torch.stack(variances).mean(dim=0)
    torch.testing.assert_close(state(ours)["norms.0.running_var"], expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(expected, 0.9 + 0.1 * x.var(dim=1), rtol=1e-4)


@SLOW
def test_a_killed_process_ends_the_job_and_it_resumes(tmp_path: Path) -> None:
    overrides = ["network=mlp_bn", *MLP, "steps=3000", "runtime.checkpoint_every=50", "probes.evaluate_every=500"]
    overrides += ["probes.activation_steps=0", "name=killed"]
    job = start(tmp_path / "two", *overrides)
    end = time.monotonic() + 120
    while not any((tmp_path / "two").rglob("checkpoint.pt")):
        assert time.monotonic() < end
        time.sleep(0.1)
    ranks = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(ranks[1]), signal.SIGKILL)
    job.communicate(timeout=120)
    assert job.returncode != 0
    record, again = together(tmp_path / "two", *overrides)
    assert "going on from step" in again
    whole, _ = together(tmp_path / "undisturbed", *overrides)
    pd.testing.assert_frame_equal(record.read_metrics(), whole.read_metrics(), check_exact=True)


@SLOW
def test_processes_that_find_different_checkpoints_are_refused(tmp_path: Path) -> None:
    """As on two machines whose folders of runs are not the same."""
    overrides = ["network=mlp_bn", *MLP, "steps=3000", "runtime.checkpoint_every=50", "name=apart"]

    def ranks(port: int) -> list[subprocess.Popen[str]]:
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}
        return [
            subprocess.Popen(
                [
                    *(sys.executable, str(ROOT / "scripts/train.py"), "scale=smoke", "runtime.device=cpu", *overrides),
                    f"runs_root={tmp_path / str(rank)}",
                ],
                env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": "0"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(2)
        ]

    first = ranks(29511)
    end = time.monotonic() + 120
    while not any(tmp_path.rglob("checkpoint.pt")):
        assert time.monotonic() < end
        time.sleep(0.1)
    for job in first:
        job.kill()
        job.communicate()
    for job in ranks(29512):
        said, _ = job.communicate(timeout=120)
        assert job.returncode == 2
        assert "runs_root must be a folder that all of them share" in said


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["network=mlp", "batch_size=61"], "batch_size is 61, of all 2 processes together: it must be a multiple of 2"),
        (["network=mlp_bn", "batch_size=2"], "it must be a multiple of 2, 4 or more"),
        (["study=exact", "network=mlp_bn"], "study exact runs in one process"),
        (["network=mlp", "runtime.processes=4"], "runtime.processes is 4: torchrun has started 2"),
    ],
)
def test_what_does_not_fit_the_processes_is_refused(
    overrides: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun sets it
    with pytest.raises(BadInput, match=re.escape(says)):
        alone(tmp_path, *MLP, *overrides)
    assert not list(tmp_path.rglob("config.json"))

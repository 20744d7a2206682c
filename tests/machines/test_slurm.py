"""Sweeps on a real Slurm of one node, which ``make test-slow`` starts and stops (slurm.sh); skipped without it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from bnrepro.compose import load
from bnrepro.record import Record
from bnrepro.run import run

ROOT = Path(__file__).resolve().parents[2]
CONF = Path("/run/bnrepro-slurm/slurm.conf")
ENVIRONMENT = {**os.environ, "SLURM_CONF": str(CONF)}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CONF.exists(), reason="no Slurm was started: make test-slow"),
]


def slurm(*command: str) -> str:
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.strip()


def submit(root: Path, *overrides: str) -> subprocess.Popen[str]:
    script = [sys.executable, str(ROOT / "scripts/train.py"), "-m", "hydra/launcher=slurm"]
    where = ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={root}", "hydra.launcher.partition=low"]
    command = [*script, *where, *overrides]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def wait_for(what: str, seconds: float, come: object) -> None:
    assert callable(come)
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end, f"{what} did not come in {seconds:.0f} s: {slurm('squeue')}"
        time.sleep(0.2)


def undisturbed(root: Path, *overrides: str) -> pd.DataFrame:
    where = ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={root}"]
    return run(load([*where, *overrides])).read_metrics()


def test_a_sweep_runs_on_slurm_and_says_what_did_not_end(tmp_path: Path) -> None:
    job = submit(tmp_path / "runs", "network=mlp,mlp_bn", "steps=20", "batch_size=60,100000")
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 1, said
    assert "2 of 4 runs did not end" in said
    assert "network=mlp_bn steps=20 batch_size=100000: not begun" in said
    ended = [Record(path.parent) for path in (tmp_path / "runs").rglob("status.json")]
    assert sorted(record.config["network"] for record in ended if record.ended) == ["mlp", "mlp_bn"]


@pytest.mark.parametrize("how", ["time limit", "preemption"])
def test_a_job_that_must_go_resumes_in_its_folder(how: str, tmp_path: Path) -> None:
    overrides = ["network=mlp_bn", "steps=6000", "runtime.checkpoint_every=1000000", "probes.activation_steps=0"]
    job = submit(tmp_path / "runs", *overrides)
    here = ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={tmp_path / 'runs'}", *overrides]
    record = Record.of(load(here))
    wait_for("the run", 120, lambda: record.folder.exists() and any(record.folder.glob("events.out.*")))
    time.sleep(2)
    number = slurm("squeue", "-h", "-p", "low", "-o", "%A").splitlines()[0]
    if how == "time limit":
        slurm("scancel", "--signal=USR2", number)  # what Slurm sends before the limit
    else:
        slurm("sbatch", "-p", "high", "--exclusive", "--wrap", "sleep 5", "-o", "/dev/null")
    wait_for("the run's end", 120, lambda: record.status["status"] == "stopped")
    assert record.checkpoint.exists()
    step = record.status["step"]
    assert 0 < step < 6000
    said, _ = job.communicate(timeout=600)
    assert job.returncode == 0, said
    assert record.status["status"] == "finished"
    logs = "".join(path.read_text() for path in (tmp_path / "runs").rglob("*_log.out"))
    assert f"going on from step {step:,}" in logs
    expected = undisturbed(tmp_path / "alone", *overrides)
    pd.testing.assert_frame_equal(record.read_metrics(), expected, check_exact=True)

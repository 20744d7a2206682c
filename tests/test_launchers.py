"""Sweeps from the command line: side by side, by search, given again, and when a job dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import children
from bnrepro.compose import choices, grid
from bnrepro.errors import BadInput
from bnrepro.machine import cores
from bnrepro.record import Record
from bnrepro.run import run
from conftest import load

ROOT = Path(__file__).resolve().parents[1]
WHERE = ["scale=smoke", "data=digits", "runtime.device=cpu", "steps=20"]


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "scripts/train.py"), *WHERE, f"runs_root={root}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def sweep(root: Path, *arguments: str) -> tuple[int, str]:
    job = start(root, *arguments)
    said, _ = job.communicate(timeout=300)
    return job.returncode, said


def test_a_sweep_side_by_side_goes_past_a_bad_run_and_runs_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = ["-m", "hydra/launcher=local", "network=mlp_bn", "batch_size=60,100000"]
    code, said = sweep(tmp_path, *jobs)
    assert code == 1
    assert "1 of 2 runs did not end; the same command runs only these:" in said
    assert "network=mlp_bn batch_size=100000: not begun, or damaged; its own output says why" in said
    assert said.count("error: batch_size is 100000: there are ") == 1
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.parquet")}
    assert len(written) == 1
    assert run(load([*WHERE, "network=mlp_bn", f"runs_root={tmp_path}"])).ended  # whatever the launcher
    assert capsys.readouterr().out.count("finished already, nothing to do") == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.parquet")} == written


@pytest.mark.slow
def test_a_killed_worker_ends_the_sweep_with_checkpoints_and_what_is_missing(tmp_path: Path) -> None:
    jobs = ["-m", "hydra/launcher=local", "hydra.launcher.n_jobs=2", "network=mlp,mlp_bn", "steps=100000"]
    job = start(tmp_path, *jobs, "runtime.checkpoint_every=20")
    end = time.monotonic() + 120
    while sum(1 for _ in tmp_path.rglob("checkpoint.pt")) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    workers = subprocess.run(["pgrep", "-f", "loky"], capture_output=True, text=True, check=True).stdout.split()
    ours = [int(pid) for pid in workers if _parent(int(pid)) == job.pid]
    os.kill(ours[-1], signal.SIGKILL)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 1
    assert "a job was killed and took its launcher along; the same command goes on" in said
    assert "2 of 2 runs did not end; the same command runs only these:" in said
    assert said.count("network=mlp") == 2
    assert "Traceback" not in said
    assert all(Record(path.parent).status["step"] > 0 for path in tmp_path.rglob("config.json"))


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


@pytest.mark.slow
def test_a_search_asks_for_the_same_runs_again(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    search = ["-m", "hydra/sweeper=search", "optim.lr=tag(log,interval(0.01,10))", "hydra.sweeper.n_trials=3"]
    code, said = sweep(tmp_path, *search)
    assert code == 2
    assert "data.held_out is 0: a search chooses by training images kept aside" in said
    code, said = sweep(tmp_path, *search, "data.held_out=300")
    assert code == 0, said
    found = [Record(path.parent) for path in tmp_path.rglob("config.json")]
    assert len({record.config["optim.lr"] for record in found}) == 3
    code, said = sweep(tmp_path, *search, "data.held_out=300")
    assert said.count("finished already, nothing to do") == 3
    found_by_each = [path.read_text() for path in tmp_path.glob(".hydra/*/optimization_results.yaml")]
    best = found_by_each[0]
    assert found_by_each == [best, best]  # a search has a folder of its own
    final = {}
    for record in found:
        accuracy = record.read_metrics().query("split == 'held_out' and metric == 'accuracy'")
        final[record.config["optim.lr"]] = accuracy.groupby("seed")["value"].apply(lambda v: v.tail(5).mean()).mean()
    assert f"optim.lr: {max(final, key=lambda lr: final[lr])}" in best


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", "hydra/launcher=clurm"], "unknown hydra/launcher 'clurm'; allowed: local, slurm"),
        (["-m", "hydra/launcher=submitit"], "unknown hydra/launcher 'submitit'; allowed: local, slurm"),
        (["-m", "optim.lr=choice()"], "optim.lr=choice(): it cannot be read"),
        (["-m", "network=mlp,mlp_bn,mlp"], "mlp stands twice in the sweep; name each value once"),
    ],
)
def test_what_is_no_sweep_is_refused_before_anything_starts(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = children.script("train.py", *WHERE, f"runs_root={tmp_path}", *arguments, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert says in done.err
    assert not list(tmp_path.iterdir())


def test_what_slurm_does_not_take_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    for name in ("sbatch", "srun"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpus' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    code, said = sweep(tmp_path / "runs", "-m", "hydra/launcher=slurm", "hydra.launcher.partition=gpus")
    assert code == 2
    assert "Traceback" not in said
    assert "error: error:" not in said
    assert said.count("invalid partition specified: gpus") == said.count("error: Slurm took no job") == 1


def test_grids_and_choices() -> None:
    assert {"network=mlp", "network=mlp_bn"} <= set(choices("network=glob(mlp*)") or [])
    assert choices("optim.lr=0.1") is None
    assert choices("optim.lr=0.1,0.2") == ["optim.lr=0.1", "optim.lr=0.2"]
    assert choices("seeds=[0],[1]") == ["seeds=[0]", "seeds=[1]"]
    assert choices("optim.lr=interval(0.1,1)") is None
    with pytest.raises(BadInput, match="twice"):
        choices("steps=1,1")
    narrowed = grid(["experiment=fig1", "optim.lr=0.1,0.2"])
    assert len(narrowed) == 4
    assert len({tuple(job) for job in narrowed}) == 4


def test_the_local_launcher_divides_the_cores_among_the_runs() -> None:
    from hydra import compose, initialize_config_dir

    for threads in (1, 2):
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            overrides = ["hydra/launcher=local", f"runtime.threads={threads}"]
            composed = compose("config", overrides, return_hydra_config=True)
            assert composed.hydra.launcher.n_jobs == max(1, cores() // threads)

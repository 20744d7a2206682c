"""A signal ends a run with a checkpoint, and the same command goes on as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import children
from bnrepro import checkpoint, probes
from bnrepro.probes import Measurement
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import State
from bnrepro.stopping import Stopped, StopRequest, leaving
from conftest import load
from interruption import Interrupted

runs = sys.modules[run.__module__]
ROOT = Path(__file__).resolve().parents[2]
SMALL = ["scale=smoke", "data=digits", "runtime.device=cpu"]
SMOKE = ["--scale", "smoke", "--data", "digits", "--experiment", "fig1"]
RUN = ["network=mlp_bn", "steps=1500", "probes.evaluate_every=100", "probes.activation_steps=3", "seeds=[0,1]"]


def settings(root: Path) -> list[str]:
    return ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={root}", *RUN]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return run(load(settings(tmp_path_factory.mktemp("alone")))).read_metrics()


def signalled(signum: int, folder: Path, *overrides: str) -> tuple[int | None, list[str]]:
    """Train until a step is told, then signal; return the exit code, and the lines of output."""
    said = folder / "said"
    os.mkfifo(said)
    process = children.start(children.train, said, *overrides, "runtime.progress_seconds=0.1")
    with said.open() as output:
        lines = [output.readline()]
        assert " step " in lines[0]
        assert process.pid
        os.kill(process.pid, signum)
        lines += output.readlines()
    process.join(60)
    return process.exitcode, lines


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_with_a_checkpoint(
    signum: int, code: int, tmp_path: Path, undisturbed: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load(settings(tmp_path / "runs"))
    rare = "runtime.checkpoint_every=1000000"
    ended, lines = signalled(signum, tmp_path, *settings(tmp_path / "runs"), rare)
    assert ended == code
    assert lines[-1] == "stopped; the same command goes on from the last checkpoint\n"
    assert all(" step " in line for line in lines[:-1])  # one line is said of it
    record = Record.of(config)
    assert record.status["status"] == "stopped"
    assert 0 < (step := record.status["step"]) < 1500
    pd.testing.assert_frame_equal(run(config).read_metrics(), undisturbed, check_exact=True)
    assert f"going on from step {step}" in capsys.readouterr().out


def test_a_signal_ends_a_sweep_side_by_side_with_checkpoints(tmp_path: Path) -> None:
    """To the command alone, which sends it on."""
    jobs = ["-m", "hydra/launcher=local", "hydra.launcher.n_jobs=2", "network=mlp,mlp_bn", "seeds=[0],[1]"]
    script = [sys.executable, str(ROOT / "scripts/train.py"), *SMALL, f"runs_root={tmp_path}", *jobs, "steps=1000000"]
    with subprocess.Popen(script, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as command:
        end = time.monotonic() + 120
        while sum(1 for _ in tmp_path.rglob("events.out.*")) < 2:  # two train
            assert time.monotonic() < end
            time.sleep(0.05)
        workers = _children(command.pid)
        command.terminate()
        _, said = command.communicate(timeout=120)
    assert command.returncode == 143
    assert said.splitlines() == ["stopped; the same command goes on from the last checkpoint"]
    ends = [Record(path.parent).status for path in tmp_path.rglob("config.json")]
    assert [status["status"] for status in ends] == ["stopped"] * 2  # the other two have not begun
    assert len(workers) >= 2
    while any(_parent(pid) >= 0 for pid in workers):  # they have nothing left to do, and end
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_signal_ends_a_sweep_side_by_side_with_room_for_one(tmp_path: Path) -> None:
    jobs = ["-m", "hydra/launcher=local", "hydra.launcher.n_jobs=1", "network=mlp,mlp_bn", "steps=1000000"]
    code, lines = signalled(signal.SIGTERM, tmp_path, *jobs, f"runs_root={tmp_path / 'runs'}")
    assert code == 143
    assert lines[-1] == "stopped; the same command goes on from the last checkpoint\n"
    assert all(" step " in line for line in lines[:-1])
    (status,) = [Record(path.parent).status for path in tmp_path.rglob("config.json")]
    assert status["status"] == "stopped"


def _children(pid: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(int(path.name)) == pid]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


LONG = {  # what does not end while it is tested: Python's sleep, and one operation of torch
    "Python": "import time; from bnrepro.stopping import *\nwith StopRequest(): print(flush=True); time.sleep(60)",
    "torch": (
        "import torch; from bnrepro.stopping import StopRequest\na = torch.ones(7000, 7000, dtype=torch.float64)\n"
        "with StopRequest():\n print(flush=True)\n a @ a\n a @ a\n a @ a"
    ),
}


@pytest.mark.parametrize("code", list(LONG.values()), ids=list(LONG))
def test_a_second_signal_ends_at_once(code: str) -> None:
    """Though Python's own handlers wait for an operation's end."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize(
    "script", [["train.py", "network=mlp", *SMALL], ["reproduce.py", *SMOKE]], ids=["train", "reproduce"]
)
def test_a_signal_before_anything_is_at_work_is_one_line(
    script: list[str], signum: int, code: int, tmp_path: Path
) -> None:
    """As it starts: it imports, composes, reads the data. The first tenths of a second are Python's own."""
    command = [sys.executable, str(ROOT / "scripts" / script[0]), *script[1:]]
    for seconds in (0.5, 1.5):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as it:
            time.sleep(seconds)
            it.send_signal(signum)
            _, said = it.communicate(timeout=60)
        assert it.returncode == code, said
        assert len(said.splitlines()) == 1, said
        assert said.startswith("stopped; the same command")


def test_handlers_that_others_have_set_stay_while_nothing_is_at_work() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with leaving():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "script", [["train.py", "network=mlp", *SMALL], ["reproduce.py", *SMOKE]], ids=["train", "reproduce"]
)
def test_whatever_reads_the_output_may_leave(script: list[str], tmp_path: Path) -> None:
    done = children.script(*script, folder=tmp_path, before=partial(children.nobody_reads, 1))
    assert done.code == 1
    said = "error: the output cannot be written; the same command goes on from the last checkpoint"
    assert done.err.splitlines() == [said]


def reproduce_long_runs(where: str) -> None:
    """Do what make reproduce does, in the folder ``where``, with runs that do not end while they are watched."""
    from bnrepro import jobs, reproduce

    def plan(*given: Any) -> list[jobs.Job]:
        longer = []
        for job in short(*given):
            overrides = [*job.overrides, "steps=1000000", "runtime.progress_seconds=0.1"]
            config = load([*overrides, "runs_root=runs/smoke"])
            longer.append(jobs.Job(job.experiment, overrides, config, Record.of(config)))
        return longer

    os.chdir(where)
    short, reproduce.plan = reproduce.plan, plan
    sys.exit(reproduce.main(SMOKE))


@pytest.mark.parametrize("how", ["a signal", "its output is closed"])
def test_make_reproduce_stops_its_runs_with_checkpoints(how: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    os.mkfifo(said)
    process = children.start(reproduce_long_runs, said, str(tmp_path))
    lines = []
    with said.open() as output:
        while not lines or " step " not in lines[-1]:
            lines.append(output.readline())
            assert lines[-1], lines
        if how == "a signal":
            assert process.pid
            os.kill(process.pid, signal.SIGTERM)
            lines += output.readlines()
            assert lines[-1] == "stopped; the same command goes on from the last checkpoints\n"
            assert "Traceback" not in "".join(lines)
    process.join(60)
    assert process.exitcode == (143 if how == "a signal" else 1)
    ends = [path.parent for path in tmp_path.rglob("status.json")]
    assert ends
    for folder in ends:
        assert Record(folder).status["status"] == ("stopped" if how == "a signal" else "failed")
        assert Record(folder).checkpoint.exists() or how != "a signal"
        assert not Record(folder).held


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_the_output_is_not_the_runs_folder(tmp_path: Path) -> None:
    full = partial(children.redirect, 1, "/dev/full")
    done = children.script("train.py", "network=mlp", *SMALL, "steps=2", folder=tmp_path, before=full)
    assert done.code == 1
    said = "error: the output cannot be written; the same command goes on from the last checkpoint"
    assert done.err.splitlines() == [said]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_where_nobody_can_be_told_the_exit_code_says_it(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/train.py"), "network=mlp", *SMALL, "optim.lr=-1"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


def test_the_slurm_job_is_queued_again_at_the_end_not_in_the_middle() -> None:
    requeued: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda signum, frame: requeued.append(signum))
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop.came()
            assert requeued == []
            with pytest.raises(Stopped):  # submitit's handler ends the process; this one comes back
                stop.obey()
            assert requeued == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)]
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)] == before


@pytest.mark.parametrize("step", [41, 60])
def test_a_signal_in_the_last_step_ends_the_run_and_no_other_begins(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Signal:
        def when(self, now: int) -> bool:
            return now == step

        def measure(self, state: State) -> list[Measurement]:
            signal.raise_signal(signal.SIGTERM)
            return []

    config = load(["scale=smoke", "data=digits", "runtime.device=cpu", "steps=60", f"runs_root={tmp_path}"])
    build = probes.build
    monkeypatch.setattr(probes, "build", lambda c, d: [*build(c, d), Signal()])
    with pytest.raises(Stopped):
        run(config)
    assert Record.of(config).status["status"] == ("finished" if step == 60 else "stopped")
    assert Record.of(config).status["step"] == step  # no step more


@pytest.mark.parametrize("how", ["a signal", "its machine failed"])
def test_what_comes_while_a_run_ends_loses_nothing(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions take minutes there."""
    config = load(["scale=smoke", "data=digits", "runtime.device=cpu", "steps=60", f"runs_root={tmp_path / 'runs'}"])
    original, calls = runs._end, []

    def ending(*given: Any, **named: Any) -> None:
        calls.append(checkpoint.restore(Record.of(config).checkpoint, config, given[3]))
        if len(calls) == 1:
            if how != "a signal":
                raise Interrupted
            signal.raise_signal(signal.SIGTERM)
        original(*given, **named)

    monkeypatch.setattr(runs, "_end", ending)
    with pytest.raises(Stopped if how == "a signal" else Interrupted):
        run(config)
    assert calls[0]  # there was a checkpoint
    record = run(config)
    assert record.status["status"] == "finished"
    assert len(calls) == (1 if how == "a signal" else 2)
    alone = run(
        load(["scale=smoke", "data=digits", "runtime.device=cpu", "steps=60", f"runs_root={tmp_path / 'alone'}"])
    )
    assert record.metrics.read_bytes() == alone.metrics.read_bytes()

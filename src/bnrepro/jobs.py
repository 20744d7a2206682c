"""The runs of a scale, as jobs: planned, listed with their costs, and run side by side."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bnrepro.compose import grid, load
from bnrepro.config import RunConfig, TrainingConfig
from bnrepro.record import Record
from bnrepro.stopping import StopRequest

TRAIN = Path(__file__).resolve().parents[2] / "scripts" / "train.py"


@dataclass(frozen=True)
class Job:
    """One run of an experiment: the overrides that a person would type, and what they lead to."""

    experiment: str
    overrides: list[str]
    config: RunConfig
    record: Record

    @property
    def command(self) -> str:
        """The command line that makes this run."""
        return " ".join(["python scripts/train.py", *self.overrides])


def plan(scale: str, data_of: dict[str, str], device: str, runs_root: Path) -> list[Job]:
    """List the jobs of a scale: every experiment's own grid."""
    jobs = []
    for experiment, data in data_of.items():
        for overrides in grid([f"experiment={experiment}", f"scale={scale}", f"data={data}"]):
            config = load([*overrides, f"runtime.device={device}", f"runs_root={runs_root}"])
            jobs.append(Job(experiment, overrides, config, Record.of(config)))
    return jobs


def list_runs(jobs: list[Job]) -> int:
    """Say of every job how far it is and what the whole of it costs; start nothing."""
    from bnrepro.dry_run import describe

    for job in jobs:
        print(describe(job.config, job.record), flush=True)
    missing = [job for job in jobs if not job.record.ended]
    print(f"{len(jobs)} runs, {len(missing)} of them to go; nothing was started")
    return 0


def announce(jobs: list[Job]) -> None:
    """Print what the runs of each experiment cost, before any starts."""
    from bnrepro.dry_run import cost_of

    for experiment in dict.fromkeys(job.experiment for job in jobs):
        configs = [job.config for job in jobs if job.experiment == experiment]
        costs = [cost_of(config) for config in configs if isinstance(config.study, TrainingConfig)]
        line = f"  {experiment}: {len(configs)} runs"
        if costs:
            steps = sum(config.steps for config in configs)
            work, memory = sum(cost.multiply_adds for cost in costs), max(cost.memory for cost in costs)
            line += f", {steps:,} steps, {sum(cost.images for cost in costs):,} images, {work:.2g} multiply-adds"
            line += f", up to {memory / 2**20:,.0f} MiB a run besides the images"
        else:
            line += ", studies of a minute or less"
        print(line, flush=True)


def run_all(jobs: list[Job], processes: int, after: Callable[[Job], None]) -> list[tuple[Job, int]]:
    """Run jobs in processes of their own, a few at once; return those that failed, with their exit codes.

    ``after`` is called when a job has ended, for one at a time.

    Raises:
        Stopped: a signal came; the jobs were given it and have ended with checkpoints.
    """
    printing, writing = threading.Lock(), threading.Lock()
    running: set[subprocess.Popen[str]] = set()
    broken: list[Job] = []

    def run_one(job: Job) -> int:
        if stop.came():
            return 0
        where = [f"runs_root={job.record.folder.parents[1]}", "hydra.mode=RUN"]
        command = [sys.executable, str(TRAIN), *job.overrides, *where]
        # in a process group of its own: from a terminal, too, it gets a signal once, from here
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        ) as process:
            running.add(process)
            if stop.came():  # while the process started
                process.terminate()
            assert process.stdout is not None
            for line in process.stdout:
                with printing:
                    print(line, end="", flush=True)
        running.discard(process)
        with printing:
            if process.returncode and not stop.came():
                broken.append(job)
                print(f"FAILED with {ended_with(process.returncode)}: {job.command}", flush=True)
            left = sum(not other.record.ended for other in jobs if other not in broken)
            print(f"{left} of {len(jobs)} runs to go", flush=True)
        with writing:
            after(job)
        return process.returncode

    def tell(signum: int) -> None:
        for process in list(running):
            process.send_signal(signum)

    with StopRequest(tell) as stop, ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(run_one, jobs))
        if stop.came():
            stop.obey()
    return [(job, code) for job, code in zip(jobs, codes, strict=True) if code]


def ended_with(code: int) -> str:
    """Say how a process ended."""
    killed = ", killed from outside, as by a system without memory" if code == -signal.SIGKILL else ""
    return f"exit code {code}{killed}"

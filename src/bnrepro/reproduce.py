"""``make reproduce``: run an experiment's jobs side by side, then tables, claims and report."""

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from bnrepro import results
from bnrepro.compose import grid, load
from bnrepro.errors import BadInput
from bnrepro.mnist_files import check_mnist, missing_mnist
from bnrepro.record import Record

EXPERIMENTS = {  # what a scale runs
    "smoke": ["fig1"],
    "quick": ["theory", "fig1"],
    "cpu": ["theory", "fig1_calibrate", "fig1_tuned", "fig1"],
    "gpu": ["theory", "fig1_calibrate", "fig1_tuned", "fig1"],
    "paper": ["theory", "fig1_calibrate", "fig1_tuned", "fig1"],
}
DATA_ROOT = Path("data")
DOWNLOAD_SECONDS = 120.0
TRAIN = Path(__file__).resolve().parents[2] / "scripts" / "train.py"


@dataclass(frozen=True)
class Job:
    """One run of an experiment: the overrides that a person would type, and the record they lead to."""

    experiment: str
    overrides: list[str]
    record: Record

    @property
    def command(self) -> str:
        """The command line that makes this run."""
        return " ".join(["python scripts/train.py", *self.overrides])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what a scale asks for and write the results; return the exit code (0, 1 a run failed, 2 bad input)."""
    parser = argparse.ArgumentParser(description="Run the experiments, judge the claims, write the report.")
    parser.add_argument("--scale", choices=list(EXPERIMENTS), help="default: gpu where CUDA is there, else quick")
    parser.add_argument("--data", choices=["mnist", "digits"], help="default: mnist; digits where it cannot be had")
    given = parser.parse_args(arguments)
    try:
        return reproduce(given.scale, given.data)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoints", file=sys.stderr)
        return 130


def reproduce(scale: str | None, data: str | None) -> int:
    """Do what :func:`main` says.

    Raises:
        BadInput: MNIST is asked for and cannot be had, or files are damaged.
    """
    device = "cuda" if cuda_is_there() else "cpu"
    scale = scale or ("gpu" if device == "cuda" else "quick")
    data, banner = choose_data(data)
    runs_root = Path("runs/smoke" if scale == "smoke" else "runs")
    target = runs_root / "results" if scale == "smoke" else Path("results")
    if banner:
        banner.show()
    jobs = plan(scale, data, device, runs_root)
    missing = [job for job in jobs if not job.record.ended]
    print(f"scale {scale}, data {data}: {len(jobs)} runs, {len(jobs) - len(missing)} finished already", flush=True)
    failed = run_all(missing, processes=min(cores(), 8))
    if failed:
        for job, code in failed:
            print(f"failed with exit code {code}: {job.command}", file=sys.stderr)
        print("the results stay as they were; the same command tries these runs again", file=sys.stderr)
        return 1
    if missing or not results.hold(target, [job.record for job in jobs]):
        for experiment in experiments_of(scale, data):
            chosen = [job for job in jobs if job.experiment == experiment]
            results.add(target, experiment, [job.record for job in chosen], [job.command for job in chosen])
        results.refresh(target)
        print(f"results are in {target}: report.html, README.md, claims.csv", flush=True)
    else:
        print(f"nothing to do: every run is finished and {target} holds its results", flush=True)
    if banner:
        banner.show()
    return 0


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cuda_is_there() -> bool:
    """Ask torch for a CUDA device."""
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True)
class Banner:
    """Tells, so that it cannot be missed, that these are not MNIST's results."""

    reason: str

    def show(self) -> None:
        """Print it."""
        text = (
            "MNIST COULD NOT BE HAD: THESE ARE RESULTS ON digits (1,797 images, 8x8 pixels), NOT ON THE PAPER'S DATA.\n"
            f"{self.reason}\nEvery table, figure and claim made now is marked digits; MNIST's results stay as they are."
        )
        Console(width=100).print(Panel(text, title="ATTENTION", border_style="bold red", style="bold"))


def choose_data(asked: str | None) -> tuple[str, Banner | None]:
    """Return the data set to take, and the banner where it is not the one that the paper needs.

    Raises:
        BadInput: MNIST's files are damaged, or it was asked for by name and is not to be had.
    """
    if asked == "digits":
        return "digits", None
    if missing_mnist(DATA_ROOT):
        from bnrepro.data.mnist import fetch

        print(f"MNIST is not in {DATA_ROOT}; downloading it ({DOWNLOAD_SECONDS:.0f} s at most)", flush=True)
        try:
            fetch(DATA_ROOT, DOWNLOAD_SECONDS)
        except BadInput as error:
            if asked == "mnist":
                raise
            return "digits", Banner(str(error))
    check_mnist(DATA_ROOT)
    return "mnist", None


def experiments_of(scale: str, data: str) -> list[str]:
    """List what a scale runs on a data set: only MNIST's curves can be compared with the printed ones."""
    return [name for name in EXPERIMENTS[scale] if data == "mnist" or name != "fig1_calibrate"]


def plan(scale: str, data: str, device: str, runs_root: Path) -> list[Job]:
    """List the jobs of a scale: every experiment's own grid."""
    jobs = []
    for experiment in experiments_of(scale, data):
        for overrides in grid([f"experiment={experiment}", f"scale={scale}", f"data={data}"]):
            config = load([*overrides, f"runtime.device={device}", f"runs_root={runs_root}"])
            jobs.append(Job(experiment, overrides, Record.of(config)))
    return jobs


def run_all(jobs: list[Job], processes: int) -> list[tuple[Job, int]]:
    """Run jobs in processes of their own, a few at once; return those that failed, with their exit codes."""
    printing = threading.Lock()
    left = len(jobs)

    def run_one(job: Job) -> int:
        nonlocal left
        where = [f"runs_root={job.record.folder.parents[1]}", "hydra.mode=RUN"]
        command = [sys.executable, str(TRAIN), *job.overrides, *where]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                with printing:
                    print(line, end="", flush=True)
        with printing:
            left -= 1
            print(f"{left} of {len(jobs)} runs to go", flush=True)
        return process.returncode

    with ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(run_one, jobs))
    return [(job, code) for job, code in zip(jobs, codes, strict=True) if code]

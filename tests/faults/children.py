"""Runs in processes of their own that a fault may end, forked from one that has torch already: none loads it anew."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    [
        *("bnrepro.run", "bnrepro.compose", "bnrepro.cli"),
        *("torch._dynamo", "pyarrow.parquet"),  # which are imported late
    ]
)
SMALL = ["scale=smoke", "data=digits", "runtime.device=cpu"]


def start(target: Callable[..., None], said: Path, *arguments: object) -> BaseProcess:
    """Start ``target`` in a process whose output goes to the file ``said``."""
    process = FORK.Process(target=_into, args=(said, target, arguments), daemon=True)
    process.start()
    return process


def finish(target: Callable[..., None], said: Path, *arguments: object) -> tuple[int | None, str]:
    """Run ``target`` like :func:`start`, wait for its end; return its exit code and all that it said."""
    process = start(target, said, *arguments)
    process.join(120)
    assert not process.is_alive()
    return process.exitcode, said.read_text()


def train(*overrides: str) -> None:
    """Do what scripts/train.py does with these arguments, and exit as it does."""
    from bnrepro.cli import main
    from bnrepro.run import run

    def task(config: object) -> None:
        run(config)  # type: ignore[arg-type]

    sys.argv = ["train.py", *SMALL, *overrides]
    main(task)


def _into(said: Path, target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    with open(said, "a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    with contextlib.suppress(BrokenPipeError):
        target(*arguments)

"""Runs in processes of their own that a fault may end, forked from one that has torch already: none loads it anew."""

import contextlib
import ctypes
import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    [
        *("bnrepro.run", "bnrepro.compose", "bnrepro.cli", "bnrepro.report_command"),
        *("torch._dynamo", "pyarrow.parquet"),  # which are imported late
    ]
)
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
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
    """Give scripts/train.py these arguments."""
    sys.argv = ["train.py", *SMALL, *overrides]
    runpy.run_path(str(SCRIPTS / "train.py"), run_name="__main__")


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and the text on its two outputs."""

    code: int | None
    out: str
    err: str


def script(*typed: str, folder: Path, before: Callable[[], None] | None = None) -> Done:
    """Give the command ``typed``, one of scripts/, in ``folder``; the process does ``before`` first."""
    with tempfile.TemporaryDirectory() as said:
        outputs = [Path(said) / name for name in ("out", "err")]
        where = (folder, dict(os.environ), outputs)
        process = FORK.Process(target=_script, args=(typed, *where, before), daemon=True)
        process.start()
        process.join(300)
        assert not process.is_alive()
        return Done(process.exitcode, *(output.read_text() for output in outputs))


def redirect(number: int, path: str) -> None:
    """Have output ``number`` go to the end of the file ``path``, as ``>>`` does."""
    with open(path, "a") as file:
        os.dup2(file.fileno(), number)


def nobody_reads(number: int) -> None:
    """Have output ``number`` go into a pipe that its reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, number)


def as_one_of_many() -> None:
    """Have no more rights than a person has, for root may enter and write everything (capabilities(7), capset(2))."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version, of_this = 0x20080522, 0
    header, sets = (ctypes.c_uint32 * 2)(version, of_this), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    override, search, owner = 1 << 1, 1 << 2, 1 << 3
    for effective_or_permitted in (0, 1):
        sets[effective_or_permitted] &= ~(override | search | owner)
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def _script(
    typed: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    outputs: list[Path],
    before: Callable[[], None] | None,
) -> None:
    for number, output in enumerate(outputs, start=1):
        redirect(number, str(output))
    if before:
        before()
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # as Python's own
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = list(typed)
    runpy.run_path(str(SCRIPTS / typed[0]), run_name="__main__")


def _into(said: Path, target: Callable[..., None], arguments: tuple[object, ...]) -> None:
    with open(said, "a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    with contextlib.suppress(BrokenPipeError):
        target(*arguments)

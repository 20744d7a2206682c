"""One process at a time on a folder: the kernel lets go of a lock when its process dies, however it does."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bnrepro.errors import BadInput
from bnrepro.files import cannot_write, read_json, remove_parts, write_json

LOCK, HOLDER = ".lock", "holder.json"


@contextmanager
def held(folder: Path, seconds: float, otherwise: str = "") -> Iterator[None]:
    """Hold ``folder`` for this process, and make it if it is new.

    Args:
        folder: what is held.
        seconds: how long to wait for a process that holds it.
        otherwise: what else can be done where it cannot be written.

    Raises:
        BadInput: another process holds it, or it cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=seconds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise BadInput(f"another process is working on {folder}: {_who(folder)}; wait for it or stop it") from error
    except OSError as error:
        raise BadInput(f"{cannot_write(folder, error)}{otherwise}") from error
    try:
        remove_parts(folder)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        write_json(folder / HOLDER, {"pid": os.getpid(), "host": socket.gethostname(), "since": now})
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether another process holds ``folder``; no, where this one may not write and so cannot ask."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _who(folder: Path) -> str:
    try:
        holder = read_json(folder / HOLDER)
        return f"number {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, LookupError):
        return "it has not said which"

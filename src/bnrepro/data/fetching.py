"""Downloads that end: in a process and a folder of their own, with a time limit, moved when whole."""

import contextlib
import multiprocessing
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from bnrepro.errors import BadInput
from bnrepro.files import cannot_write


def fetch(
    root: Path, seconds: float, download: Callable[[Path], None], check: Callable[[Path], object], todo: str
) -> None:
    """Let ``download`` fill a folder, ``check`` it, and move what is in it into ``root``.

    Where it fails or is refused ``root`` stays as it was. torchvision's downloads have no time limit, so they run in a
    process that can be ended; what one that was ended has left is not looked at.

    Args:
        root: where the files go.
        seconds: after these the download is ended.
        download: takes the folder; a function that a new process can import.
        check: takes the folder; raises BadInput where what came is not what was asked for.
        todo: what a person does where nothing came.

    Raises:
        BadInput: ``root`` cannot be written, the download failed, or ``check`` refuses what came.
    """
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as name:
            why = _why_not(download, Path(name), seconds)
            if why:
                raise BadInput(f"the download failed ({why}): {todo}")
            check(Path(name))
            _move(Path(name), root)
    except BadInput:
        if new:
            with contextlib.suppress(OSError):  # another process may have put something there
                root.rmdir()
        raise
    except OSError as error:
        raise BadInput(f"{cannot_write(root, error)}, or set data_root=") from error


def _why_not(download: Callable[[Path], None], aside: Path, seconds: float) -> str:
    """Download in a process of its own; return why it did not end well, or nothing."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_quietly, args=(download, aside, seconds, theirs), daemon=True)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return f"no answer within data.download_seconds={seconds:g}"
    return str(ours.recv()) if ours.poll() else "its process was killed"


def _quietly(download: Callable[[Path], None], aside: Path, seconds: float, said: Connection) -> None:
    threading.Thread(target=_leave_with_the_command, args=(aside,), daemon=True).start()
    socket.setdefaulttimeout(seconds / 4)  # so that a mirror that does not connect leaves time for the next one
    with (
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        try:
            download(aside)
            said.send("")
        except Exception as error:  # whatever unpacking a damaged file raises
            said.send(" ".join(str(error).split()) or type(error).__name__)


def _leave_with_the_command(aside: Path) -> None:
    """End this process, and leave nothing, where the command that wants the download is killed."""
    command = multiprocessing.parent_process()
    assert command
    command.join()
    shutil.rmtree(aside, ignore_errors=True)
    os._exit(1)


def _move(source: Path, target: Path) -> None:
    """Move what is in ``source``: a whole folder at once, into one that is there file by file."""
    for entry in source.iterdir():
        if (target / entry.name).is_dir():
            _move(entry, target / entry.name)
        else:
            entry.replace(target / entry.name)

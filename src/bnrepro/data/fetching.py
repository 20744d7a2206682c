"""Downloads that end: in a process and a folder of their own, with a time limit, moved when whole."""

import contextlib
import multiprocessing
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from bnrepro.errors import BadInput


def fetch(root: Path, seconds: float, download: Callable[[Path], None], check: Callable[[Path, str], None]) -> None:
    """Let ``download`` fill a folder, ``check`` it, and move what is in it into ``root``.

    Where it is refused ``root`` stays as it was. torchvision's downloads have no time limit, so they run in a process
    that can be ended.

    Args:
        root: where the files go.
        seconds: after these the download is ended.
        download: takes the folder; a function that a new process can import.
        check: takes the folder and why something may be missing; raises BadInput where it is.

    Raises:
        BadInput: ``root`` cannot be written, or ``check`` refuses what came.
    """
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{root} cannot be a folder for data ({error.strerror}); set data_root=") from error
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as name:
            process = multiprocessing.get_context("spawn").Process(
                target=_quietly, args=(download, Path(name), seconds), daemon=True
            )
            process.start()
            process.join(seconds)
            late = process.is_alive()
            process.kill()
            process.join()
            check(
                Path(name),
                f"no answer within data.download_seconds={seconds:g}" if late else "no mirror answered with it",
            )
            shutil.copytree(name, root, dirs_exist_ok=True, copy_function=shutil.move)
    except BadInput:
        if new:
            root.rmdir()
        raise


def _quietly(download: Callable[[Path], None], aside: Path, seconds: float) -> None:
    socket.setdefaulttimeout(seconds / 4)  # so that a silent mirror leaves time for the next one
    with (
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
        contextlib.suppress(RuntimeError, OSError),
    ):
        download(aside)

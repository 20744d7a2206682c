"""MNIST (LeCun, Bottou, Bengio & Haffner 1998), by torchvision, its extracted files checked."""

import multiprocessing
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnrepro.errors import BadInput
from bnrepro.mnist_files import check_mnist, missing_mnist, mnist_folder, where_to_put_mnist

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read(root: Path, download: bool, seconds: float) -> tuple[Part, Part]:
    """Return (pixels (N, 784), labels (N,)) of the 60,000 training and the 10,000 test digits.

    Raises:
        BadInput: the files are missing and cannot be fetched within ``seconds``, or are not MNIST's.
    """
    from torchvision.datasets import MNIST

    if missing_mnist(root):
        if not download:
            raise BadInput(
                f"MNIST is missing and data.download is false: {where_to_put_mnist(root)}, or set data_root="
            )
        fetch(root, seconds)
    check_mnist(root)

    def part(train: bool) -> Part:
        source = MNIST(str(root), train=train, download=False)
        return source.data.reshape(-1, 784).numpy(), source.targets.numpy()

    return part(True), part(False)


def fetch(root: Path, seconds: float) -> None:
    """Download MNIST into ``root``, or leave ``root`` as it was.

    torchvision's download has no time limit, so it runs in a process of its own, into a folder of its own; its files
    are checked before they are moved.

    Raises:
        BadInput: no mirror answered with MNIST's files within ``seconds``.
    """
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{root} cannot be a folder for MNIST ({error.strerror}); set data_root=") from error
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as name:
            _fetch_aside(Path(name), root, seconds)
    except BadInput:
        if new:
            root.rmdir()
        raise


def _fetch_aside(aside: Path, root: Path, seconds: float) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_download, args=(aside, seconds), daemon=True)
    process.start()
    process.join(seconds)
    late = process.is_alive()
    process.kill()
    process.join()
    if missing_mnist(aside):
        why = f"no answer within data.download_seconds={seconds:g}" if late else "no mirror answered with it"
        raise BadInput(f"MNIST could not be downloaded ({why}): {where_to_put_mnist(root)}")
    check_mnist(aside)
    mnist_folder(root).mkdir(parents=True, exist_ok=True)
    for path in missing_mnist(root):
        shutil.move(mnist_folder(aside) / path.name, path)


def _download(root: Path, seconds: float) -> None:
    import contextlib
    import os

    from torchvision.datasets import MNIST

    socket.setdefaulttimeout(seconds / 4)  # so that a silent mirror leaves time for the next one
    with (
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        for train in (True, False):
            with contextlib.suppress(RuntimeError, OSError):
                MNIST(str(root), train=train, download=True)

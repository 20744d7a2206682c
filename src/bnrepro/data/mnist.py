"""MNIST (LeCun, Bottou, Bengio & Haffner 1998), fetched by torchvision and read from its files once these are checked.

torchvision itself would not read these files where an old version of it has left others beside them.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnrepro.data import fetching
from bnrepro.errors import BadInput
from bnrepro.mnist_files import check_mnist, missing_mnist, where_to_put_mnist

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read(root: Path, download: bool, seconds: float) -> tuple[Part, Part]:
    """Return (pixels (N, 784), labels (N,)) of the 60,000 training and the 10,000 test digits.

    Raises:
        BadInput: the files are missing and cannot be fetched within ``seconds``, or are not MNIST's.
    """
    if missing_mnist(root):
        if not download:
            raise BadInput(
                f"MNIST is missing and data.download is false: {where_to_put_mnist(root)}, or set data_root="
            )
        fetch(root, seconds)
    files = check_mnist(root)

    def part(name: str) -> Part:
        pixels = np.frombuffer(files[f"{name}-images-idx3-ubyte"], dtype=np.uint8, offset=16)  # 4 numbers in front
        labels = np.frombuffer(files[f"{name}-labels-idx1-ubyte"], dtype=np.uint8, offset=8)
        return pixels.reshape(-1, 784).copy(), labels.astype(np.int64)

    return part("train"), part("t10k")


def fetch(root: Path, seconds: float) -> None:
    """Download MNIST into ``root``, or leave ``root`` as it was.

    Raises:
        BadInput: no mirror answered with MNIST's files within ``seconds``.
    """
    fetching.fetch(root, seconds, _download, check_mnist, where_to_put_mnist(root))


def _download(root: Path) -> None:
    from torchvision.datasets import MNIST

    for train in (True, False):
        MNIST(str(root), train=train, download=True)

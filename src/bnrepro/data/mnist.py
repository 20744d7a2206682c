"""MNIST (LeCun, Bottou, Bengio & Haffner 1998), by torchvision, its extracted files checked."""

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

    Raises:
        BadInput: no mirror answered with MNIST's files within ``seconds``.
    """

    def check(aside: Path, why: str) -> None:
        if missing_mnist(aside):
            raise BadInput(f"MNIST could not be downloaded ({why}): {where_to_put_mnist(root)}")
        check_mnist(aside)

    fetching.fetch(root, seconds, _download, check)


def _download(root: Path) -> None:
    from torchvision.datasets import MNIST

    for train in (True, False):
        MNIST(str(root), train=train, download=True)

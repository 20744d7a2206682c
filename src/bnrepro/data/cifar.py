"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), by torchvision, which checks its extracted files by MD5."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnrepro.config import TorchvisionConfig
from bnrepro.data import fetching
from bnrepro.errors import BadInput

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read(config: TorchvisionConfig, root: Path) -> tuple[Part, Part]:
    """Return (pixels (N, 3, 32, 32), labels (N,)) of the 50,000 training and the 10,000 test images.

    Raises:
        BadInput: the files are missing or damaged and cannot be fetched.
    """
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[config.name]
    where = f"put the folder {kind.base_folder} with torchvision's files into {root}"

    def part(folder: Path, train: bool) -> Part:
        source = kind(str(folder), train=train, download=False)
        return np.ascontiguousarray(source.data.transpose(0, 3, 1, 2)), np.asarray(source.targets, dtype=np.int64)

    def check(folder: Path, why: str) -> None:
        try:
            part(folder, train=True), part(folder, train=False)
        except (RuntimeError, OSError) as error:
            raise BadInput(f"{config.name} could not be downloaded ({why}): {where}") from error

    try:
        return part(root, train=True), part(root, train=False)
    except (RuntimeError, OSError) as error:
        if not config.download:
            raise BadInput(f"{config.name} is missing or damaged and data.download is false: {where}") from error
    fetching.fetch(root, config.download_seconds, {"cifar10": _cifar10, "cifar100": _cifar100}[config.name], check)
    return part(root, train=True), part(root, train=False)


def _cifar10(root: Path) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(str(root), download=True)


def _cifar100(root: Path) -> None:
    from torchvision.datasets import CIFAR100

    CIFAR100(str(root), download=True)

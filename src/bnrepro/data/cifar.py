"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), by torchvision, which checks its extracted files by MD5."""

from pathlib import Path
from typing import Any

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
    try:
        return _parts(config.name, root)
    except (RuntimeError, OSError) as error:
        if not config.download:
            raise BadInput(
                f"{config.name} is missing or damaged and data.download is false: {_where(config.name, root)}"
            ) from error
    fetch(root, config.download_seconds, config.name)
    return _parts(config.name, root)


def fetch(root: Path, seconds: float, name: str = "cifar10") -> None:
    """Download CIFAR into ``root``, or leave ``root`` as it was.

    Raises:
        BadInput: no mirror answered with its files within ``seconds``.
    """

    def check(aside: Path) -> None:
        try:
            _parts(name, aside)
        except (RuntimeError, OSError) as error:
            raise BadInput(f"what was downloaded is not {name}: {_where(name, root)}") from error

    fetching.fetch(root, seconds, {"cifar10": _cifar10, "cifar100": _cifar100}[name], check, _where(name, root))


def _where(name: str, root: Path) -> str:
    return f"put the folder {_kind(name).base_folder} with torchvision's files into {root}"


def _kind(name: str) -> Any:
    from torchvision import datasets

    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


def _parts(name: str, root: Path) -> tuple[Part, Part]:
    """Read both parts; raises RuntimeError where a file is missing or its MD5 is wrong."""

    def part(train: bool) -> Part:
        source = _kind(name)(str(root), train=train, download=False)
        return np.ascontiguousarray(source.data.transpose(0, 3, 1, 2)), np.asarray(source.targets, dtype=np.int64)

    return part(train=True), part(train=False)


def _cifar10(root: Path) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(str(root), download=True)


def _cifar100(root: Path) -> None:
    from torchvision.datasets import CIFAR100

    CIFAR100(str(root), download=True)

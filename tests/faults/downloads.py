"""Downloads for a process of their own: torchvision's, from a server of the test's, and what a broken one leaves."""

import hashlib
import os
import time
from pathlib import Path

from PIL import Image


def from_server(root: Path) -> None:
    """Download MNIST's files, or what the server that ``SERVER`` names has for them; ``SERVED`` is its folder."""
    from torchvision.datasets import MNIST

    from bnrepro.data import mnist

    MNIST.mirrors = [os.environ["SERVER"]]
    served = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in Path(os.environ["SERVED"]).iterdir()}
    MNIST.resources = [(name, served.get(name, md5)) for name, md5 in MNIST.resources]
    mnist._download(root)


def hang(root: Path) -> None:
    (root / "begun").write_text("")
    time.sleep(100)


def cifar10_from_server(root: Path) -> None:
    from torchvision.datasets import CIFAR10

    from bnrepro.data import cifar

    CIFAR10.url = os.environ["SERVER"] + CIFAR10.filename
    cifar._cifar10(root)


def half_an_imagenette(root: Path) -> None:
    for part in ("train", "val"):
        for name in ("a", "b"):
            folder = root / "imagenette2-160" / part / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "x.png")

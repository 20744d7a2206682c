"""MNIST's files on disk: where they are, what they must contain. No torch, so that the door can look first."""

import hashlib
from pathlib import Path

from bnrepro.errors import BadInput
from bnrepro.files import cannot_read, read_bytes

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def mnist_folder(root: Path) -> Path:
    """Return the folder under ``root`` that holds the extracted files, as torchvision lays them out."""
    return root / "MNIST" / "raw"


def missing_mnist(root: Path) -> list[Path]:
    """List MNIST's extracted files that are not there."""
    return [path for name in MNIST_SHA256 if not (path := mnist_folder(root) / name).exists()]


def check_mnist(root: Path) -> dict[str, bytes]:
    """Check the *extracted* files, which torchvision does not; return what is in each.

    Raises:
        BadInput: a file is not MNIST's; the message names it and both hashes.
    """
    files = {}
    for name, expected in MNIST_SHA256.items():
        path = mnist_folder(root) / name
        try:
            files[name] = read_bytes(path)
        except OSError as error:
            raise BadInput(cannot_read(path, error)) from error
        found = hashlib.sha256(files[name]).hexdigest()
        if found != expected:
            raise BadInput(
                f"{path} is not MNIST's file: its SHA-256 is {found}, it must be {expected}; "
                "remove it to download it again, or put the original file there"
            )
    return files


def where_to_put_mnist(root: Path) -> str:
    """Say how a person gives MNIST to a machine that cannot fetch it."""
    names = ", ".join(path.name for path in missing_mnist(root))
    return f"put the extracted files that are missing ({names}) into {mnist_folder(root)}"

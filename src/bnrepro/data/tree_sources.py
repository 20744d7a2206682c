"""Where a tree of class folders comes from: it is there, or it is fetched and laid out once."""

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from bnrepro.config import ImageFolderConfig
from bnrepro.data import fetching
from bnrepro.errors import BadInput

TINY_IMAGENET = "tiny-imagenet-200.zip"
TINY_IMAGENET_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
IMAGENETTE = {"train": 9469, "val": 3925}  # images of each part (fast.ai's imagenette2)
TINY_IMAGENET_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


def folder(config: ImageFolderConfig, root: Path) -> Path:
    """Return the tree's folder, fetched first where it is missing and the source can be fetched.

    Raises:
        BadInput: it is missing and cannot be fetched, or the archive is not the official one.
    """
    tree = root / config.folder  # a whole path stays as it is
    if is_there(tree):
        return tree
    if config.source == "folder":
        raise BadInput(f"{tree} is not there: put the tree of images there, or set data.folder or data_root")
    if config.source == "tiny_imagenet":
        _tiny_imagenet(tree, root / TINY_IMAGENET, config)
    else:
        _need(config, tree)
        todo = f"put the folder {tree.name} into {root}"
        fetching.fetch(root, config.download_seconds, _imagenette, lambda aside: _whole(aside / tree.name), todo)
    return tree


def is_there(tree: Path) -> bool:
    """Say whether a tree's folder is there.

    Raises:
        BadInput: it is a file.
    """
    if tree.exists() and not tree.is_dir():
        raise BadInput(f"{tree} is a file: data.folder must name a folder of images, unpack an archive first")
    return tree.is_dir()


def _need(config: ImageFolderConfig, path: Path) -> None:
    if not config.download:
        raise BadInput(f"{path} is missing and data.download is false: put it there, or set data_root=")


def _whole(tree: Path) -> None:
    found = {part: sum(1 for _ in (tree / part).glob("*/*")) for part in IMAGENETTE}
    if found != IMAGENETTE:
        raise BadInput(f"the download of {tree.name} is not whole: it has {found} images, it must have {IMAGENETTE}")


def _imagenette(root: Path) -> None:
    from torchvision.datasets import Imagenette

    Imagenette(str(root), split="train", size="160px", download=True)


def _tiny_imagenet(tree: Path, archive: Path, config: ImageFolderConfig) -> None:
    """Check the official archive and lay its images out as ``{train,val}/<class>/<image>``."""
    if not archive.is_file():
        _need(config, archive)
        seconds = config.download_seconds
        todo = f"put {archive.name} into {archive.parent}"
        fetching.fetch(archive.parent, seconds, _tiny_archive, lambda aside: _official(aside / archive.name), todo)
    _official(archive)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacking-") as name:
        lay_out(archive, Path(name) / "tree")
        (Path(name) / "tree").rename(tree)


def _official(archive: Path) -> None:
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != TINY_IMAGENET_MD5:
        raise BadInput(
            f"{archive} is not the official archive: its MD5 is {found}, it must be {TINY_IMAGENET_MD5}; remove it, or "
            "put the official one there"
        )


def _tiny_archive(root: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(TINY_IMAGENET_URL, str(root), TINY_IMAGENET, TINY_IMAGENET_MD5)


def lay_out(archive: Path, tree: Path) -> None:
    """Unpack Tiny ImageNet's archive into class folders; its validation images have their classes in a list."""
    with zipfile.ZipFile(archive) as zipped:
        top = zipped.namelist()[0].split("/")[0]
        listed = zipped.read(f"{top}/val/val_annotations.txt").decode().splitlines()
        classes = dict(line.split("\t")[:2] for line in listed)
        for name in zipped.namelist():
            parts = name.split("/")
            if not name.endswith(".JPEG") or parts[1] not in ("train", "val"):
                continue
            label = parts[2] if parts[1] == "train" else classes[parts[-1]]
            target = tree / parts[1] / Path(label).name / Path(parts[-1]).name
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(name) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)

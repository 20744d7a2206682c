"""A small tree of images, of two classes."""

from pathlib import Path

from PIL import Image

from bnrepro.config import DataConfig
from conftest import load


def config(*overrides: str) -> DataConfig:
    tree = ["network=inception", "data=image_folder", "data.folder=tree", "data.test=test", "name=x"]
    return load([*tree, *overrides]).data


def save(path: Path, value: int, size: tuple[int, int] = (16, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 255 - value, 7)).save(path)


def plant(root: Path) -> None:
    """Make the tree: three training and two test images of each class, each image of one colour."""
    for split, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            for i in range(count):
                save(root / "tree" / split / name / f"{i}.png", 100 * label + 10 * i)


def only_cache(root: Path) -> Path:
    (folder,) = [path for path in (root / ".cache").iterdir() if path.is_dir()]
    return folder

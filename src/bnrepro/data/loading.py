"""The door of the data: choose the source, encode the pixels, set the held-out part aside."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnrepro.config import (
    ColourConfig,
    DataConfig,
    DigitsConfig,
    HandwrittenConfig,
    ImageFolderConfig,
    MNISTConfig,
    ShapesConfig,
    TorchvisionConfig,
)
from bnrepro.data import cifar, decoding, digits, mnist, shapes, tree, tree_sources
from bnrepro.data.augment import centre
from bnrepro.data.cache import cached
from bnrepro.data.dataset import Dataset, Examples
from bnrepro.errors import BadInput
from bnrepro.machine import cores

HELD_OUT_SEED = 20150213  # fixed, so that every network and seed is judged on the same held-out examples
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Source:
    """What a source gives: pixels and labels of both parts, the number of classes, and the SHA-256 of all."""

    train: Part
    test: Part
    classes: int
    sha256: str


def load(config: DataConfig, root: Path, crop: int = 0) -> Dataset:
    """Load a data set; what is evaluated on is cut to ``crop`` pixels.

    Raises:
        BadInput: files are missing or damaged, or there is nothing to train on.
    """
    source = _source(config, root)
    count = len(source.train[1])
    if config.held_out >= count:
        raise BadInput(
            f"data.held_out is {config.held_out}: {config.name} has {count} training examples, keep fewer aside"
        )
    order = _order(count)
    kept, aside = order[config.held_out :], order[: config.held_out]
    everything, test = examples(*source.train, config), examples(*source.test, config)
    if isinstance(config, ColourConfig):
        side = everything.images.shape[-1]
        check_crop(config, crop, side)
        seen = Examples(centre(everything.images, crop), everything.labels)
        centres = Examples(centre(test.images, crop), test.labels)
        tested = _at_most(config.test_examples, _order(len(test)))
        train = everything.part(_at_most(config.train_examples, kept))
        parts = train, seen.part(torch.sort(aside).values), centres.part(tested), test.part(tested)
    else:
        parts = everything[torch.sort(kept).values], everything[torch.sort(aside).values], test, test
    return Dataset(config.name, *parts, source.classes, source.sha256)


def _order(count: int) -> Tensor:
    """Return a fixed random order of ``count`` examples."""
    return torch.from_numpy(np.random.default_rng(HELD_OUT_SEED).permutation(count))


def check_crop(config: DataConfig, crop: int, side: int) -> None:
    """Refuse a crop of more pixels than the images have.

    Raises:
        BadInput: it has more.
    """
    if crop > side:
        raise BadInput(f"augment.crop is {crop}: the images of {config.name} have {side} pixels; take fewer")


def _at_most(most: int, order: Tensor) -> Tensor:
    """Return the first ``most`` of an order, sorted; all where it has fewer, or ``most`` is 0."""
    return torch.sort(order[: most or None]).values


def _source(config: DataConfig, root: Path) -> Source:
    match config:
        case MNISTConfig():
            return _in_memory(*mnist.read(root, config.download, config.download_seconds), 10)
        case DigitsConfig():
            return _in_memory(*digits.read(), 10)
        case ShapesConfig():
            drawn = [shapes.draw(n, (config.seed, i)) for i, n in enumerate((config.train_images, config.test_images))]
            return _in_memory(drawn[0], drawn[1], len(shapes.CLASSES))
        case TorchvisionConfig():
            return _in_memory(*cifar.read(config, root), 100 if config.name == "cifar100" else 10)
        case ImageFolderConfig():
            return _tree(config, root)
        case _:
            raise AssertionError(f"no loader for {type(config).__name__}")


def _in_memory(train: Part, test: Part, classes: int) -> Source:
    sha256 = hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test))).hexdigest()
    return Source(train, test, classes, sha256)


def _tree(config: ImageFolderConfig, root: Path) -> Source:
    folder = tree_sources.folder(config, root)
    found = tree.scan(folder, config.train, config.test)
    settings = f"{config.size} {config.damaged}"
    digest = hashlib.sha256("\n".join([settings, *found.listing()]).encode(errors="surrogateescape")).hexdigest()

    def build(aside: Path) -> list[str]:
        if left_out := found.train.left_out + found.test.left_out:
            suffixes = tree.some(sorted(set(left_out)))
            print(f"{folder}: {len(left_out):,} file(s) with other suffixes are left out: {suffixes}", flush=True)
        sides = set()
        for name, split in (("train", found.train), ("test", found.test)):
            path = aside / f"{name}.images.npy"
            labels = decoding.decode(split, path, config.size, config.damaged, cores())
            np.save(aside / f"{name}.labels.npy", labels, allow_pickle=False)
            sides.add(np.load(path, mmap_mode="r").shape[1:])
        if len(sides) > 1:
            raise BadInput(f"{folder}: training and test images differ in size; set data.size to bring all to one")
        return found.classes

    source = f"{folder.resolve()} {config.train} {config.test} {settings}"
    held = cached(root, config.name, source, digest, build)
    train, test = ((held.arrays[f"{n}.images"], np.array(held.arrays[f"{n}.labels"])) for n in ("train", "test"))
    return Source(train, test, len(held.classes), held.sha256)  # type: ignore[arg-type]


def examples(pixels: NDArray[np.uint8], labels: NDArray[np.int64], config: DataConfig) -> Examples:
    """Make tensors of pixels and labels.

    Args:
        pixels: (N, features) ink or (N, 3, H, W) colours, 0 to 255.
        labels: (N,).
        config: of digits, ``encoding`` grey keeps the intensities in [0, 1]; binary makes a pixel 1 where its
            intensity is above ``threshold`` (Sec. 4.1: "each input is a 28x28 binary image"). Colours stay bytes.
    """
    if not isinstance(config, HandwrittenConfig):
        return Examples(torch.from_numpy(pixels), torch.from_numpy(labels))
    intensity = torch.from_numpy(pixels).float() / 255
    if config.encoding == "binary":
        intensity = (intensity > config.threshold).float()
    return Examples(intensity, torch.from_numpy(labels))

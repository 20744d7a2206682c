"""What a run would do, and what it would cost, without doing it."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from bnrepro import models, norm
from bnrepro.config import (
    DataConfig,
    DigitsConfig,
    HandwrittenConfig,
    ImageFolderConfig,
    RunConfig,
    TorchvisionConfig,
    TrainingConfig,
)
from bnrepro.data import decoding, shapes, tree, tree_sources
from bnrepro.data.loading import check_crop
from bnrepro.errors import BadInput
from bnrepro.models.counting import Counts, count
from bnrepro.record import Record

PUBLISHED = {  # side and number of classes of trees that are not there yet
    "cifar10_jpeg": (32, 10),
    "imagenet": (256, 1000),
    "imagenette": (160, 10),
    "tiny_imagenet": (64, 200),
    "tiny_imagenet_50": (64, 50),
}
BACKWARD = 2  # multiply-adds of the backward pass, in forward passes: one for the inputs, one for the weights


@dataclass(frozen=True)
class Cost:
    """Of a run from its first step to its last.

    Attributes:
        images: that the network trains on, all replicas together.
        multiply_adds: of all steps, forward and backward; evaluation left out.
        memory: bytes of parameters, gradients, optimiser and what is kept for the backward pass; images left out.
    """

    counts: Counts
    images: int
    multiply_adds: float
    memory: int


def describe(config: RunConfig, record: Record) -> str:
    """Say in one line how far a run is, and what the whole of it costs."""
    if not isinstance(config.study, TrainingConfig):
        return f"{record.name}: {_state(record)}; study {config.study.name}, no training run"
    missing = _missing_tree(config)
    cost = cost_of(config)
    line = (
        f"{record.name}: {_state(record)}; {config.steps:,} steps, {cost.images:,} images, "
        f"{cost.counts.parameters:,} parameters, {cost.multiply_adds:.2g} multiply-adds, "
        f"about {cost.memory / 2**20:,.0f} MiB besides the images"
    )
    if missing:
        return f"{line}; {missing} is not there: put the images there first"
    return line + ("; the images are listed, not decoded" if isinstance(config.data, ImageFolderConfig) else "")


def cost_of(config: RunConfig) -> Cost:
    """Count what training costs, on the network itself.

    Raises:
        BadInput: the images do not fit the network, or a tree of images is damaged.
    """
    shape, classes = _examples(config)
    replicas = len(config.replicas)
    said = repr((config.model, config.norm, replicas, config.batch_size, shape, classes))
    if said not in _counted:
        _counted[said] = _count(config, shape, classes)
    counts = _counted[said]
    images = config.steps * config.batch_size * replicas
    copies = 2 + (config.optim.momentum > 0)  # parameters, gradients, momentum
    memory = 4 * copies * counts.parameters + counts.kept
    return Cost(counts, images, (1 + BACKWARD) * float(counts.multiply_adds) * images / replicas, memory)


_counted: dict[str, Counts] = {}  # by all that they depend on: many runs are asked about together


def _count(config: RunConfig, shape: tuple[int, ...], classes: int) -> Counts:
    stacked = models.stacked(config.model)
    seeds = [replica.seed for replica in config.replicas]
    with nullcontext() if stacked else torch.device("meta"):
        normalisation = norm.build(config.norm, len(seeds) if stacked else None)
        model = models.build(config.model, normalisation, shape, classes, seeds)
    return count(model.to("meta"), torch.empty(len(seeds), config.batch_size, *shape, device="meta"))


def _state(record: Record) -> str:
    status = record.status
    if record.ended:
        return f"{status['status']} already"
    if record.held:
        return "running in another process"
    return f"stopped at step {status['step']:,}" if record.begun and "step" in status else "not begun"


def _missing_tree(config: RunConfig) -> Path | None:
    data = config.data
    tree_folder = Path(config.data_root) / data.folder if isinstance(data, ImageFolderConfig) else None
    return tree_folder if tree_folder and not tree_sources.is_there(tree_folder) else None


def _examples(config: RunConfig) -> tuple[tuple[int, ...], int]:
    """Return the shape of an example as the network sees it, and the number of classes."""
    data = config.data
    if isinstance(data, HandwrittenConfig):
        return (64 if isinstance(data, DigitsConfig) else 784,), 10
    side, classes = _images(data, config)
    check_crop(data, config.augment.crop, side)
    side = config.augment.crop or side
    return (3, side, side), classes


def _images(data: DataConfig, config: RunConfig) -> tuple[int, int]:
    """Return the side of the images and the number of classes.

    Raises:
        BadInput: the tree of images is not there, and nothing is known of it, or it is damaged.
    """
    if isinstance(data, TorchvisionConfig):
        return 32, 100 if data.name == "cifar100" else 10
    if not isinstance(data, ImageFolderConfig):
        return 32, len(shapes.CLASSES)
    if missing := _missing_tree(config):
        if data.name not in PUBLISHED:
            raise BadInput(f"{missing} is not there: put the tree of images there, or set data.folder or data_root")
        side, classes = PUBLISHED[data.name]
        return data.size or side, classes
    side, classes = _of_tree(Path(config.data_root) / data.folder, data.train, data.test)
    return data.size or side, classes


@cache  # many runs are asked about together
def _of_tree(folder: Path, train: str, test: str) -> tuple[int, int]:
    """Return the side of the first image of a tree that can be opened, and the number of classes."""
    found = tree.scan(folder, train, test)
    for path in found.train.paths:
        if size := decoding.size_of(path):  # what becomes of a damaged image is decided where all are decoded
            return size[0], len(found.classes)
    raise BadInput(f"{folder}: no image of {train} can be opened; put images there that torchvision reads")

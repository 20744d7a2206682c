"""What a data set is, once loaded."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bnrepro.data.augment import as_input

SHARE = 0.5  # of the device's free memory that images may take


@dataclass(frozen=True)
class Examples:
    """Images and their classes.

    Attributes:
        images: (M, features) or (M, colours, H, W); float32 in [0, 1], or whole bytes as they are kept.
        labels: (N,) int64 in [0, classes).
        rows: (N,) which of the images are meant; None: all, M = N. So a part of images that do not fit into memory
            is not copied.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Examples":
        labels = self.labels[index]
        chosen = index if self.rows is None else self.rows[index]
        images = self.images[chosen.to(self.images.device) if isinstance(chosen, Tensor) else chosen]
        return Examples(images.to(labels.device), labels)

    def part(self, rows: Tensor) -> "Examples":
        """Return the examples at ``rows`` without copying an image; of all images only."""
        assert self.rows is None
        return Examples(self.images, self.labels[rows], rows)

    @property
    def inputs(self) -> Tensor:
        """The images as a network takes them, float32 in [0, 1]."""
        return as_input(self.images if self.rows is None else self.images[self.rows.to(self.images.device)])

    def take(self, index: Tensor) -> "Examples":
        """Return the examples at ``index`` (any shape) on the labels' device, images and labels in its shape."""
        flat = index.reshape(-1)
        rows = (flat if self.rows is None else self.rows.index_select(0, flat)).to(self.images.device)
        images = self.images.index_select(0, rows).to(self.labels.device, non_blocking=True)
        labels = self.labels.index_select(0, flat)
        return Examples(images.view(*index.shape, *images.shape[1:]), labels.view(index.shape))

    def to(self, device: torch.device) -> "Examples":
        """Return the same examples on ``device``; images that do not fit stay where they are, read batch by batch."""
        images = self.images.to(device) if fits(self.images, device) else self.images
        return Examples(images, self.labels.to(device), None if self.rows is None else self.rows.to(device))


def fits(images: Tensor, device: torch.device) -> bool:
    """Say whether images may lie on a device as a whole."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
    return images.nbytes <= SHARE * free


@dataclass(frozen=True)
class Dataset:
    """A data set's three parts.

    ``held_out`` is cut from the training examples and empty where nothing is chosen; ``whole_test`` is ``test`` with
    whole images, where evaluation sees only their centre.
    """

    name: str
    train: Examples
    held_out: Examples
    test: Examples
    whole_test: Examples
    classes: int
    sha256: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one example as a network sees it."""
        return tuple(self.test.images.shape[1:])

    def to(self, device: torch.device) -> "Dataset":
        """Return the same data set, resident on ``device`` as far as it fits."""
        parts = ("train", "held_out", "test", "whole_test")
        return replace(self, **{name: getattr(self, name).to(device) for name in parts})

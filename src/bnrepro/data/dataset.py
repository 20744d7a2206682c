"""What a data set is, once loaded."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Images and their classes.

    Attributes:
        images: (N, features) float32 in [0, 1].
        labels: (N,) int64 in [0, classes).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | Tensor) -> "Examples":
        return Examples(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> "Examples":
        """Return the same examples on ``device``."""
        return Examples(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A data set's three parts; ``held_out`` is cut from the training examples and empty where nothing is chosen."""

    name: str
    train: Examples
    held_out: Examples
    test: Examples
    classes: int
    sha256: str

    @property
    def features(self) -> int:
        """Return the number of inputs of one example."""
        return self.train.images.shape[1]

    def to(self, device: torch.device) -> "Dataset":
        """Return the same data set, resident on ``device``."""
        return replace(self, train=self.train.to(device), held_out=self.held_out.to(device), test=self.test.to(device))

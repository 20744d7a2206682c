"""The door of the data: choose the source, encode the pixels, set the held-out part aside."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bnrepro.config import DataConfig, DigitsConfig, MNISTConfig
from bnrepro.data import digits, mnist
from bnrepro.data.dataset import Dataset, Examples
from bnrepro.errors import BadInput

HELD_OUT_SEED = 20150213  # fixed, so that every network and seed is judged on the same held-out examples


def load(config: DataConfig, root: Path) -> Dataset:
    """Load a data set into memory.

    Raises:
        BadInput: files are missing or damaged, or ``held_out`` leaves nothing to train on.
    """
    match config:
        case MNISTConfig():
            train, test = mnist.read(root, config.download, config.download_seconds)
        case DigitsConfig():
            train, test = digits.read()
        case _:
            raise AssertionError(f"no loader for {type(config).__name__}")
    if config.held_out >= len(train[1]):
        raise BadInput(
            f"data.held_out is {config.held_out}: {config.name} has {len(train[1])} training examples, keep fewer aside"
        )
    order = np.random.default_rng(HELD_OUT_SEED).permutation(len(train[1]))
    kept, held_out = np.sort(order[config.held_out :]), np.sort(order[: config.held_out])
    everything = examples(*train, config)
    return Dataset(
        config.name,
        everything[torch.from_numpy(kept)],
        everything[torch.from_numpy(held_out)],
        examples(*test, config),
        classes=10,
        sha256=hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test))).hexdigest(),
    )


def examples(pixels: NDArray[np.uint8], labels: NDArray[np.int64], config: DataConfig) -> Examples:
    """Encode pixels as the network's input.

    Args:
        pixels: (N, features), 0 to 255.
        labels: (N,).
        config: ``encoding`` grey keeps the intensities in [0, 1]; binary makes a pixel 1 where its intensity is above
            ``threshold`` (Sec. 4.1: "each input is a 28x28 binary image").
    """
    intensity = torch.from_numpy(pixels).float() / 255
    if config.encoding == "binary":
        intensity = (intensity > config.threshold).float()
    return Examples(intensity, torch.from_numpy(labels))

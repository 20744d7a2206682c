"""From a seed to independent streams of random numbers, one for each thing that is random."""

import numpy as np
import torch
from torch import Tensor

from bnrepro import distributed

# the streams; a new kind takes the next number
WEIGHTS, ORDER, POPULATION, DROPOUT, AUGMENTATION, POPULATION_AUGMENTATION = range(6)


def generator(seed: int, stream: int) -> torch.Generator:
    """Return a CPU generator for one stream of one seed; streams of a seed are independent (NumPy's SeedSequence)."""
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def uniform(stream: torch.Generator, shape: tuple[int, ...], batch: int = 0) -> Tensor:
    """Draw numbers in [0, 1) for this process's share of a mini-batch, whose examples lie along dimension ``batch``.

    They are drawn for the whole mini-batch: several processes together draw what one would.
    """
    whole = list(shape)
    whole[batch] *= distributed.size()
    mine = distributed.share(whole[batch])
    return torch.rand(whole, generator=stream).narrow(batch, mine.start, shape[batch])


def onto(device: torch.device, drawn: Tensor) -> Tensor:
    """Copy numbers that were drawn on the CPU to ``device``, without waiting for what it is still doing."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn.to(device)

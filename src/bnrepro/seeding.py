"""From a seed to independent streams of random numbers, one for each thing that is random."""

import numpy as np
import torch

WEIGHTS, ORDER, POPULATION, DROPOUT, AUGMENTATION = range(5)  # the streams; a new kind takes the next number


def generator(seed: int, stream: int) -> torch.Generator:
    """Return a CPU generator for one stream of one seed; streams of a seed are independent (NumPy's SeedSequence)."""
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)

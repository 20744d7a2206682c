"""Data sets as tensors on a device: ``load(config) -> Dataset``."""

from bnrepro.data.augment import as_input, centre
from bnrepro.data.dataset import Dataset, Examples
from bnrepro.data.loading import load
from bnrepro.data.sampler import Sampler

__all__ = ["Dataset", "Examples", "Sampler", "as_input", "centre", "load"]

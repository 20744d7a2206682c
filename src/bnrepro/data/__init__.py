"""Data sets as tensors on a device: ``load(config) -> Dataset``."""

from bnrepro.data.dataset import Dataset, Examples
from bnrepro.data.loading import load
from bnrepro.data.sampler import Sampler

__all__ = ["Dataset", "Examples", "Sampler", "load"]

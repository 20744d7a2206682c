"""Batch Normalization (Ioffe & Szegedy 2015, Sec. 2 and 3), and what the paper compares it with.

transform.py is Algorithm 1, population.py Algorithm 2, fold.py its last line; whitening.py what Sec. 2 dismisses.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from bnrepro.config import BatchNormConfig, DetachedNormConfig, NoNormConfig, NormConfig, WhiteningConfig
from bnrepro.norm.fold import fold
from bnrepro.norm.modules import BatchNorm, DetachedNorm, Normalisation, Whitening, batch_statistics
from bnrepro.norm.population import exact_population
from bnrepro.norm.transform import batch_norm

__all__ = [
    "BatchNorm",
    "DetachedNorm",
    "Norm",
    "Normalisation",
    "Whitening",
    "batch_norm",
    "batch_statistics",
    "build",
    "exact_population",
    "fold",
]


@dataclass(frozen=True)
class Norm:
    """Makes the normalisation of C activations.

    Attributes:
        make: from C to a module from (R, B, C) to (R, B, C).
        bias: whether the layer before keeps its bias b; before BN it has no effect and β takes its place (Sec. 3.2).
    """

    make: Callable[[int], nn.Module]
    bias: bool = False


def build(config: NormConfig, replicas: int | None) -> Norm | None:
    """Return the normalisation that ``config`` names, or None for a network without.

    ``replicas`` is the size of the stack that it normalises; without it the parameters have no axis of replicas.
    """

    def shape(C: int) -> tuple[int, ...]:
        return (C,) if replicas is None else (replicas, C)

    match config:
        case NoNormConfig():
            return None
        case BatchNormConfig():
            settings = config.eps, config.momentum, config.impl == "paper", config.synchronised
            return Norm(lambda C: BatchNorm(shape(C), *settings), config.bias)
        case DetachedNormConfig():
            return Norm(lambda C: DetachedNorm(shape(C), config.eps, config.momentum, config.scale), bias=True)
        case WhiteningConfig():
            return Norm(lambda C: Whitening(shape(C), config.eps, config.momentum))
        case _:
            raise AssertionError(f"no normalisation for {type(config).__name__}")

"""Batch Normalization: Algorithm 1 in training, Algorithm 2 in inference (Ioffe & Szegedy 2015, Sec. 3)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro.config import BatchNormConfig, NoNormConfig, NormConfig

Norm = Callable[[int], nn.Module]
"""Given the number of activations C, a module from (R, B, C) to (R, B, C)."""


class BatchNorm(nn.Module):
    """The BN transform for a stack of R replicas, each activation of each replica on its own.

    In training (Algorithm 1), over the B examples of a replica's mini-batch, ``y = γ (x - μ) / sqrt(σ² + ε) + β``
    with the biased variance σ², and the gradient goes through μ and σ². In inference (Algorithm 2) the population's
    moments take their place; as Sec. 3.1 allows, moving averages stand in for them, of the mini-batches' means and of
    their *unbiased* variances. ``momentum`` is the framework's: one minus the decay that other frameworks call so.

    Shapes:
        input and output (R, B, C); ``weight`` (γ) and ``bias`` (β), ``running_mean`` and ``running_var`` (R, C).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, replicas: int, features: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.tracking = True
        self.weight = nn.Parameter(torch.ones(replicas, features))
        self.bias = nn.Parameter(torch.zeros(replicas, features))
        self.register_buffer("running_mean", torch.zeros(replicas, features))
        self.register_buffer("running_var", torch.ones(replicas, features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (R, B, C): R·C channels of B values are R separate batch norms of C activations."""
        replicas, batch, features = x.shape
        tracked = self.tracking or not self.training
        y = functional.batch_norm(
            x.transpose(0, 1).reshape(batch, replicas * features),
            self.running_mean.view(-1) if tracked else None,
            self.running_var.view(-1) if tracked else None,
            self.weight.view(-1),
            self.bias.view(-1),
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return y.view(batch, replicas, features).transpose(0, 1)


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Within this context ``model`` normalises as in training and no moving average moves."""
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    was_training = model.training
    model.train()
    for norm in norms:
        norm.tracking = False
    try:
        yield
    finally:
        for norm in norms:
            norm.tracking = True
        model.train(was_training)


def build(config: NormConfig, replicas: int) -> Norm | None:
    """Return the normalisation that ``config`` names, or None for a network without."""
    match config:
        case NoNormConfig():
            return None
        case BatchNormConfig():
            return lambda features: BatchNorm(replicas, features, config.eps, config.momentum)
        case _:
            raise AssertionError(f"no normalisation for {type(config).__name__}")

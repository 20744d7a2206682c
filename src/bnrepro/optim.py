"""The optimiser: stochastic gradient descent, Sec. 4.1."""

import torch
from torch import nn

from bnrepro.config import OptimConfig


def build(config: OptimConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return plain SGD. In a stack the gradients of the replicas are separate, so one optimiser serves all."""
    return torch.optim.SGD(model.parameters(), lr=config.lr, foreach=True)

"""The optimiser: stochastic gradient descent with momentum, its learning rate decaying exponentially (Sec. 4)."""

import torch
from torch.optim.lr_scheduler import ExponentialLR

from bnrepro.config import OptimConfig
from bnrepro.models import Network


def build(config: OptimConfig, model: Network) -> torch.optim.Optimizer:
    """Return SGD. In a stack the gradients of the replicas are separate, so one optimiser serves all.

    L2 regularisation is of the weights alone, not of biases, γ and β.
    """
    weights = [weight for layer in model.weights().values() for weight in layer]
    others = [p for p in model.parameters() if not any(p is weight for weight in weights)]
    groups = [{"params": weights, "weight_decay": config.l2}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=config.initial, momentum=config.momentum, foreach=True)


def schedule(config: OptimConfig, optimiser: torch.optim.Optimizer, steps: int) -> ExponentialLR | None:
    """Return what lowers the learning rate after each of ``steps`` steps, or None where it stays."""
    if not config.half_life:
        return None
    halvings = config.decay_speed / config.half_life
    return ExponentialLR(optimiser, 2 ** (-halvings / steps))

"""The optimiser: stochastic gradient descent with momentum, its learning rate decaying exponentially (Sec. 4)."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR

from bnrepro.config import OptimConfig
from bnrepro.models import Network


class RatesSGD(torch.optim.SGD):
    """SGD where every replica of a stack has its own learning rate: the step is that of SGD with the rate.

    The rate multiplies the gradient, L2 included, and SGD then runs with the rate 1, which a schedule lowers.

    Args:
        groups: parameters whose first axis is the replicas', ``l2`` beside each.
        rates: (R,), one a replica.
        momentum: of the gradient.
    """

    def __init__(self, groups: list[dict[str, Any]], rates: Tensor, momentum: float) -> None:
        super().__init__(groups, lr=1.0, momentum=momentum, fused=True)
        self.rates = rates

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Do SGD's step with scaled gradients; the gradients themselves stay, for whoever looks at them."""
        parameters = [(p, group["l2"]) for group in self.param_groups for p in group["params"]]
        gradients = [p.grad for p, _ in parameters]
        for p, l2 in parameters:
            p.grad = p.grad.add(p, alpha=l2).mul_(self.rates.view(-1, *[1] * (p.dim() - 1)))
        super().step(closure)
        for (p, _), gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient


def build(config: OptimConfig, model: Network, rates: list[float]) -> torch.optim.Optimizer:
    """Return SGD. In a stack the gradients of the replicas are separate, so one optimiser serves all.

    L2 regularisation is of the weights alone, not of biases, γ and β. ``rates`` are the initial learning rates of the
    replicas.
    """
    weights = [weight for layer in model.weights().values() for weight in layer]
    others = [p for p in model.parameters() if not any(p is weight for weight in weights)]
    if config.rates:
        device = weights[0].device
        groups = [{"params": weights, "l2": config.l2}, {"params": others, "l2": 0.0}]
        return RatesSGD(groups, torch.tensor(rates, device=device), config.momentum)
    groups = [{"params": weights, "weight_decay": config.l2}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=config.initial, momentum=config.momentum, fused=True)


def rates(optimiser: torch.optim.Optimizer, losses: Tensor) -> Tensor:
    """Return the learning rates of the replicas now, (R,) like their ``losses``."""
    lr: float | Tensor = optimiser.param_groups[0]["lr"]  # a tensor while graph.py records
    return (optimiser.rates if isinstance(optimiser, RatesSGD) else torch.ones_like(losses)) * lr


def schedule(config: OptimConfig, optimiser: torch.optim.Optimizer, steps: int) -> ExponentialLR | None:
    """Return what lowers the learning rate after each of ``steps`` steps, or None where it stays."""
    if not config.half_life:
        return None
    halvings = config.decay_speed / config.half_life
    return ExponentialLR(optimiser, 2 ** (-halvings / steps))

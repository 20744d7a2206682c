"""The optimiser: stochastic gradient descent with momentum, its learning rate decaying exponentially (Sec. 4)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from bnrepro.config import OptimConfig
from bnrepro.models import Network


@dataclass
class Group:
    """Parameters with one weight of L2 regularisation, ``l2``, and the momentum of each; none without momentum."""

    parameters: list[Tensor]
    l2: float
    momenta: list[Tensor]


class SGD:
    """Gradient descent in place: v ← μv + g + λθ, θ ← θ − ηv, computed by the function beneath torch.optim.SGD.

    That class imports torch's compiler when it is made, which takes as long as torch itself; hence this one. Every
    parameter needs a gradient.

    Attributes:
        groups: the weights, with L2 regularisation; then biases, γ and β, without.
        lr: η, the learning rate now; a tensor while graph.py records.
        momentum: μ.
        decay: what the learning rate is multiplied by after a step.
        rates: (R,), where each replica of a stack has its own learning rate: η times this, and η begins at 1.
    """

    def __init__(self, groups: list[Group], lr: float, momentum: float, decay: float, rates: Tensor | None) -> None:
        self.groups = groups
        self.lr: float | Tensor = lr
        self.momentum = momentum
        self.decay = decay
        self.rates = rates

    @property
    def momenta(self) -> list[Tensor]:
        """Of all parameters, in the groups' order."""
        return [v for group in self.groups for v in group.momenta]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters; the gradients themselves stay, for whoever looks at them."""
        for group in self.groups:
            gradients, l2 = [p.grad for p in group.parameters], group.l2
            if self.rates is not None:
                gradients = [
                    p.grad.add(p, alpha=l2).mul_(self.rates.view(-1, *[1] * (p.dim() - 1)))  # type: ignore[union-attr]
                    for p in group.parameters
                ]
                l2 = 0.0
            sgd(
                group.parameters,
                gradients,  # type: ignore[arg-type]
                group.momenta,  # type: ignore[arg-type]
                lr=self.lr,
                momentum=self.momentum,
                weight_decay=l2,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                fused=True,
            )

    def lower_rate(self) -> None:
        """Let the learning rate decay by one step."""
        self.lr = self.lr * self.decay  # not in place: a recording reads the old one's memory

    def rates_now(self, losses: Tensor) -> Tensor:
        """Return the learning rates of the replicas now, (R,) like their ``losses``."""
        return (torch.ones_like(losses) if self.rates is None else self.rates) * self.lr

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate and the momenta."""
        return {"lr": self.lr, "momenta": self.momenta}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned; the momenta stay the tensors that they are.

        Raises:
            ValueError: they are another network's, or the learning rate is none that it can have come to.
        """
        pairs = list(zip(self.momenta, state["momenta"], strict=True))
        if any(own.shape != other.shape or own.dtype != other.dtype for own, other in pairs):
            raise ValueError("the momenta are of other shapes or precisions")
        if not 0 <= state["lr"] <= self.lr:
            raise ValueError(f"its learning rate is {state['lr']!r}, at most {self.lr} is possible")
        for own, other in pairs:
            own.copy_(other)
        self.lr = float(state["lr"])


def build(config: OptimConfig, model: Network, rates: list[float], steps: int) -> SGD:
    """Return what trains ``model`` in so many ``steps``; ``rates`` are the initial learning rates of the replicas.

    The gradients of a stack's replicas are separate, so one optimiser serves all.
    """
    weights: list[Tensor] = [weight for layer in model.weights().values() for weight in layer]
    others: list[Tensor] = [p for p in model.parameters() if not any(p is weight for weight in weights)]

    def group(parameters: list[Tensor], l2: float) -> Group:
        return Group(parameters, l2, [torch.zeros_like(p) for p in parameters] if config.momentum else [])

    halvings = config.decay_speed / config.half_life if config.half_life else 0.0
    return SGD(
        [group(weights, config.l2), group(others, 0.0)],
        lr=1.0 if config.rates else config.initial,
        momentum=config.momentum,
        decay=2 ** (-halvings / steps),
        rates=torch.tensor(rates, device=weights[0].device) if config.rates else None,
    )

"""The network of Sec. 4.1: fully connected layers, with or without BN before every nonlinearity (sigmoids)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from bnrepro.models.network import Network
from bnrepro.norm import Norm
from bnrepro.seeding import WEIGHTS, generator


class StackedLinear(nn.Module):
    """``W u + b`` for R replicas at once.

    Shapes:
        input (R, B, inputs), output (R, B, outputs); ``weight`` (R, inputs, outputs), ``bias`` (R, 1, outputs).
    """

    def __init__(self, weight: Tensor, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(weight.shape[0], 1, weight.shape[2])) if bias else None

    def forward(self, u: Tensor) -> Tensor:
        """Multiply each replica's mini-batch with its own weights."""
        if self.bias is None:
            return torch.bmm(u, self.weight)
        return torch.baddbmm(self.bias, u, self.weight)


class MLP(Network):
    """A stack of R networks ``z = g(W u + b)``, or ``z = g(BN(W u))``, with a linear output layer.

    g is the sigmoid or the ReLU. With BN the hidden layers have no bias: β takes its place (Sec. 3.2). A seed's
    weights are the same in both networks and whatever other seeds are in the stack.

    Shapes:
        input (R, B, ...) of widths[0] values, output logits (R, B, widths[-1]).
    """

    def __init__(
        self, widths: list[int], norm: Norm | None, init_std: float, nonlinearity: str, seeds: list[int]
    ) -> None:
        super().__init__()
        streams = [generator(seed, WEIGHTS) for seed in seeds]
        weights = [
            torch.stack([torch.randn(i, o, generator=g) for g in streams]) * init_std for i, o in pairwise(widths)
        ]
        bias = norm is None or norm.bias
        self.linears = nn.ModuleList(StackedLinear(weight, bias) for weight in weights[:-1])
        self.norms = nn.ModuleList(norm.make(width) for width in widths[1:-1]) if norm else None
        g = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[nonlinearity]
        self.nonlinearities = nn.ModuleList(g() for _ in widths[1:-1])
        self.output = StackedLinear(weights[-1], bias=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every replica."""
        u = images.flatten(2)
        for layer, (linear, g) in enumerate(zip(self.linears, self.nonlinearities, strict=True)):
            x = linear(u)
            u = g(x if self.norms is None else self.norms[layer](x))
        logits: Tensor = self.output(u)
        return logits

    def layers(self) -> dict[str, StackedLinear]:
        """Name the layers with weights: hidden1, hidden2, ..., output."""
        hidden = {f"hidden{i}": linear for i, linear in enumerate(self.linears, start=1)}
        return {**hidden, "output": self.output}  # type: ignore[dict-item]

    def weights(self) -> dict[str, list[Tensor]]:
        """Name the layers as :meth:`layers` does."""
        return {name: [linear.weight] for name, linear in self.layers().items()}

    def watched(self) -> dict[str, list[nn.Module]]:
        """Name the hidden layers: hidden1, hidden2, ..."""
        return {f"hidden{i}": [g] for i, g in enumerate(self.nonlinearities, start=1)}

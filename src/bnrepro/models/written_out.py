"""One step of plain gradient descent for the network of Sec. 4.1, its forward and backward pass written out.

autograd does the same in about a third more time, and is the oracle: tests/models/test_written_out.py. What is
saved: values are overwritten where nobody needs them again, and the product that makes a weight's gradient adds it to
the weight as it goes. Names are the paper's: u and z are a layer's input and output, x = W u + b, ``d_x`` is ∂ℓ/∂x.
"""

from typing import Any

import torch
from torch import Tensor

from bnrepro.models.mlp import MLP, StackedLinear
from bnrepro.norm import BatchNorm

aten: Any = torch.ops.aten  # the derivatives of g by its output, as the framework has them
NONLINEARITIES = {
    "Sigmoid": (torch.sigmoid_, aten.sigmoid_backward),
    "ReLU": (torch.relu_, lambda d_z, z: aten.threshold_backward(d_z, z, 0)),
}


class WrittenOut:
    """The step of a stack. It changes the model's parameters and moving averages in place.

    Args:
        model: with BN by :class:`bnrepro.norm.BatchNorm`, or without.
    """

    def __init__(self, model: MLP) -> None:
        self.weights = [linear.weight for linear in model.layers().values()]
        self.linears = [Linear(linear) for linear in model.layers().values()]
        norms = model.norms or [None for _ in model.linears]
        self.norms = [Normalised(norm) if isinstance(norm, BatchNorm) else None for norm in norms]
        self.g, self.g_backward = NONLINEARITIES[type(model.nonlinearities[0]).__name__]

    @torch.no_grad()
    def __call__(self, images: Tensor, labels: Tensor, rates: Tensor, gradients: bool) -> Tensor:
        """Do a step of every replica.

        Args:
            images: (R, B, ...).
            labels: (R, B).
            rates: (R,) the learning rates.
            gradients: whether those of the weights are wanted, as ``.grad``.

        Returns:
            (R,) the mean cross-entropy of each replica's mini-batch, before the step.
        """
        u = [images.flatten(2)]  # (R, B, C), the input of each layer
        for linear, norm in zip(self.linears, self.norms, strict=False):
            x = linear.forward(u[-1])
            u.append(self.g(norm.forward(x) if norm else x))
        losses, d_x = cross_entropy(self.linears[-1].forward(u[-1]), labels.unsqueeze(2))

        rate = rates.view(-1, 1, 1)
        for depth in reversed(range(len(self.linears))):
            self.weights[depth].grad = torch.bmm(u[depth].transpose(1, 2), d_x) if gradients else None
            d_u = self.linears[depth].backward(u[depth], d_x, rate, further=depth > 0)
            if depth:
                d_x = self.g_backward(d_u, u[depth])
                norm = self.norms[depth - 1]
                d_x = norm.backward(d_x, rate) if norm else d_x
        return losses


def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropies (R,), and their gradients with respect to the logits (R, B, classes).

    ``labels`` is (R, B, 1). The logits are overwritten.
    """
    x = logits.sub_(logits.amax(dim=2, keepdim=True))
    right = x.gather(2, labels)
    p = x.exp_()
    total = p.sum(dim=2, keepdim=True)
    losses = (total.log() - right).mean(dim=(1, 2))
    one_hot = torch.arange(p.shape[2], device=p.device) == labels
    return losses, p.div_(total).sub_(one_hot.to(p.dtype)).div_(labels.shape[1])


class Linear:
    """``x = W u + b``."""

    def __init__(self, linear: StackedLinear) -> None:
        self.weight = linear.weight.detach()  # (R, inputs, outputs)
        self.bias = None if linear.bias is None else linear.bias.detach()  # (R, 1, outputs)

    def forward(self, u: Tensor) -> Tensor:
        """Return x."""
        return torch.bmm(u, self.weight) if self.bias is None else torch.baddbmm(self.bias, u, self.weight)

    def backward(self, u: Tensor, d_x: Tensor, rate: Tensor, further: bool) -> Tensor:
        """Descend along ``d_x``, which is overwritten, by ``rate`` (R, 1, 1); return d_u where it goes ``further``."""
        d_u = torch.bmm(d_x, self.weight.transpose(1, 2)) if further else d_x
        step = d_x.mul_(rate)
        self.weight.baddbmm_(u.transpose(1, 2), step, alpha=-1)
        if self.bias is not None:
            self.bias.sub_(step.sum(dim=1, keepdim=True))
        return d_u


class Normalised:
    """Algorithm 1 over (R, B, C); all else is (R, 1, C)."""

    x_hat: Tensor
    inverse_std: Tensor

    def __init__(self, norm: BatchNorm) -> None:
        parts = norm.weight.detach(), norm.bias.detach(), norm.running_mean, norm.running_var
        self.gamma, self.beta, self.running_mean, self.running_var = (part.unsqueeze(1) for part in parts)
        self.eps, self.momentum = norm.eps, norm.momentum

    def forward(self, x: Tensor) -> Tensor:
        """Return y; x is overwritten."""
        m = x.shape[1]
        mean = x.mean(dim=1, keepdim=True)
        centred = x.sub_(mean)
        variance = centred.square().mean(dim=1, keepdim=True)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (m / (m - 1)), self.momentum)
        self.inverse_std = variance.add_(self.eps).rsqrt_()
        self.x_hat = centred.mul_(self.inverse_std)
        return torch.addcmul(self.beta, self.gamma, self.x_hat)

    def backward(self, d_y: Tensor, rate: Tensor) -> Tensor:
        """Descend along ``d_y``, which is overwritten, by ``rate`` (R, 1, 1); return d_x.

        The six equations of Sec. 3, the first four put into the others: with x̂ of mean 0,
        ``d_x = γ/√(σ² + ε) (d_y - d_β/m - x̂ d_γ/m)``.
        """
        m = d_y.shape[1]
        d_beta = d_y.sum(dim=1, keepdim=True)
        d_gamma = (d_y * self.x_hat).sum(dim=1, keepdim=True)
        d_x = (
            d_y.addcmul_(self.x_hat, d_gamma, value=-1 / m)
            .sub_(d_beta, alpha=1 / m)
            .mul_(self.gamma * self.inverse_std)
        )
        self.gamma.sub_(d_gamma.mul_(rate))
        self.beta.sub_(d_beta.mul_(rate))
        return d_x

"""What the convolutional networks are made of."""

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bnrepro.norm import Norm
from bnrepro.norm.transform import widened
from bnrepro.seeding import DROPOUT, WEIGHTS, generator, onto, uniform

NONLINEARITIES = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
INITS = {  # standard deviation of a weight with n inputs
    "gaussian": lambda n: 0.01,  # small, whatever the layer: Krizhevsky et al. 2012
    "xavier": lambda n: math.sqrt(1 / n),  # Glorot & Bengio 2010, fan-in only
    "he": lambda n: math.sqrt(2 / n),  # He et al. 2015, arXiv 1502.01852
}


class ConvUnit(nn.Module):
    """``z = g(W * u + b)``, or ``z = g(BN(W * u))`` (Sec. 3.2), the image's size kept but for the stride.

    Without a nonlinearity it gives what g is a function of.

    Shapes: (B, inputs, H, W) to (B, outputs, H/stride, W/stride).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int,
        multiplier: int,
        norm: Norm | None,
        nonlinearity: str | None,
    ) -> None:
        super().__init__()
        bias = norm is None or norm.bias
        padding = kernel // 2
        if multiplier:
            maps = inputs * multiplier
            depthwise = nn.Conv2d(inputs, maps, kernel, stride, padding, groups=inputs, bias=False)
            self.conv: nn.Module = nn.Sequential(depthwise, nn.Conv2d(maps, outputs, 1, bias=bias))
        else:
            self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
        self.norm = norm.make(outputs) if norm else None
        self.nonlinearity = NONLINEARITIES[nonlinearity]() if nonlinearity else nn.Identity()

    def forward(self, u: Tensor) -> Tensor:
        """Convolve, normalise, apply the nonlinearity."""
        x = self.conv(u)
        z: Tensor = self.nonlinearity(x if self.norm is None else self.norm(x))
        return z


class Beside(nn.Module):
    """Branches side by side, what they give concatenated over the maps.

    Where the first branches all begin with a 1x1 convolution, these are computed as one, for convolution and
    normalisation are per map. The nonlinearity stays with each branch: its inputs are watched there, and what it gives
    lies close together again, as the maps that were dealt out do not.

    Args:
        branches: each from (B, C, H, W) to (B, its maps, H/stride, W/stride).
        first: the convolutions as one, without the nonlinearity, or None.
        dealt: how many of its maps go to each of the first branches.
    """

    def __init__(self, *branches: nn.Module, first: ConvUnit | None = None, dealt: Iterable[int] = ()) -> None:
        super().__init__()
        self.first = first
        self.dealt = list(dealt)
        self.branches = nn.ModuleList(branches)

    def forward(self, u: Tensor) -> Tensor:
        """Give each branch its maps of ``first``, the others ``u`` itself."""
        parts = torch.split(self.first(u), self.dealt, dim=1) if self.first is not None else ()
        given = [*parts, *[u] * (len(self.branches) - len(parts))]
        return torch.cat([branch(part) for branch, part in zip(self.branches, given, strict=True)], dim=1)


class PerActivation(nn.Module):
    """BN with a mean, variance, γ and β for each position of each map, as in a fully connected layer (Sec. 4.2.3)."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    @staticmethod
    def of(norm: Norm | None, side: int) -> Norm | None:
        """Return the same normalisation for the activations of square maps of ``side`` pixels."""
        return norm and Norm(lambda channels: PerActivation(norm.make(channels * side * side)), norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over the B examples only."""
        y: Tensor = self.norm(x.flatten(1))
        return y.view(x.shape)


class LocalResponseNorm(nn.Module):
    """Local response normalisation (Krizhevsky et al. 2012) with the settings of GoogLeNet's public model.

    ``y = x / (1 + α/5 Σ x²)^0.75``, the sum over the five nearest maps, α = 1e-4: the framework's layer, by a banded
    1x1 convolution, which is several times faster on maps that are channels-last.

    That α is of a network fed whole grey levels. Activations of unit variance it changes by less than a thousandth.
    """

    band: Tensor

    def __init__(self, maps: int) -> None:
        super().__init__()
        near = torch.arange(maps)
        band = ((near - near.view(-1, 1)).abs() <= 2).float() * (1e-4 / 5)
        self.register_buffer("band", band.view(maps, maps, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, maps, H, W)."""
        counted = x.is_meta  # a network that is only counted
        with nullcontext() if counted else torch.autocast(x.device.type, enabled=False):  # what it adds to 1 is small
            y: Tensor = _LocalResponse.apply(widened(x), self.band)
        return y


class _LocalResponse(torch.autograd.Function):
    """``y = x s^(-3/4)`` with ``s = 1 + band * x²``, its gradient written out: a third of autograd's time.

    The band is symmetric, so ``∂l/∂x = g s^(-3/4) - 3/2 x (band * (g x s^(-7/4)))``, where g is ``∂l/∂y``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, band: Tensor) -> Tensor:
        root = (1 + nn.functional.conv2d(x.square(), band)).rsqrt()  # s^(-1/2)
        power = root.sqrt().mul_(root)  # s^(-3/4), without the slow pow
        ctx.save_for_backward(x, band, root, power)
        return x * power

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        x, band, root, power = ctx.saved_tensors
        spread = nn.functional.conv2d((g * x).mul_(power).mul_(root).mul_(root), band)
        return spread.mul_(x).mul_(-1.5).addcmul_(g, power), None


class Dropout(nn.Module):
    """Dropout (Srivastava et al. 2014) with a stream of its own, so that a resumed run drops what it would have."""

    kept: Tensor

    def __init__(self, p: float, seed: int) -> None:
        super().__init__()
        self.p = p
        self.generator = generator(seed, DROPOUT)

    def forward(self, u: Tensor) -> Tensor:
        """In training set a share p of (B, C) to 0 and scale the others by 1/(1-p)."""
        if not self.training or self.p == 0:
            return u
        if not (u.is_cuda and torch.cuda.is_current_stream_capturing()):
            self.kept = self._draw(u.shape, u.device)
        # a CUDA graph (graph.py) reads the mask before it: one made in it would share its memory with other values
        return u * self.kept / (1 - self.p)

    def draw_into(self, kept: Tensor) -> None:
        """Draw what the next step keeps to where a CUDA graph reads it."""
        kept.copy_(self._draw(kept.shape, kept.device))

    def _draw(self, shape: torch.Size, device: torch.device) -> Tensor:
        return onto(device, uniform(self.generator, tuple(shape)) >= self.p)

    def get_extra_state(self) -> Tensor:
        """Return the stream's state, for the checkpoint."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Go on where ``state`` was taken."""
        self.generator.set_state(state.cpu().clone())


@torch.no_grad()
def draw_weights(model: nn.Module, init: str, scale: float, seed: int) -> None:
    """Draw every convolution's and linear layer's weights, biases 0: the same for a seed with and without BN.

    ``scale`` is of the convolutions' alone ("increased initial weights in the convolutional layers", Sec. 4.2.3).
    """
    if next(model.parameters()).is_meta:  # a network that is only counted
        return
    stream = generator(seed, WEIGHTS)
    for weight in _branch_by_branch(model):
        std = INITS[init](weight[0].numel()) * (scale if weight.dim() == 4 else 1.0)
        weight.copy_(torch.randn(weight.shape, generator=stream) * std)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.zero_()


def _branch_by_branch(module: nn.Module) -> Iterator[Tensor]:
    """Yield each layer's weights in the order of the network's table, of convolutions computed as one each its own."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        yield module.weight
    elif isinstance(module, Beside) and module.first:
        (weight,) = conv_weights(module.first)
        for branch, own in itertools.zip_longest(module.branches, torch.split(weight, module.dealt)):
            if own is not None:
                yield own
            yield from _branch_by_branch(branch)
    else:
        for child in module.children():
            yield from _branch_by_branch(child)


def conv_weights(module: nn.Module) -> list[Tensor]:
    """Return the weights of every convolution in ``module``."""
    return [conv.weight for conv in module.modules() if isinstance(conv, nn.Conv2d)]


def nonlinearities(module: nn.Module) -> list[list[nn.Module]]:
    """Return the nonlinearities on each way through ``module``, its branches if it has some, where there are any."""
    sides = [m.branches for m in module.modules() if isinstance(m, Beside)]
    kinds = tuple(NONLINEARITIES.values())
    ways = [[m for m in way.modules() if isinstance(m, kinds)] for way in (sides[0] if sides else [module])]
    return [way for way in ways if way]

"""Algorithm 1: the BN transform over a mini-batch and its six gradients, written out as the paper has them (Sec. 3).

The framework's fused kernel computes the same; this is the text beside the paper, and the oracle of the other.
"""

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable


class BNTransform(torch.autograd.Function):
    """``y = BN_γ,β(x)``. ``dims`` are the dimensions of the mini-batch, over which the m values of one activation lie.

    ``gamma`` and ``beta`` have size 1 there, and so have the mini-batch's mean and its biased variance (Algorithm 1
    divides by m), which are returned beside y for Algorithm 2 and carry no gradient. In the names of the backward
    pass ``d_y`` is ∂ℓ/∂y.
    """

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, eps: float, dims: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the four lines of Algorithm 1."""
        mean = x.mean(dims, keepdim=True)
        variance = (x - mean).square().mean(dims, keepdim=True)
        x_hat = (x - mean) / torch.sqrt(variance + eps)
        y = gamma * x_hat + beta
        ctx.save_for_backward(x, gamma, mean, variance, x_hat)
        ctx.eps, ctx.dims = eps, dims
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Compute the six equations of Sec. 3, in their order."""
        x, gamma, mean, variance, x_hat = ctx.saved_tensors
        eps, dims = ctx.eps, ctx.dims
        m = x.numel() // mean.numel()

        def total(values: Tensor) -> Tensor:
            return values.sum(dims, keepdim=True)

        d_x_hat = d_y * gamma
        d_variance = total(d_x_hat * (x - mean)) * -0.5 * (variance + eps) ** -1.5
        d_mean = total(d_x_hat) * -1 / torch.sqrt(variance + eps) + d_variance * total(-2 * (x - mean)) / m
        d_x = d_x_hat / torch.sqrt(variance + eps) + d_variance * 2 * (x - mean) / m + d_mean / m
        d_gamma = total(d_y * x_hat)
        d_beta = total(d_y)
        return d_x, d_gamma, d_beta, None, None


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise over the mini-batch, each activation (or feature map) on its own.

    Args:
        x: (B, C), or (B, C, H, W), where all B·H·W values of a map form its mini-batch (Sec. 3.2); in front may
            stand one dimension R for a stack of replicas. Half precision is computed in float32.
        gamma: (C,), or (R, C).
        beta: as ``gamma``.
        eps: ε of Algorithm 1, added to the variance.

    Returns:
        y like x, and the mini-batch's mean and biased variance like gamma.

    Raises:
        ValueError: shapes do not fit, there is one value per activation, x is not finite, or ε, 0 or too small for
            x's kind of number, would let something be divided by zero.
    """
    if not 0 <= eps < math.inf:
        raise ValueError(f"ε is {eps}: it must be a finite number, 0 or more")
    check_mini_batch(x, gamma.shape)
    if beta.shape != gamma.shape:
        raise ValueError(f"β has shape {tuple(beta.shape)}: it must have γ's, {tuple(gamma.shape)}")
    if not torch.isfinite(x).all():
        raise ValueError(f"the input of shape {tuple(x.shape)} has values that are not finite; BN needs finite ones")
    y, mean, variance = transform(x, gamma, beta, eps)
    if torch.tensor(eps, dtype=variance.dtype) == 0:
        dims = mini_batch_dims(x, gamma.shape)
        # of equal values that do not add up exactly the variance is not 0, but rounding
        if not ((x.amax(dims) > x.amin(dims)) & (variance > 0)).all():
            raise ValueError(f"an activation has the variance 0, and ε is {eps:g}, 0 in {variance.dtype}: take more")
    return y, mean, variance


def transform(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Do what :func:`batch_norm` does, without its checks of the values: a replica that diverges is no error."""
    dims = mini_batch_dims(x, gamma.shape)
    over = expand(gamma, x), expand(beta, x)
    y, mean, variance = BNTransform.apply(widened(x), *over, eps, dims)
    return y.to(x.dtype), mean.view(gamma.shape), variance.view(gamma.shape)


def widened(x: Tensor) -> Tensor:
    """Return half precision as float32, in which moments are computed; other kinds of numbers as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def mini_batch_dims(x: Tensor, shape: Size) -> tuple[int, ...]:
    """Return the dimensions over which the values of one activation lie; ``shape`` is (C,) or (R, C)."""
    batch = len(shape) - 1
    return (batch, *range(batch + 2, x.dim()))


def expand(per_activation: Tensor, x: Tensor) -> Tensor:
    """View (C,) or (R, C) so that it broadcasts against x, whatever dimensions a map has."""
    *stack, features = per_activation.shape
    return per_activation.view(*stack, 1, features, *(1 for _ in range(x.dim() - len(stack) - 2)))


def check_shape(shape: tuple[int, ...]) -> None:
    """Check that ``shape`` is (C,) or (R, C), each 1 or more.

    Raises:
        ValueError: it is not.
    """
    if not (1 <= len(shape) <= 2 and all(n >= 1 for n in shape)):
        raise ValueError(f"the shape of the activations is {tuple(shape)}: it must be (C,), or (R, C) for a stack")


def check_mini_batch(x: Tensor, shape: Size, training: bool = True) -> None:
    """Check that x is a mini-batch of activations of ``shape``, (C,) or (R, C).

    Raises:
        ValueError: ``shape`` is none of activations, the rank, the number of activations or the kind of number does
            not fit, or in training there is one value per activation.
    """
    check_shape(shape)
    *stack, features = shape
    seen = tuple(x.shape)
    rank = len(shape) + 1
    fits = len(seen) in (rank, rank + 2) and list(seen[: len(stack)]) == stack and seen[len(stack) + 1] == features
    if not fits:
        wanted = f"({', '.join([*map(str, stack), 'B', str(features)])}), or with H, W behind for feature maps"
        raise ValueError(f"BN over {features} activations got an input of shape {seen}: it must be {wanted}")
    if not x.is_floating_point():
        raise ValueError(f"BN got an input of {x.dtype}: it must be of floating point numbers")
    m = x.numel() // shape.numel()
    if training and m < 2:
        raise ValueError(f"BN got an input of shape {seen}: an activation has {m} of the 2 values that it needs")

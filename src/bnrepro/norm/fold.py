"""Algorithm 2, line 11: in inference BN is one affine map per activation, so it folds into the layer before it."""

import torch
from torch import Tensor

from bnrepro.norm.modules import BatchNorm


def affine(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Return scale ``γ / √(Var[x] + ε)`` and shift ``β - γ E[x] / √(Var[x] + ε)``, both of the norm's shape."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - scale * norm.running_mean


def fold(norm: BatchNorm, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a layer that does what the layer and ``norm`` after it do in inference.

    Args:
        norm: with moments of the population.
        weight: of a linear layer (C, inputs) or a convolution (C, inputs, height, width), the norm's shape being
            (C,); or of a stack of linear layers (R, inputs, C), the norm's shape being (R, C).
        bias: (C,), or (R, 1, C) for a stack.

    Raises:
        ValueError: ``norm`` is no BN, or the layer's weight or bias has not its number of outputs.
    """
    if not isinstance(norm, BatchNorm):
        raise ValueError(f"only BN is one affine map per activation: a {type(norm).__name__} does not fold")
    stacked = len(norm.shape) == 2
    outputs = torch.Size([weight.shape[0], weight.shape[-1]] if stacked else weight.shape[:1])
    if weight.dim() not in ((3,) if stacked else (2, 4)) or outputs != norm.shape:
        wanted = "(R, inputs, C)" if stacked else "(C, inputs) or (C, inputs, height, width)"
        raise ValueError(f"the weight has shape {tuple(weight.shape)}: BN over {tuple(norm.shape)} wants {wanted}")
    fitting = (norm.shape[0], 1, norm.shape[1]) if stacked else tuple(norm.shape)
    if bias is not None and tuple(bias.shape) != fitting:
        raise ValueError(f"the bias has shape {tuple(bias.shape)}: BN over {tuple(norm.shape)} wants {fitting}")
    scale, shift = affine(norm)
    if stacked:
        scale, shift = scale.unsqueeze(1), shift.unsqueeze(1)
        folded = weight * scale
    else:
        folded = weight * scale.view(-1, *(1 for _ in weight.shape[1:]))
    return folded, shift if bias is None else shift + scale * bias

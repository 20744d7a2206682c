"""Full whitening of a mini-batch (Sec. 2): the covariance, its inverse square root, and the derivative of that."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (..., C) and the biased covariance (..., C, C) of (..., B, C)."""
    mean = x.mean(dim=-2)
    centred = x - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / x.shape[-2]


class _InverseSquareRoot(torch.autograd.Function):
    """``(Σ + εI)^(-1/2)`` by eigendecomposition, ``Σ + εI = V diag(λ) Vᵀ``.

    Its derivative, for ``f(λ) = λ^(-1/2)``, is ``V (K ∘ Vᵀ dΣ V) Vᵀ`` with the divided differences
    ``K_ij = (f(λ_i) - f(λ_j)) / (λ_i - λ_j) = -1 / (√λ_i √λ_j (√λ_i + √λ_j))`` (Daleckii & Krein 1965; Higham,
    Functions of Matrices, 2008, Theorem 3.11). Written so it needs no distinct eigenvalues, which the derivative of
    the eigenvectors does and a singular covariance does not have.

    A matrix that is not finite, for which the decomposition of all would fail, gives NaN.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, eps: float) -> Tensor:
        finite = torch.isfinite(covariance).all(dim=(-2, -1), keepdim=True)
        values, V = torch.linalg.eigh(covariance.where(finite, 0.0))
        roots = (values.clamp_min(0) + eps).sqrt()  # rounding may leave an eigenvalue of Σ just below 0
        ctx.save_for_backward(roots, V)
        root: Tensor = (V / roots.unsqueeze(-2)) @ V.mT
        return root.where(finite, torch.nan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_root: Tensor) -> tuple[Tensor, None]:
        roots, V = ctx.saved_tensors
        i, j = roots.unsqueeze(-1), roots.unsqueeze(-2)
        K = -1 / (i * j * (i + j))
        d = V @ (K * (V.mT @ d_root @ V)) @ V.mT
        return (d + d.mT) / 2, None


def inverse_square_root(covariance: Tensor, eps: float) -> Tensor:
    """Return ``(Σ + εI)^(-1/2)`` of symmetric positive semidefinite Σ (..., C, C), differentiable.

    Raises:
        ValueError: Σ is not square, or ε not finite and above 0.
    """
    if covariance.dim() < 2 or covariance.shape[-1] != covariance.shape[-2]:
        raise ValueError(f"the covariance has shape {tuple(covariance.shape)}: it must be square, (..., C, C)")
    if not 0 < eps < math.inf:
        raise ValueError(f"ε is {eps}: it must be finite and above 0, for a covariance may be singular")
    root: Tensor = _InverseSquareRoot.apply(covariance, eps)
    return root

"""The gate before every stopwatch: a fast path that computes something else is not fast."""

import torch
from torch import Tensor

from bnrepro.errors import BadInput

NEAR = 1e-3  # relative, after some steps in float32, where the order of additions differs


def require_same(what: str, ours: list[Tensor], theirs: list[Tensor]) -> None:
    """Compare the losses of two paths, step by step.

    Raises:
        BadInput: they are not the same to rounding.
    """
    first, second = torch.stack(ours).double(), torch.stack(theirs).double()
    error = ((first - second).abs() / second.abs()).max().item()
    if not error <= NEAR:
        raise BadInput(f"{what}: losses differ by {error:.1e} of their size, allowed {NEAR:g}; nothing was timed")

"""The gate before every stopwatch: a fast path that computes something else is not fast."""

import torch
from torch import Tensor

from bnrepro.errors import BadInput


def require_same(what: str, ours: list[Tensor], theirs: list[Tensor], near: float) -> None:
    """Compare the losses of two paths, step by step; ``near``: how far they may be apart, relative to their size.

    Raises:
        BadInput: they are not the same to rounding.
    """
    first, second = torch.stack(ours).double(), torch.stack(theirs).double()
    error = ((first - second).abs() / second.abs()).max().item()
    if not error <= near:
        raise BadInput(f"{what}: losses differ by {error:.1e} of their size, allowed {near:g}; nothing was timed")

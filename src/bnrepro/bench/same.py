"""The gate before a stopwatch: a fast path that computes something else is not fast.

Both paths train from the same weights on the same mini-batches, in double precision, for in single precision rounding
grows with every step, in an Inception network a thousandfold. Then all parameters and moving averages are compared.
"""

import torch
from torch import Tensor, nn

from bnrepro.errors import BadInput
from bnrepro.models import MLP, WrittenOut
from bnrepro.state import State

NEAR = 1e-7  # of a tensor's norm, after some steps


class InDouble(nn.Module):
    """A network in double precision for inputs in single precision."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.double()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.model(images.double())
        return logits


def in_double(state: State) -> State:
    """Turn ``state``, at its first step, into one that trains in double precision; return it."""
    state.parallel = InDouble(state.model)
    state.loss = state.loss.double()
    if state.written_out:
        assert isinstance(state.model, MLP)
        step = WrittenOut(state.model)

        def widened(images: Tensor, labels: Tensor, rates: Tensor, gradients: bool) -> Tensor:
            return step(images.double(), labels, rates, gradients)

        state.written_out = widened
    return state


def require_same(what: str, ours: nn.Module, theirs: nn.Module) -> None:
    """Compare the parameters and moving averages that two networks have by the same name.

    Raises:
        BadInput: one is not the same to rounding; the message names it.
    """
    reference = theirs.state_dict()
    for name, value in ours.state_dict().items():
        if name not in reference or not value.is_floating_point():
            continue
        apart = torch.linalg.vector_norm(value - reference[name].view(value.shape))
        size = torch.linalg.vector_norm(reference[name])
        if not apart <= NEAR * size:
            raise BadInput(
                f"{what}: {name} is {apart / size:.1e} of its size from what the framework's own step makes of it, "
                f"allowed {NEAR:g}; nothing was timed"
            )

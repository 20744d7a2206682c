"""The gate before a stopwatch: a fast path that computes something else is not fast.

Both paths train from the same weights on the same mini-batches, in double precision, for in single precision rounding
grows with every step, in an Inception network a thousandfold. Then losses, all parameters and moving averages are
compared; and what a single step changes in the precision that is timed.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnrepro.errors import BadInput
from bnrepro.models import MLP, WrittenOut
from bnrepro.state import State

NEAR = 1e-7  # of a tensor's norm, after some steps
Trained = tuple[nn.Module, Callable[[], object]]  # a network, and what does a step of it


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
    state.recorded = False  # a recording has its learning rate in single precision
    state.parallel = InDouble(state.model)
    state.loss = state.loss.double()
    for group in state.optimiser.groups:
        group.momenta = [v.double() for v in group.momenta]
    if state.written_out:
        assert isinstance(state.model, MLP)
        step = WrittenOut(state.model)

        def widened(images: Tensor, labels: Tensor, rates: Tensor, gradients: bool) -> Tensor:
            return step(images.double(), labels, rates, gradients)

        state.written_out = widened
    return state


def require_same(what: str, ours: nn.Module, theirs: nn.Module, allowed: float = NEAR) -> None:
    """Compare the parameters and moving averages of two networks.

    Raises:
        BadInput: one is not the same to rounding, or not there; the message names it.
    """
    own, reference = _numbers(ours), _numbers(theirs)
    if own.keys() != reference.keys():
        raise BadInput(f"{what}: only one of two networks has {min(own.keys() ^ reference.keys())}; nothing was timed")
    for name, value in own.items():
        require_near(f"{what}: {name}", value, reference[name].view(value.shape), allowed)


def require_same_loss(what: str, ours: Tensor, theirs: Tensor, allowed: float = NEAR) -> None:
    """Compare the losses of a step.

    Raises:
        BadInput: they are not the same to rounding.
    """
    require_near(f"{what}: the loss", ours.detach(), theirs.detach().view(ours.shape), allowed)


def change(trained: Trained, steps: int = 1) -> Tensor:
    """Return what steps from the same parameters change in them, added up, all parameters one after another.

    Each mini-batch is another; after each step the parameters are what they were before it.
    """
    network, step = trained
    before = [p.detach().clone() for p in network.parameters()]
    added = torch.zeros(sum(p.numel() for p in before), device=before[0].device, dtype=before[0].dtype)
    for _ in range(steps):
        step()
        moved = zip(network.parameters(), before, strict=True)
        added += torch.cat([(p.detach() - old).flatten() for p, old in moved])
        with torch.no_grad():
            for p, old in zip(network.parameters(), before, strict=True):
                p.copy_(old)
    return added


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Return how far ``ours`` is from ``theirs``, in parts of its size."""
    return float(torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs))


def require_near(what: str, ours: Tensor, theirs: Tensor, allowed: float) -> None:
    """Compare two results of one computation.

    Raises:
        BadInput: they are more than ``allowed`` apart, by :func:`distance`.
    """
    apart = distance(ours, theirs)
    if not apart <= allowed and not torch.equal(ours, theirs):  # which may be 0
        raise BadInput(
            f"{what} is {apart:.1e} of its size from what the framework's own step makes of it, allowed {allowed:g}; "
            "nothing was timed"
        )


def require_as_large(what: str, ours: Tensor, theirs: Tensor, allowed: float) -> None:
    """Compare how large two results are, of ``ours`` the part in ``theirs``' direction, which rounding leaves alone.

    Raises:
        BadInput: the part is not 1 within ``allowed``.
    """
    part = float(torch.dot(ours, theirs) / torch.dot(theirs, theirs))
    if not abs(part - 1) <= allowed:
        raise BadInput(f"{what} goes {part:.2f} times as far as the framework's own; nothing was timed")


def _numbers(network: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}

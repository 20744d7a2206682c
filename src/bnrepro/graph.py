"""A step as one CUDA graph: its hundreds of kernels are launched at once, not one by one by the CPU."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from bnrepro.data import Examples
from bnrepro.models import Network
from bnrepro.models.units import Dropout
from bnrepro.optim import SGD

WARM_UP = 3  # steps before the recording, in which the libraries choose their kernels and take their memory
ALLOWED = {"rtol": 1e-3, "atol": 1e-6}  # between the recording and the step: the learning rate is in single precision


class StepGraph:
    """A step of a stack on a GPU, recorded once and then replayed.

    What differs from step to step comes in from outside, by being copied to where the recording reads it: the
    mini-batch, the learning rate, and which activations dropout keeps. Parameters, moving averages and momenta are
    changed in place, so a graph holds until one of these tensors is another one.

    Args:
        model: what is trained.
        optimiser: of it.
        step: does a step with a mini-batch and returns the losses (R,); it may not wait for the GPU.
        batch: a mini-batch.

    Raises:
        RuntimeError: the step cannot be recorded, or its replay is another step.
    """

    def __init__(self, model: Network, optimiser: SGD, step: Callable[[Examples], Tensor], batch: Examples) -> None:
        self.optimiser = optimiser
        self.batch = Examples(batch.images.clone(), batch.labels.clone())
        self.dropouts = [module for module in model.modules() if isinstance(module, Dropout) and module.p > 0]
        self.graph = torch.cuda.CUDAGraph()
        lr = optimiser.lr
        self.lr = batch.images.new_full((), float(lr))
        before = Moment.of(model, optimiser)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        try:
            optimiser.lr = self.lr
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    losses = step(self.batch)
                    after = Moment.of(model, optimiser)
                    before.put_back(model, optimiser)
            with torch.cuda.graph(self.graph, stream=stream):
                self.losses = step(self.batch)
            self.kept = [dropout.kept for dropout in self.dropouts]
        finally:
            torch.cuda.current_stream().wait_stream(stream)
            optimiser.lr = lr
            before.put_back(model, optimiser)
        replayed = self.replay(batch)
        same = torch.allclose(replayed, losses, **ALLOWED, equal_nan=True) and after.is_near(
            Moment.of(model, optimiser)
        )
        before.put_back(model, optimiser)
        if not same:
            raise RuntimeError("its replay does something else")

    def replay(self, batch: Examples) -> Tensor:
        """Do the step with ``batch``; return the losses (R,)."""
        self.batch.images.copy_(batch.images)
        self.batch.labels.copy_(batch.labels)
        self.lr.fill_(self.optimiser.lr)
        for dropout, kept in zip(self.dropouts, self.kept, strict=True):
            dropout.draw_into(kept)
        self.graph.replay()
        return self.losses.clone()


@dataclass(frozen=True)
class Moment:
    """All that a step changes, as it was at one moment: the model, its streams of random numbers, the momenta."""

    model: dict[str, Tensor]
    momenta: list[Tensor]

    @classmethod
    def of(cls, model: Network, optimiser: SGD) -> Self:
        """Return copies."""
        numbers = {name: value.clone() for name, value in model.state_dict().items()}
        return cls(numbers, [v.clone() for v in optimiser.momenta])

    def put_back(self, model: Network, optimiser: SGD) -> None:
        """Write them where they were."""
        model.load_state_dict(self.model)
        for now, before in zip(optimiser.momenta, self.momenta, strict=True):
            now.copy_(before)

    def is_near(self, other: Self) -> bool:
        """Say whether another moment is this one, up to rounding."""
        pairs = [(value, other.model[name]) for name, value in self.model.items()]
        pairs += zip(self.momenta, other.momenta, strict=True)
        return all(torch.allclose(mine, theirs, **ALLOWED, equal_nan=True) for mine, theirs in pairs)


def recorded(model: Network, optimiser: SGD, step: Callable[[Examples], Tensor], batch: Examples) -> StepGraph | None:
    """Return the step recorded, and the same run as before; None, and a line, where that cannot be."""
    try:
        return StepGraph(model, optimiser, step, batch)
    except RuntimeError as error:  # for want of memory, too: a recording keeps what a launched step gives back
        reason = next(iter(str(error).splitlines()), type(error).__name__)
    torch.cuda.empty_cache()
    print(f"no CUDA graph, each kernel is launched by itself: {reason}", flush=True)
    return None

"""A step as one CUDA graph: its hundreds of kernels are launched at once, not one by one by the CPU."""

from collections.abc import Callable

import torch
from torch import Tensor

from bnrepro.data import Examples
from bnrepro.models import Network
from bnrepro.models.units import Dropout

WARM_UP = 3  # steps before the recording, in which the libraries choose their kernels and take their memory


class StepGraph:
    """A step of a stack on a GPU, recorded once and then replayed.

    What differs from step to step comes in from outside, by being copied to where the recording reads it: the
    mini-batch, the learning rate, and which activations dropout keeps. Parameters, moving averages and momenta are
    changed in place; those that the warm-up has changed are put back. So a graph holds until one of these tensors is
    another one.

    Args:
        model: what is trained.
        optimiser: of it, with one learning rate for all groups.
        step: does a step with a mini-batch and returns the losses (R,); it may not wait for the GPU.
        batch: a mini-batch, of which only the shape matters.
    """

    def __init__(
        self, model: Network, optimiser: torch.optim.Optimizer, step: Callable[[Examples], Tensor], batch: Examples
    ) -> None:
        self.optimiser = optimiser
        self.batch = Examples(batch.images.clone(), batch.labels.clone())
        rates = [group["lr"] for group in optimiser.param_groups]
        self.lr = batch.images.new_full((), rates[0])
        self.dropouts = [module for module in model.modules() if isinstance(module, Dropout) and module.p > 0]
        self.graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        try:
            self._set_rates([self.lr] * len(rates))
            with torch.cuda.stream(stream):
                self._warm_up(model, step)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self.graph, stream=stream):
                self.losses = step(self.batch)
        finally:
            self._set_rates(rates)

    def _warm_up(self, model: Network, step: Callable[[Examples], Tensor]) -> None:
        before = {name: value.clone() for name, value in model.state_dict().items()}
        momenta = {p: self.optimiser.state[p]["momentum_buffer"].clone() for p in self._with_momentum()}
        for _ in range(WARM_UP):
            step(self.batch)
        model.load_state_dict(before)
        for p in self._with_momentum():  # the first step's momentum is the gradient: as if it had been 0 before
            now = self.optimiser.state[p]["momentum_buffer"]
            now.copy_(momenta[p]) if p in momenta else now.zero_()

    def _with_momentum(self) -> list[Tensor]:
        return [p for p, kept in self.optimiser.state.items() if kept.get("momentum_buffer") is not None]

    def _set_rates(self, rates: list[Tensor] | list[float]) -> None:
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate

    def replay(self, batch: Examples) -> Tensor:
        """Do the step with ``batch``; return the losses (R,)."""
        self.batch.images.copy_(batch.images)
        self.batch.labels.copy_(batch.labels)
        self.lr.fill_(self.optimiser.param_groups[0]["lr"])
        for dropout in self.dropouts:
            dropout.draw_recorded()
        self.graph.replay()
        return self.losses.clone()

"""The loop: it asks the probes when and hands on what they saw; what they measure it does not know."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch.nn import functional

from bnrepro import distributed
from bnrepro.norm import Normalisation
from bnrepro.probes import Measurement, Probe
from bnrepro.state import State


class Sink(Protocol):
    """Where measurements go."""

    def add(self, step: int, measurements: list[Measurement]) -> None:
        """Take what was measured at ``step``."""


def train(
    state: State,
    steps: int,
    probes: Sequence[Probe],
    sinks: Sequence[Sink],
    after_step: Callable[[State], None],
) -> None:
    """Train the stack until ``steps`` mini-batches are done."""
    while state.step < steps:
        advance(state)
        for probe in probes:
            if probe.when(state.step):
                measurements = probe.measure(state)
                for sink in sinks:
                    sink.add(state.step, measurements)
        after_step(state)


def advance(state: State) -> None:
    """Do one step of every replica.

    The losses are summed over replicas, so each replica's gradient is its own; one that diverges is marked with the
    step and leaves the others alone. Of several processes, each has its share of the mini-batch; gradients, losses and
    moving averages are the means of theirs.
    """
    batch = state.sampler.next()
    state.optimiser.zero_grad()
    logits = state.parallel(batch.images)  # (R, B, classes)
    losses = functional.cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none").mean(dim=1)  # (R,)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()
    if state.schedule:
        state.schedule.step()
    state.step += 1
    state.loss = losses.detach()
    if distributed.size() > 1:
        norms = [module for module in state.model.modules() if isinstance(module, Normalisation)]
        distributed.mean_([state.loss, *(buffer for norm in norms for buffer in norm.buffers())])
    diverged_now = ~torch.isfinite(state.loss) & (state.diverged_at == 0)
    state.diverged_at.masked_fill_(diverged_now, state.step)

"""The loop: it asks the probes when and hands on what they saw; what they measure it does not know."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from bnrepro import distributed, graph
from bnrepro.data import Examples
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
        advance(state, gradients=any(probe.when(state.step + 1) for probe in probes))
        for probe in probes:
            if probe.when(state.step):
                measurements = probe.measure(state)
                if state.step == steps:
                    _look_at_losses(state, measurements)
                for sink in sinks:
                    sink.add(state.step, measurements)
        after_step(state)


def _look_at_losses(state: State, measurements: list[Measurement]) -> None:
    """Mark replicas that the last update made diverge, which no loss of a mini-batch has seen yet."""
    for measured in measurements:
        if measured.metric == "loss" and measured.split == "test":
            finite = torch.isfinite(measured.values).to(state.diverged_at.device)
            state.diverged_at.masked_fill_(~finite & (state.diverged_at == 0), state.step)


def advance(state: State, gradients: bool = True) -> None:
    """Do one step of every replica; ``gradients``: whether the weights' are wanted afterwards.

    A replica that diverges is marked with the step and leaves the others alone.
    """
    batch = state.sampler.next()
    wanted = gradients and state.written_out is not None  # autograd leaves them anyway
    if state.recorded and not state.graph and not wanted:
        state.graph = graph.recorded(state.model, state.optimiser, partial(_step, state, gradients=False), batch)
        state.recorded = state.graph is not None
    state.loss = state.graph.replay(batch) if state.graph and not wanted else _step(state, batch, gradients)
    state.optimiser.lower_rate()
    state.step += 1
    diverged_now = ~torch.isfinite(state.loss) & (state.diverged_at == 0)
    state.diverged_at.masked_fill_(diverged_now, state.step)


def _step(state: State, batch: Examples, gradients: bool) -> Tensor:
    """Return the losses (R,) of the mini-batch before the step."""
    if state.written_out:
        rates = state.optimiser.rates_now(state.loss)
        return state.written_out(batch.images, batch.labels, rates, gradients)
    return _by_autograd(state, batch)


def _by_autograd(state: State, batch: Examples) -> Tensor:
    """Do the step of :func:`_step` by autograd.

    The losses are summed over replicas, so each replica's gradient is its own. Of several processes, each has its
    share of the mini-batch; gradients, losses and moving averages are the means of theirs.
    """
    state.model.zero_grad()
    narrow = state.precision == "bfloat16"
    allow_tf32(state.precision == "tf32")
    with torch.autocast(batch.labels.device.type, torch.bfloat16, enabled=narrow):
        logits = state.parallel(batch.images)  # (R, B, classes)
    logits = logits.float() if narrow else logits
    losses = functional.cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none").mean(dim=1)  # (R,)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    allow_tf32(False)  # evaluation is float32
    state.optimiser.step()
    loss = losses.detach()
    if distributed.size() > 1:
        norms = [module for module in state.model.modules() if isinstance(module, Normalisation)]
        distributed.mean_([loss, *(buffer for norm in norms for buffer in norm.buffers())])
    return loss


def allow_tf32(allowed: bool) -> None:
    """Let a GPU round what it multiplies to TF32's 10 bits, or not, as torch does by itself in convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed

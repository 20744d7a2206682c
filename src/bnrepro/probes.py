"""What is watched and when. A probe changes nothing in the run."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bnrepro.config import RunConfig, StatisticsConfig
from bnrepro.data import Dataset, Examples
from bnrepro.evaluate import Population, evaluate
from bnrepro.norm import batch_statistics
from bnrepro.state import State

PERCENTILES = (15, 50, 85)  # Fig. 1b,c


@dataclass(frozen=True)
class Measurement:
    """One metric of one layer (or of the network: layer ``""``) for every replica.

    ``values`` is (R,), or (R, units) where each unit has its own.
    """

    split: str
    layer: str
    metric: str
    values: Tensor


class Probe(Protocol):
    """A plain object that says when it wants to look, and what it saw."""

    def when(self, step: int) -> bool:
        """Say whether to measure after this step."""

    def measure(self, state: State) -> list[Measurement]:
        """Look at the run and leave it as it was."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy and loss on the test set and the held-out set, every ``every`` steps and at the end."""

    dataset: Dataset
    every: int
    steps: int
    population: Population

    def when(self, step: int) -> bool:
        """Every ``every`` steps and at the last."""
        return step % self.every == 0 or step == self.steps

    def measure(self, state: State) -> list[Measurement]:
        """Evaluate on whole sets; beside them stands the last mini-batch's training loss."""
        rows = [Measurement("train", "", "loss", state.loss)]
        with self.population.of(state.model):
            for split, examples in (("test", self.dataset.test), ("held_out", self.dataset.held_out)):
                if len(examples):
                    accuracy, loss = evaluate(state.model, examples, len(state.loss))
                    rows += [Measurement(split, "", "accuracy", accuracy), Measurement(split, "", "loss", loss)]
        return rows


@dataclass(frozen=True)
class Norms:
    """Euclidean norms of each layer's weights and of their gradient in the last mini-batch."""

    steps: frozenset[int]

    def when(self, step: int) -> bool:
        """At the chosen steps."""
        return step in self.steps

    def measure(self, state: State) -> list[Measurement]:
        """Norm of W, and of the gradient with respect to W, per replica."""
        rows = []
        for layer, linear in state.model.layers().items():
            weight = linear.weight
            rows.append(Measurement("train", layer, "weight_norm", weight.detach().flatten(1).norm(dim=1)))
            if weight.grad is not None:
                rows.append(Measurement("train", layer, "gradient_norm", weight.grad.flatten(1).norm(dim=1)))
        return rows


@dataclass(frozen=True)
class SigmoidInputs:
    """Fig. 1b,c: percentiles of every sigmoid's input over a fixed set of examples.

    With BN the examples are normalised by their own statistics, as a training mini-batch would be, and no moving
    average moves.
    """

    examples: Examples
    steps: frozenset[int]

    def when(self, step: int) -> bool:
        """At the chosen steps."""
        return step in self.steps

    @torch.no_grad()
    def measure(self, state: State) -> list[Measurement]:
        """Return the 15th, 50th and 85th percentiles, one value per unit and replica."""
        inputs: dict[str, Tensor] = {}
        hooks = [
            g.register_forward_pre_hook(lambda _, args, layer=f"hidden{number}": inputs.__setitem__(layer, args[0]))
            for number, g in enumerate(state.model.nonlinearities, start=1)
        ]
        with batch_statistics(state.model):
            state.model(self.examples.images.expand(len(state.loss), *self.examples.images.shape))
        for hook in hooks:
            hook.remove()
        return [
            Measurement("test", layer, f"sigmoid_input_p{percentile}", values)
            for layer, x in inputs.items()
            for percentile, values in zip(PERCENTILES, percentiles(x), strict=True)
        ]


def percentiles(x: Tensor) -> Tensor:
    """Return the percentiles (3, R, C) of (R, N, C) over its N examples, interpolated linearly."""
    fractions = torch.tensor(PERCENTILES, dtype=x.dtype, device=x.device) / 100
    return torch.quantile(x.transpose(1, 2).contiguous(), fractions, dim=2)


def spread(steps: int, count: int) -> frozenset[int]:
    """Choose about ``count`` steps from 1 to ``steps``, denser early: their distance grows linearly."""
    if count == 1:
        return frozenset({steps})
    return frozenset(1 + round((steps - 1) * (i / (count - 1)) ** 2) for i in range(count))


def build(config: RunConfig, dataset: Dataset) -> list[Probe]:
    """Return the probes that ``config`` asks for."""
    statistics = config.norm if isinstance(config.norm, StatisticsConfig) else None
    exact = statistics is not None and statistics.population == "exact"
    batches = statistics.population_batches if statistics else 0
    population = Population(exact, dataset.train, config.batch_size, batches, config.seeds)
    probes: list[Probe] = [Accuracy(dataset, config.probes.evaluate_every, config.steps, population)]
    if config.probes.activation_steps:
        steps = spread(config.steps, config.probes.activation_steps)
        probes += [Norms(steps), SigmoidInputs(dataset.test[: config.probes.activation_examples], steps)]
    return probes

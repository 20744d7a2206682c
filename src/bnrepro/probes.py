"""What is watched and when. A probe changes nothing in the run."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bnrepro.config import ProbesConfig, RunConfig, StatisticsConfig
from bnrepro.curves import PERCENTILES
from bnrepro.data import Dataset, Examples, centre
from bnrepro.evaluate import Population, evaluate
from bnrepro.norm import batch_statistics
from bnrepro.state import State

CHANNELS = 16  # of a block, where not all are watched
MOST = 2**18  # values that a percentile is taken of
WATCHED_SEED = 20150211  # fixed, so that every network and seed is watched on the same examples


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
    """Accuracy and loss on each of ``sets`` (those that are not empty), every ``every`` steps and at the end."""

    sets: dict[str, Examples]
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
            for split, examples in self.sets.items():
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
        replicas, rows = len(state.loss), []
        for layer, weights in state.model.weights().items():
            rows.append(Measurement("train", layer, "weight_norm", norms(weights, replicas)))
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            if gradients:
                rows.append(Measurement("train", layer, "gradient_norm", norms(gradients, replicas)))
        return rows


def norms(tensors: list[Tensor], replicas: int) -> Tensor:
    """Return the Euclidean norm (R,) of a layer's tensors together, each (R, ...), or without that axis where R = 1."""
    squares = [tensor.detach().reshape(replicas, -1).square().sum(dim=1) for tensor in tensors]
    return torch.stack(squares).sum(dim=0).sqrt()


@dataclass(frozen=True)
class NonlinearityInputs:
    """Fig. 1b,c: percentiles of every sigmoid's input over a fixed set of examples; in Inception, of a block's.

    With BN the examples are normalised by their own statistics, as a training mini-batch would be, and no moving
    average moves. Of feature maps a few fixed channels of each block are watched, and the block as a whole.
    """

    examples: Examples
    steps: frozenset[int]

    def when(self, step: int) -> bool:
        """At the chosen steps."""
        return step in self.steps

    @torch.no_grad()
    def measure(self, state: State) -> list[Measurement]:
        """Return the 15th, 50th and 85th percentiles, one value per unit and replica."""
        inputs: dict[str, list[Tensor]] = {layer: [] for layer in state.model.watched()}
        hooks = [
            g.register_forward_pre_hook(lambda _, args, layer=layer: inputs[layer].append(args[0]))
            for layer, nonlinearities in state.model.watched().items()
            for g in nonlinearities
        ]
        images = self.examples.inputs
        with batch_statistics(state.model):
            state.model(images.expand(len(state.loss), *images.shape))
        for hook in hooks:
            hook.remove()
        rows = []
        for layer, seen in inputs.items():
            if seen[0].dim() == 3:  # (R, N, C)
                rows += _rows(layer, "input", percentiles(seen[0]))
            else:  # of each branch (N, C, H, W)
                maps = torch.cat([x.transpose(0, 1).flatten(1) for x in seen])  # (channels, N H W)
                rows += _rows(layer, "input", percentiles(_thinned(maps[_fixed(len(maps))]).T.unsqueeze(0)))
                rows += _rows(layer, "block_input", percentiles(_thinned(maps.view(1, 1, -1)).transpose(1, 2))[..., 0])
        return rows


def _rows(layer: str, what: str, values: Tensor) -> list[Measurement]:
    return [Measurement("test", layer, f"{what}_p{p}", v) for p, v in zip(PERCENTILES, values, strict=True)]


def _fixed(channels: int) -> Tensor:
    """Choose a few channels of a block, evenly among its branches' outputs."""
    return torch.linspace(0, channels - 1, min(CHANNELS, channels)).round().long()


def _thinned(x: Tensor) -> Tensor:
    """Keep every so many values of the last axis, so that a percentile is of :data:`MOST` values at most."""
    return x[..., :: max(1, -(-x.shape[-1] // MOST))]


def percentiles(x: Tensor) -> Tensor:
    """Return the percentiles (3, R, C) of (R, N, C) over its N examples, interpolated linearly."""
    fractions = torch.tensor(PERCENTILES, dtype=x.dtype, device=x.device) / 100
    return torch.quantile(x.transpose(1, 2).contiguous(), fractions, dim=2)


def spread(steps: int, count: int) -> frozenset[int]:
    """Choose about ``count`` steps from 1 to ``steps``, denser early: their distance grows linearly."""
    if count == 1:
        return frozenset({steps})
    return frozenset(1 + round((steps - 1) * (i / (count - 1)) ** 2) for i in range(count))


def population(config: RunConfig, dataset: Dataset) -> Population:
    """Return whose moments a run's network is evaluated with."""
    statistics = config.norm if isinstance(config.norm, StatisticsConfig) else None
    exact = statistics is not None and statistics.population == "exact"
    batches = statistics.population_batches if statistics else 0
    seeds = [replica.drawn_from for replica in config.replicas]
    return Population(exact, dataset.train, config.batch_size, batches, seeds, config.augment)


def build(config: RunConfig, dataset: Dataset) -> list[Probe]:
    """Return the probes that ``config`` asks for."""
    when = config.probes.evaluate_every
    sets = {"test": dataset.test, "held_out": dataset.held_out}
    if config.probes.train_accuracy:
        sets["seen"] = seen(dataset)  # "train" has the mini-batches' loss
    probes: list[Probe] = [Accuracy(sets, when, config.steps, population(config, dataset))]
    if config.probes.activation_steps:
        steps = spread(config.steps, config.probes.activation_steps)
        probes += [Norms(steps), NonlinearityInputs(watched(config.probes, dataset.test), steps)]
    return probes


def seen(dataset: Dataset) -> Examples:
    """Return training examples, evenly spread and as many as there are test examples, as evaluation sees these."""
    train, side = dataset.train, dataset.shape[-1]
    count = min(len(train), len(dataset.test))
    chosen = torch.linspace(0, len(train) - 1, count).round().long().to(train.labels.device)
    rows = chosen if train.rows is None else train.rows[chosen]
    return Examples(centre(train.images, side), train.labels[chosen], rows)


def watched(config: ProbesConfig, test: Examples) -> Examples:
    """Return the test examples on which the inputs of nonlinearities are measured, all where there are fewer."""
    if config.activation_choice == "first":
        return test[: config.activation_examples]
    order = np.random.default_rng(WATCHED_SEED).permutation(len(test))[: config.activation_examples]
    return test[torch.from_numpy(np.sort(order))]

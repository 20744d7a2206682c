"""Section 2's thought experiment: normalise outside the gradient, and the bias grows while the loss stands still."""

import itertools
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from bnrepro.config import (
    BatchNormConfig,
    DetachedNormConfig,
    NaiveDriftConfig,
    NoNormConfig,
    NormConfig,
    RunConfig,
)
from bnrepro.data import Dataset, Examples
from bnrepro.models import MLP
from bnrepro.norm import DetachedNorm, batch_statistics
from bnrepro.probes import spread
from bnrepro.seeding import WEIGHTS, generator
from bnrepro.state import State, initial
from bnrepro.train import advance

EXAMPLE_STEPS, EXAMPLE_LR, EXAMPLE_VALUES = 1000, 0.1, 60
POINTS = 60  # steps at which the networks are looked at
WATCHED = 1000  # training examples that the loss is taken on


def measure(config: RunConfig, study: NaiveDriftConfig, dataset: Dataset, device: torch.device) -> pd.DataFrame:
    """Return columns arm, lr, seed, step, layer, quantity, value.

    Quantities: ``bias`` and ``weight``, norms; ``loss``; of the example ``error``, see there.
    """
    pieces = [example(seed) for seed in config.seeds]
    for factor, (arm, norm) in itertools.product(study.lr_factors, arms(config).items()):
        lr = factor * config.optim.lr
        arm_config = replace(config, norm=norm, optim=replace(config.optim, lr=lr))
        state = initial(arm_config, dataset, device)
        pieces.append(follow(state, config, dataset.train[:WATCHED]).assign(arm=arm, lr=lr))
    return pd.concat(pieces, ignore_index=True)[["arm", "lr", "seed", "step", "layer", "quantity", "value"]]


def example(seed: int) -> pd.DataFrame:
    """Follow the layer of Sec. 2 that adds b to its input u and subtracts the mean, ∂E[x]/∂b being ignored.

    The loss is ``mean (x̂ - t)² / 2``. As the mean of x̂ is 0, ∂ℓ/∂b = -mean t whatever b is: after k steps
    b = k · lr · mean t, and the loss is what it was. ``error`` is how far either is from that, relative.
    """
    g = generator(seed, WEIGHTS)
    u = torch.randn(EXAMPLE_VALUES, 1, generator=g, dtype=torch.float64)
    target = 1 + torch.randn(EXAMPLE_VALUES, 1, generator=g, dtype=torch.float64)
    b = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    norm = DetachedNorm((1,), eps=1e-5, momentum=0.1, scale=False).double()
    rows: list[tuple[int, str, float]] = []
    first = None
    for step in range(EXAMPLE_STEPS + 1):
        loss = (norm(u + b) - target).square().mean() / 2
        first = float(loss.detach()) if first is None else first
        if step % (EXAMPLE_STEPS // POINTS) == 0:
            bias, value, expected = float(b.detach()), float(loss.detach()), step * EXAMPLE_LR * float(target.mean())
            error = max(abs(bias - expected) / max(abs(expected), 1.0), abs(value - first) / first)
            values = {"bias": bias, "loss": value, "error": error}
            rows += [(step, quantity, value) for quantity, value in values.items()]
        (gradient,) = torch.autograd.grad(loss, b)
        with torch.no_grad():
            b -= EXAMPLE_LR * gradient
    table = pd.DataFrame(rows, columns=["step", "quantity", "value"])
    return table.assign(arm="example", lr=EXAMPLE_LR, seed=seed, layer="")


def arms(config: RunConfig) -> dict[str, NormConfig]:
    """Return BN, its bias kept, the two ways to do it outside the gradient, and no normalisation as the control."""
    bn = config.norm
    assert isinstance(bn, BatchNormConfig)
    shared = {key: getattr(bn, key) for key in ("eps", "momentum", "population", "population_batches")}
    return {
        "batch": replace(bn, bias=True),
        "centre_detached": DetachedNormConfig("centre_detached", **shared, scale=False),
        "centre_scale_detached": DetachedNormConfig("centre_scale_detached", **shared, scale=True),
        "none": NoNormConfig("none"),
    }


def follow(state: State, config: RunConfig, watched: Examples) -> pd.DataFrame:
    """Train and note the norms of each hidden layer's bias and weights, and the loss over ``watched`` examples."""
    looks = {0, *spread(config.steps, POINTS)}
    pieces = [_look(state, config.seeds, watched)]
    while state.step < config.steps:
        advance(state)
        if state.step in looks:
            pieces.append(_look(state, config.seeds, watched))
    return pd.concat(pieces, ignore_index=True)


@torch.no_grad()
def _look(state: State, seeds: list[int], watched: Examples) -> pd.DataFrame:
    with batch_statistics(state.model):
        logits = state.model(watched.inputs.expand(len(seeds), *watched.inputs.shape))
    labels = watched.labels.expand(len(seeds), -1)
    loss = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(dim=1)
    assert isinstance(state.model, MLP)
    values: list[tuple[str, str, Tensor]] = [("", "loss", loss)]
    for layer, linear in state.model.layers().items():
        if linear.bias is not None and layer != "output":
            values.append((layer, "bias", linear.bias.flatten(1).norm(dim=1)))
            values.append((layer, "weight", linear.weight.flatten(1).norm(dim=1)))
    rows = [
        (seed, state.step, layer, quantity, value)
        for layer, quantity, tensor in values
        for seed, value in zip(seeds, tensor.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["seed", "step", "layer", "quantity", "value"])

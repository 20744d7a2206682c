"""Sec. 3.3's conjecture: layer Jacobians between normalised activations have singular values near 1.

Between two layers, let x̂ be the first one's input of the nonlinearity, normalised over the mini-batch, and ẑ the
second one's. With the mini-batch's statistics held, ẑ = F(x̂) has at one example the Jacobian

    J = diag(1/σ(x')) Wᵀ diag(g'(y)) diag(σ(y)),

y being the nonlinearity's input, x' = Wᵀ g(y) the next layer's, σ the standard deviations over the mini-batch: the
same expression with BN (y = γ x̂ + β) and without it (y = σ x̂ + μ). That is the reading ``normalised``. Of a network
without BN it is not what its gradients pass through, for its activations are normalised only in the looking, which is
what BN would supply. The reading ``raw`` is its own Jacobian, from y to the next nonlinearity's input x':
Wᵀ diag(g'(y)).
"""

import itertools
import math
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro.config import JacobianConfig, MLPConfig, NoNormConfig, RunConfig
from bnrepro.data import Dataset, Examples
from bnrepro.models import MLP
from bnrepro.norm import batch_statistics
from bnrepro.state import State, initial
from bnrepro.train import advance

BATCH = 256  # training examples over which activations are normalised
NORMALISED, RAW = "normalised", "raw"
LAYERS = 8  # at most so many pairs of layers of a deep network, evenly spread
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def measure(config: RunConfig, study: JacobianConfig, dataset: Dataset, device: torch.device) -> pd.DataFrame:
    """Return columns network, nonlinearity, depth, reading, seed, step, layer, quantity, value.

    Quantities of a reading, over the singular values at all examples of all layers watched, together (layer 0):
    ``near_1``, the share within [1/2, 2]; ``mean_square``; ``q05`` to ``q95``; NaN where an activation of one of the
    layers never varies. Of a layer, without a reading: ``gradient``, the squared norm of the gradient of the loss with
    respect to the nonlinearity's input, through the mini-batch's statistics.
    """
    pieces = []
    watched = dataset.train[:BATCH]
    for nonlinearity, depth, norm in itertools.product(("sigmoid", "relu"), study.depths, (NoNormConfig("none"), None)):
        network = "mlp_bn" if norm is None else "mlp"
        arm = replace(config, model=_model(config, study, nonlinearity, depth), norm=norm or config.norm)
        state = initial(arm, dataset, device)
        last = max(3 * config.steps // depth, 1)
        for step in sorted({0, last // 100, last // 10, last}):
            while state.step < step:
                advance(state)
            table = look(state, config.seeds, watched, study.examples)
            pieces.append(table.assign(network=network, nonlinearity=nonlinearity, depth=depth, step=step))
    columns = ["network", "nonlinearity", "depth", "reading", "seed", "step", "layer", "quantity", "value"]
    return pd.concat(pieces, ignore_index=True)[columns]


def _model(config: RunConfig, study: JacobianConfig, nonlinearity: str, depth: int) -> MLPConfig:
    """Return a network of equal layers; for ReLUs with the initial scale that keeps the variance (He et al. 2015)."""
    assert isinstance(config.model, MLPConfig)
    std = math.sqrt(2 / study.width) if nonlinearity == "relu" else config.model.init_std
    return MLPConfig(hidden=[study.width] * depth, init_std=std, nonlinearity=nonlinearity)


def look(state: State, seeds: list[int], watched: Examples, examples: int) -> pd.DataFrame:
    """Measure the Jacobians at the first ``examples`` examples, and the gradients over all of them."""
    assert isinstance(state.model, MLP)
    inputs, before = run_network(state, watched, len(seeds))
    rows: list[tuple[str, int, int, str, float]] = []
    for layer, y in enumerate(inputs, start=1):
        assert y.grad is not None
        squares = y.grad.square().sum(dim=(1, 2)).tolist()
        rows += [("", seed, layer, "gradient", square) for seed, square in zip(seeds, squares, strict=True)]
    for reading in (NORMALISED, RAW) if state.model.norms is None else (NORMALISED,):
        together = singular_values(state.model, inputs, before, examples, reading)
        for seed, values in zip(seeds, together, strict=True):
            rows += [(reading, seed, 0, name, value) for name, value in spectrum(values).items()]
    return pd.DataFrame(rows, columns=["reading", "seed", "layer", "quantity", "value"])


def run_network(state: State, watched: Examples, replicas: int) -> tuple[list[Tensor], list[Tensor]]:
    """Run forward and backward as in training.

    Returns:
        Of each hidden layer the nonlinearity's input y (R, B, C), with its gradient, and the linear layer's output
        Wᵀu (R, B, C), which is y before it was normalised.
    """
    before: list[Tensor] = []
    hidden: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        arguments[0].retain_grad()
        hidden.append(arguments[0])

    def keep_linear(_: nn.Module, __: tuple[Tensor, ...], x: Tensor) -> None:
        before.append(x)

    assert isinstance(state.model, MLP)
    hooks = [g.register_forward_pre_hook(keep) for g in state.model.nonlinearities]
    hooks += [linear.register_forward_hook(keep_linear) for linear in state.model.linears]
    with batch_statistics(state.model):
        logits = state.model(watched.inputs.expand(replicas, *watched.inputs.shape))
        labels = watched.labels.expand(replicas, -1)
        loss = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(dim=1).sum()
        loss.backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    return hidden, before


def singular_values(model: MLP, inputs: list[Tensor], before: list[Tensor], examples: int, reading: str) -> Tensor:
    """Return those of all layers watched, (R, N); NaN of a replica with a Jacobian that is not finite.

    ``inputs`` and ``before`` are what :func:`run_network` returns.
    """
    found = []
    for first in torch.linspace(0, len(inputs) - 2, min(LAYERS, len(inputs) - 1)).round().int().tolist():
        g, weight = model.nonlinearities[first], model.linears[first + 1].weight.detach()
        y, x_next = inputs[first].detach(), before[first + 1].detach()
        J = raw_jacobians(g, y, weight, examples) if reading == RAW else jacobians(g, y, x_next, weight, examples)
        finite = torch.isfinite(J).flatten(1).all(dim=1)
        singular = torch.linalg.svdvals(torch.where(finite.view(-1, 1, 1, 1), J, 0.0)).flatten(1)
        found.append(singular.double().where(finite.unsqueeze(1), math.nan))
    together = torch.cat(found, dim=1)
    return together.where(torch.isfinite(together).all(dim=1, keepdim=True), math.nan)


def jacobians(g: nn.Module, y: Tensor, x_next: Tensor, weight: Tensor, examples: int) -> Tensor:
    """Return J (R, E, C', C) between normalised activations at the first E examples of the mini-batch.

    Args:
        g: the nonlinearity.
        y: (R, B, C), its inputs.
        x_next: (R, B, C'), the next layer's ``Wᵀ g(y)``.
        weight: W (R, C, C').
        examples: E.
    """
    columns = y.std(dim=1, correction=0)  # (R, C)
    rows = 1 / x_next.std(dim=1, correction=0)  # (R, C')
    return rows[:, None, :, None] * raw_jacobians(g, y, weight, examples) * columns[:, None, None, :]


def raw_jacobians(g: nn.Module, y: Tensor, weight: Tensor, examples: int) -> Tensor:
    """Return ``Wᵀ diag(g'(y))`` (R, E, C', C) at the first E examples; see :func:`jacobians`."""
    at = y[:, :examples].detach().requires_grad_()
    (slope,) = torch.autograd.grad(g(at).sum(), at)  # (R, E, C)
    return weight.mT.unsqueeze(1) * slope.unsqueeze(2)


def spectrum(values: Tensor) -> dict[str, float]:
    """Summarise singular values (N,), all finite or all NaN."""
    if values.isnan().any():
        return dict.fromkeys(("near_1", "mean_square", *(f"q{round(100 * share):02}" for share in SHARES)), math.nan)
    near = ((values >= 0.5) & (values <= 2)).double().mean()
    quantiles = torch.quantile(values, torch.tensor(SHARES, dtype=values.dtype, device=values.device))
    named = {f"q{round(100 * share):02}": float(q) for share, q in zip(SHARES, quantiles, strict=True)}
    return {"near_1": float(near), "mean_square": float(values.square().mean()), **named}

"""What Sec. 2 and 3 give as reasons against full whitening: its cost, and singular covariances."""

import time
from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from bnrepro.config import WhiteningCostConfig
from bnrepro.norm import BatchNorm, Whitening, fold
from bnrepro.norm.whitening import moments
from bnrepro.seeding import WEIGHTS, generator

EPS, WHITENING_EPS, MOMENTUM = 1e-5, 1e-3, 0.1
SECONDS = 0.02  # a timing repeats a call for at least so long


def measure(study: WhiteningCostConfig, batch: int, device: torch.device) -> pd.DataFrame:
    """Return columns quantity, batch, width, round, seconds or rank as value, for mini-batches of ``batch`` examples.

    Quantities: ``batch`` and ``whitening``, seconds of one forward and backward pass of the layer; ``unfolded`` and
    ``folded``, seconds of a linear layer at inference with BN after it and with BN folded into it, modules both;
    ``rank`` of the mini-batch's covariance. Within a round everything is timed in turn.
    """
    rows: list[tuple[str, int, int, float]] = []
    for width in study.widths:
        x = torch.randn(batch, width, generator=generator(width, WEIGHTS))
        rank = torch.linalg.matrix_rank(moments(x.double())[1], hermitian=True)
        rows.append(("rank", width, 0, float(rank)))
        calls = {**training(x.to(device)), **inference(x.to(device))}
        for call in calls.values():
            call()  # warm up
        for number in range(study.rounds):
            rows += [(name, width, number, seconds(call, device)) for name, call in calls.items()]
    table = pd.DataFrame(rows, columns=["quantity", "width", "round", "value"])
    table.insert(1, "batch", batch)
    return table


def training(x: Tensor) -> dict[str, Callable[[], object]]:
    """Return one forward and backward pass of each layer."""
    norms: dict[str, nn.Module] = {
        "batch": BatchNorm((x.shape[1],), EPS, MOMENTUM),
        "whitening": Whitening((x.shape[1],), WHITENING_EPS, MOMENTUM),
    }

    def step(norm: nn.Module) -> Callable[[], None]:
        norm.to(x.device)
        u = x.clone().requires_grad_()

        def call() -> None:
            norm(u).backward(x)

        return call

    return {name: step(norm) for name, norm in norms.items()}


def inference(x: Tensor) -> dict[str, Callable[[], object]]:
    """Return a linear layer and BN at inference, apart and folded."""
    linear, folded = (nn.Linear(x.shape[1], x.shape[1]) for _ in range(2))
    norm = BatchNorm((x.shape[1],), EPS, MOMENTUM)
    weight, bias = fold(norm, linear.weight, linear.bias)
    folded.load_state_dict({"weight": weight, "bias": bias})
    layers = {"unfolded": nn.Sequential(linear, norm), "folded": nn.Sequential(folded)}
    for layer in layers.values():
        layer.to(x.device).eval().requires_grad_(False)
    return {name: partial(layer, x) for name, layer in layers.items()}


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Time one call: the mean over as many as fit in ``SECONDS``."""
    count, began = 0, _now(device)
    while True:
        call()
        count += 1
        passed = _now(device) - began
        if passed >= SECONDS:
            return passed / count


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

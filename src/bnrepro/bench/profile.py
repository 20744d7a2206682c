"""Where the time of a step goes: the shares of its operations, and what is left between them."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from bnrepro import data
from bnrepro.bench import inception, mnist, rows
from bnrepro.config import RunConfig
from bnrepro.state import initial
from bnrepro.train import advance

ROUNDS, STEPS, WARM_UP = 7, 20, 5
KINDS = {  # by what the framework's name of an operation begins with
    "matrix products": ("aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm"),
    "convolutions": ("aten::mkldnn_convolution", "aten::convolution"),
    "taking images": ("aten::index",),
    "normalisation by the framework": ("aten::native_batch_norm",),
    "nonlinearities": ("aten::sigmoid", "aten::threshold_backward", "aten::clamp_min", "aten::relu"),
    "pooling": ("aten::avg_pool2d", "aten::max_pool2d"),
    "the optimiser": ("aten::_fused_sgd",),
    "copies and casts": ("aten::copy_", "aten::_to_copy", "aten::contiguous", "aten::clone"),
    "new arrays and zeros": ("aten::empty", "aten::resize_", "aten::zero", "aten::fill_", "aten::ones"),
    "sums over mini-batches and maps": ("aten::sum", "aten::mean"),
    "concatenation, and adding gradients up": ("aten::cat", "aten::add"),
    "products, quotients and roots": (
        "aten::addcmul",
        "aten::mul",
        "aten::div",
        "aten::sub",
        "aten::pow",
        "aten::sqrt",
        "aten::rsqrt",
        "aten::lerp",
        "aten::square",
    ),
}
OTHERS = "other operations on arrays"
BETWEEN = "between operations: Python, the framework's dispatch, the profiler's own"
SLOWER = "time with the profiler ÷ without"


def measure(images: str, device: str) -> pd.DataFrame:
    """Return each share of a step on a CPU: of the MNIST network, with and without BN, and of the Inception network."""
    if device != "cpu":
        return pd.DataFrame(columns=rows.COLUMNS)
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or torch's profiler says on stderr when it starts and stops
    configs = {
        "MNIST network without BN": mnist.setting("mlp", device),
        "MNIST network with BN": mnist.setting("mlp_bn", device),
    }
    for precision in inception.precisions(device):
        name = f"Inception network on {images}, {precision}"
        configs[name] = inception.setting(images, device, f"runtime.precision={precision}")
    pieces = []
    for name, config in configs.items():
        case, shares = f"where a step's time goes: {name}", pd.DataFrame(_shares(config)).fillna(0.0)
        slower = rows.measured(case, SLOWER, "ratio", shares.pop(SLOWER), config)
        pieces += [*(rows.measured(case, str(kind), "share", shares[kind], config) for kind in shares), slower]
    return pd.concat(pieces, ignore_index=True)


def _shares(config: RunConfig) -> list[dict[str, float]]:
    """Return, round by round, the share of a step's time that each kind takes, the profiler watching."""
    device = torch.device(config.runtime.device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(device)
    state = initial(config, dataset, device)

    def train(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            advance(state, gradients=False)
        return time.perf_counter() - began

    train(WARM_UP)
    rounds = []
    for _ in range(ROUNDS):
        alone = train(STEPS)
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            watched = train(STEPS)
        rounds.append({**shares_of(seen.key_averages(), watched), SLOWER: watched / alone})
    return rounds


def shares_of(events: Iterable[Any], seconds: float) -> dict[str, float]:
    """Return the share of ``seconds`` that the events of each kind take, without what they call, and what is left."""
    spent = dict.fromkeys([*KINDS, OTHERS], 0.0)
    for event in events:
        kinds = {name: kind for kind, names in KINDS.items() for name in names if event.key.startswith(name)}
        kind = kinds[max(kinds, key=len)] if kinds else OTHERS  # aten::addcmul is no aten::add
        if kind != OTHERS or event.key.startswith("aten::"):
            spent[kind] += event.self_cpu_time_total / 1e6
    shares = {kind: time / seconds for kind, time in spent.items() if time}
    return {**shares, BETWEEN: 1 - sum(shares.values())}

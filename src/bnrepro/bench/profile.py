"""Where the time of a step goes: the shares of its operations, and what is left between them."""

import time
from pathlib import Path

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from bnrepro import data
from bnrepro.bench import inception, mnist, rows
from bnrepro.config import RunConfig
from bnrepro.state import initial
from bnrepro.train import advance

STEPS, WARM_UP = 40, 5
KINDS = {  # by what the framework's name of an operation begins with
    "matrix products": ("aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm"),
    "convolutions": ("aten::mkldnn_convolution", "aten::convolution"),
    "taking images": ("aten::index",),
    "normalisation by the framework": ("aten::native_batch_norm",),
    "nonlinearities": ("aten::sigmoid", "aten::threshold_backward", "aten::clamp_min", "aten::relu"),
    "pooling": ("aten::avg_pool2d", "aten::max_pool2d"),
    "the optimiser": ("aten::_fused_sgd", "Optimizer."),
}
OTHERS, BETWEEN = "other operations on arrays", "between operations: Python and the framework's dispatch"


def measure(images: str, device: str) -> pd.DataFrame:
    """Return each share of a step on a CPU: of the MNIST network, with and without BN, and of the Inception network."""
    if device != "cpu":
        return pd.DataFrame(columns=rows.COLUMNS)
    configs = {
        "MNIST network without BN": mnist.setting("mlp", device),
        "MNIST network with BN": mnist.setting("mlp_bn", device),
        f"Inception network on {images}, float32": inception.setting(images, device),
        f"Inception network on {images}, bfloat16": inception.setting(images, device, "runtime.precision=bfloat16"),
    }
    pieces = [
        rows.value(f"where a step's time goes: {case}", kind, "share", share, config)
        for case, config in configs.items()
        for kind, share in _shares(config).items()
    ]
    return pd.concat(pieces, ignore_index=True)


def _shares(config: RunConfig) -> dict[str, float]:
    """Return the share of a step's time, taken without the profiler, that the profiler sees in each kind."""
    device = torch.device(config.runtime.device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(device)
    state = initial(config, dataset, device)

    def train(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            advance(state, gradients=False)
        return time.perf_counter() - began

    train(WARM_UP)
    taken = train(STEPS)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        train(STEPS)
    spent = dict.fromkeys([*KINDS, OTHERS], 0.0)
    for event in seen.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key.startswith(names)), OTHERS)
        if kind != OTHERS or event.key.startswith("aten::"):
            spent[kind] += event.self_cpu_time_total / 1e6
    shares = {kind: seconds / taken for kind, seconds in spent.items() if seconds}
    return {**shares, BETWEEN: 1 - sum(shares.values())}

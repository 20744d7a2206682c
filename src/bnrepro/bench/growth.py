"""How time and memory grow: with replicas and processes, with width, mini-batch and number of images.

Memory is computed, as a dry run has it: parameters, gradients, the optimiser's state and what the backward pass needs,
or the images; and measured (memory.py).
"""

from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from time import perf_counter

import pandas as pd
import torch

from bnrepro import data
from bnrepro.bench import inception, memory, mnist, rows
from bnrepro.bench.floors import matrix_products
from bnrepro.bench.processes import in_processes
from bnrepro.bench.rounds import Variant, seconds, take_turns
from bnrepro.compose import load
from bnrepro.config import MLPConfig, RunConfig
from bnrepro.data import Dataset
from bnrepro.dry_run import cost_of
from bnrepro.machine import cores
from bnrepro.run import set_up_torch
from bnrepro.state import initial
from bnrepro.train import advance

ROUNDS, CALLS = 7, 8  # calls of the largest in a round, as much work of the others
REPLICAS = (1, 2, 4, 8, 16, 32, 64)
WIDTHS = (0.125, 0.25, 0.5, 1.0)
BATCHES = (8, 16, 32, 64, 128)
IMAGES = (500, 5_000, 50_000)
MIB = 2**20
SECONDS = 3.0  # that processes train in a round, where their number is varied
TOGETHER = 120  # seconds to wait for the others before a round


def measure(images: str, device: str) -> pd.DataFrame:
    """Return the rows of everything that is varied."""
    stacks = {f"{count} replicas": _stack(count, device) for count in REPLICAS}
    networks = {
        "width": {f"width {width:g}": inception.setting(images, device, f"model.width={width}") for width in WIDTHS},
        "mini-batch": {f"{size} images": inception.setting(images, device, f"batch_size={size}") for size in BATCHES},
    }
    first = inception.setting(images, device, "model.width=0.125", "batch_size=8")  # no larger than any of them
    unit, inception_network = rows.a_second("images", device), f"Inception network on {images}"
    pieces = [_over("MNIST network over replicas", stacks, rows.a_second("model-steps", device), _stack(1, device))]
    pieces += [_products(device)]
    pieces += [_over(f"{inception_network} over {by}", of, unit, first) for by, of in networks.items()]
    pieces += [_over_images(f"{inception_network} over images", inception.setting(images, device), device)]
    pieces += [_over_processes("MNIST network", mnist.setting("mlp_bn", device), "model-steps")]
    pieces += [_over_processes(inception_network, inception.setting(images, device), "images")]
    return pd.concat(pieces, ignore_index=True)


def _products(device: str) -> pd.DataFrame:
    """Do the matrix products of the same stacks alone: where these grow slower, so does the step."""
    config = _stack(1, device)
    assert isinstance(config.model, MLPConfig)
    widths = [*_dataset(config).shape, *config.model.hidden, 10]
    variants = [
        Variant(f"{count} replicas", matrix_products(widths, config.batch_size, count, device), count, 1, count)
        for count in REPLICAS
    ]
    measured = take_turns(variants, REPLICAS[-1] * CALLS, ROUNDS)
    return rows.speeds(
        "Its matrix products alone over replicas", variants, measured, rows.a_second("model-steps", device)
    )


def _stack(count: int, device: str) -> RunConfig:
    return load(["network=mlp_bn", f"seeds={list(range(count))}", f"runtime.device={device}"])


def _dataset(config: RunConfig) -> Dataset:
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop)
    return dataset.to(torch.device(config.runtime.device))


def _training(name: str, config: RunConfig, dataset: Dataset) -> Variant:
    state = initial(config, dataset, torch.device(config.runtime.device))
    replicas = len(config.replicas)
    units = replicas if config.network.startswith("mlp") else config.batch_size
    return Variant(name, lambda: advance(state, gradients=False), units, 1, replicas)


def _over(case: str, configs: dict[str, RunConfig], unit: str, smallest: RunConfig) -> pd.DataFrame:
    dataset = _dataset(next(iter(configs.values())))
    variants = [_training(name, config, dataset) for name, config in configs.items()]
    measured = take_turns(variants, max(variant.units for variant in variants) * CALLS, ROUNDS)
    table = rows.speeds(case, variants, measured, unit)
    return pd.concat([table, *(_memory(case, name, config, smallest) for name, config in configs.items())])


def _memory(case: str, name: str, config: RunConfig, smallest: RunConfig) -> pd.DataFrame:
    amounts: dict[str, float] = {"computed": cost_of(config).memory}
    if memory.can_be_measured(config.runtime.device):
        amounts["measured"] = memory.peak(config, smallest)
    of = [rows.value(case, name, f"MiB, {how}", amount / MIB, config) for how, amount in amounts.items()]
    return pd.concat(of)


def _over_images(case: str, config: RunConfig, device: str) -> pd.DataFrame:
    """Train on the first so many images: what is resident grows, a step should not."""
    dataset = _dataset(config)
    counts = [count for count in IMAGES if count <= len(dataset.train)]
    parts = {count: replace(dataset, train=dataset.train[:count]) for count in counts}
    variants = [_training(f"{count:,} images", config, part) for count, part in parts.items()]
    measured = take_turns(variants, 10 * config.batch_size, ROUNDS)
    held = [
        rows.value(case, f"{count:,} images", "MiB, computed", part.train.images.nbytes / MIB, config)
        for count, part in parts.items()
    ]
    table = rows.speeds(case, variants, measured, rows.a_second("images", device))
    return pd.concat([table, *held])


def _over_processes(network: str, config: RunConfig, units: str) -> pd.DataFrame:
    """Train it in several processes at once, up to twice as many as there are cores."""
    case, unit, on_a_gpu = f"{network} over processes", f"{units}/s of all", config.runtime.device == "cuda"
    counts = [1] if on_a_gpu else [count for count in (1, 2, 4, 8, 16, 32) if count <= 2 * cores()]
    pieces = [rows.measured(case, f"{count} processes", unit, _together(count, config), config) for count in counts]
    return pd.concat(pieces)


def _together(count: int, config: RunConfig) -> pd.Series:
    """Return the speed of ``count`` processes together, a value a round: all work through the same seconds."""
    with get_context("spawn").Manager() as manager:
        start = manager.Barrier(count)
        speeds = pd.DataFrame(in_processes(_train_for_a_while, *[(config, start)] * count))
    return speeds.sum()  # a row was a process, a column a round


def _train_for_a_while(config: RunConfig, start: Barrier) -> list[float]:
    """Return the model-steps or images a second of this process in each round, which all ``start`` together."""
    set_up_torch(1)
    variant = _training("", config, _dataset(config))
    speeds = []
    for _ in range(ROUNDS):
        variant.call()
        start.wait(TOGETHER)  # or another process has failed
        calls, began = 0, perf_counter()
        while (taken := perf_counter() - began) < SECONDS:
            seconds(variant, 1)
            calls += 1
        speeds.append(calls * variant.units / taken)
    return speeds

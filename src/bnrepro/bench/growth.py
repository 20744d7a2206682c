"""How time and memory grow: with replicas and processes, with width, mini-batch and number of images."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from bnrepro import data
from bnrepro.bench import inception, mnist, rows
from bnrepro.bench.rounds import Variant, take_turns
from bnrepro.compose import cores, load
from bnrepro.config import RunConfig
from bnrepro.data import Dataset
from bnrepro.dry_run import cost_of
from bnrepro.run import set_up_torch
from bnrepro.state import initial
from bnrepro.train import advance

ROUNDS, CALLS = 5, 8  # calls of the largest in a round, as much work of the others
REPLICAS = (1, 2, 4, 8, 16, 32, 64)
WIDTHS = (0.125, 0.25, 0.5, 1.0)
BATCHES = (8, 16, 32, 64, 128)
IMAGES = (500, 5_000, 50_000)
SECONDS = 5.0  # that each process trains, where their number is varied


def measure(images: str, device: str) -> pd.DataFrame:
    """Return the rows of everything that is varied."""
    stacks = {f"{count} replicas": _stack(count, device) for count in REPLICAS}
    networks = {
        "width": {f"width {width:g}": inception.setting(images, device, f"model.width={width}") for width in WIDTHS},
        "mini-batch": {f"{size} images": inception.setting(images, device, f"batch_size={size}") for size in BATCHES},
    }
    pieces = [_over("MNIST network over replicas", stacks, "model-steps/s and core")]
    pieces += [_over(f"Inception network over {by}", of, "images/s and core") for by, of in networks.items()]
    pieces += [_over_images(inception.setting(images, device), device), _over_processes(device)]
    return pd.concat(pieces, ignore_index=True)


def _stack(count: int, device: str) -> RunConfig:
    return load(["network=mlp_bn", f"seeds={list(range(count))}", f"runtime.device={device}"])


def _dataset(config: RunConfig) -> Dataset:
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop)
    return dataset.to(torch.device(config.runtime.device))


def _training(name: str, config: RunConfig, dataset: Dataset) -> Variant:
    state = initial(config, dataset, torch.device(config.runtime.device))
    replicas = len(config.replicas)
    units = replicas if replicas > 1 or config.network.startswith("mlp") else config.batch_size
    return Variant(name, lambda: advance(state, gradients=False), units, 1, replicas)


def _over(case: str, configs: dict[str, RunConfig], unit: str) -> pd.DataFrame:
    dataset = _dataset(next(iter(configs.values())))
    variants = [_training(name, config, dataset) for name, config in configs.items()]
    measured = take_turns(variants, max(variant.units for variant in variants) * CALLS, ROUNDS)
    memory = [rows.value(case, name, "MiB", cost_of(config).memory / 2**20) for name, config in configs.items()]
    return pd.concat([rows.speeds(case, variants, measured, unit), *memory], ignore_index=True)


def _over_images(config: RunConfig, device: str) -> pd.DataFrame:
    """Train on the first so many images: what is resident grows, a step should not."""
    dataset = _dataset(config)
    counts = [count for count in IMAGES if count <= len(dataset.train)]
    parts = {count: replace(dataset, train=dataset.train[:count]) for count in counts}
    variants = [_training(f"{count:,} images", config, part) for count, part in parts.items()]
    case = "Inception network over images"
    measured = take_turns(variants, 10 * config.batch_size, ROUNDS)
    memory = [
        rows.value(case, f"{count:,} images", "MiB", part.train.images.nbytes / 2**20) for count, part in parts.items()
    ]
    table = rows.speeds(case, variants, measured, "images/s and core")
    return pd.concat([table, *memory], ignore_index=True)


def _over_processes(device: str) -> pd.DataFrame:
    """Train the stack in several processes at once, up to twice as many as there are cores."""
    case, unit = "MNIST network over processes", "model-steps/s of all"
    counts = [1] if device == "cuda" else [count for count in (1, 2, 4, 8, 16, 32) if count <= 2 * cores()]
    context = multiprocessing.get_context("spawn")
    pieces = []
    for count in counts:
        with context.Pool(count, initializer=set_up_torch, initargs=(1,)) as pool:
            rounds = [sum(pool.map(_steps_a_second, [device] * count, chunksize=1)) for _ in range(3)]
        pieces.append(rows.measured(case, f"{count} processes", unit, pd.Series(rounds)))
    return pd.concat(pieces, ignore_index=True)


def _steps_a_second(device: str) -> float:
    """Return the speed of this process, while the others do the same."""
    config = mnist.setting("mlp_bn", device)
    variant = _training("", config, _dataset(config))
    speed = take_turns([variant], 1, 1)[""].iloc[0]
    return float(take_turns([variant], round(speed * SECONDS), 1)[""].iloc[0])

"""The reading of data: how long training waits for it, and how fast images are decoded into their cache."""

import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from bnrepro import data
from bnrepro.bench import inception, rows
from bnrepro.bench.rounds import Variant, take_turns
from bnrepro.config import ImageFolderConfig
from bnrepro.state import initial
from bnrepro.train import advance

DECODER = 1.0  # times its speed, at least
DECODED = 3  # times


def measure(images: str, device: str) -> pd.DataFrame:
    """Return the rows of reading data."""
    return pd.concat([_waiting(images, device), _decoding(images)], ignore_index=True)


def _waiting(images: str, device: str) -> pd.DataFrame:
    """Time the making of mini-batches, for which training waits, as a share of a step."""
    config = inception.setting(images, device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))
    state = initial(config, dataset, torch.device(device))
    variants = [Variant("step", lambda: advance(state), 1), Variant("mini-batch", state.sampler.next, 1)]
    measured = take_turns(variants, 10)
    share = measured["step"] / measured["mini-batch"]
    return rows.measured("Inception network's data", "time for mini-batches", "share of a step", share, config)


def _decoding(images: str) -> pd.DataFrame:
    """Time the decoding of a tree of images into its cache beside the decoder alone by one core."""
    config = inception.setting(images, "cpu").data
    if not isinstance(config, ImageFolderConfig):
        return pd.DataFrame(columns=rows.COLUMNS)
    case, unit, tree = f"decoding {images}", "images/s", Path("data") / config.folder
    files = sorted(tree.glob("*/*/*"))
    _decode(files)  # so that the system has them in memory
    ours, alone = [], []
    for _ in range(DECODED):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / config.folder).symlink_to(tree.resolve())
            began = time.perf_counter()
            data.load(config, Path(folder), 0)
            ours.append(len(files) / (time.perf_counter() - began))
        began = time.perf_counter()
        _decode(files)
        alone.append(len(files) / (time.perf_counter() - began))
    cached, decoder = "ours, into a checked cache", "the decoder alone, one core"
    speeds = {cached: pd.Series(ours), decoder: pd.Series(alone)}
    pieces = [rows.measured(case, name, unit, of) for name, of in speeds.items()]
    return pd.concat([*pieces, rows.goal(case, f"{cached} ÷ {decoder}", speeds[cached] / speeds[decoder], DECODER)])


def _decode(files: list[Path]) -> None:
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB").tobytes()

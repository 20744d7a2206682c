"""The reading of data: how long training waits for it, and how fast images are decoded into their cache."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from bnrepro import data
from bnrepro.bench import inception, rows
from bnrepro.bench.rounds import Variant, take_turns
from bnrepro.config import ImageFolderConfig
from bnrepro.data import decoding, tree
from bnrepro.machine import cores
from bnrepro.state import initial
from bnrepro.train import advance

DECODER = 1.0  # times its speed, at least
ROUNDS = 7
CACHED, DECODED = "ours, into a checked cache", "ours, decoding into files alone"
ALONE = "the decoder alone, one core"


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
    return rows.measured(f"Inception network on {images}", "making mini-batches", "share of a step", share, config)


def _decoding(images: str) -> pd.DataFrame:
    """Time the decoding of a tree of images into its cache beside the decoder alone by one core; on a CPU, in any case.

    Two ways between them say where the rest of the time goes.
    """
    run = inception.setting(images, "cpu")
    config = run.data
    if not isinstance(config, ImageFolderConfig):
        return pd.DataFrame(columns=rows.COLUMNS)
    case, tree_of_images = f"decoding {images}", (Path(run.data_root) / config.folder).resolve()
    splits = tree.scan(tree_of_images, config.train, config.test)
    files = [*splits.train.paths, *splits.test.paths]

    def into_files(folder: Path) -> None:
        for name, split in (("train", splits.train), ("test", splits.test)):
            decoding.decode(split, folder / f"{name}.npy", config.size, config.damaged, cores())

    def into_the_cache(folder: Path) -> None:
        (folder / config.folder).symlink_to(tree_of_images)
        data.load(config, folder, 0)

    def alone(folder: Path) -> None:
        _decode(files)

    ways: dict[str, Callable[[Path], None]] = {CACHED: into_the_cache, DECODED: into_files, ALONE: alone}
    _decode(files)  # so that the system has them in memory
    rounds = []
    for number in range(ROUNDS):
        first, taken = number % len(ways), {}
        for name in [*list(ways)[first:], *list(ways)[:first]]:
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                ways[name](Path(folder))
                taken[name] = time.perf_counter() - began
        rounds.append(taken)
    seconds = pd.DataFrame(rounds)
    shares = {
        "the decoder": seconds[ALONE],
        "arrays, handing over to a thread, writing": seconds[DECODED] - seconds[ALONE],
        "listing the tree, checksums, reading the cache": seconds[CACHED] - seconds[DECODED],
    }
    speeds = [rows.measured(case, name, "images/s", len(files) / seconds[name]) for name in ways]
    parts = [rows.measured(case, f"share: {name}", "share", of / seconds[CACHED]) for name, of in shares.items()]
    goal = rows.goal(case, f"{CACHED} ÷ {ALONE}", seconds[ALONE] / seconds[CACHED], DECODER)
    return pd.concat([*speeds, goal, *parts], ignore_index=True)


def _decode(files: list[str]) -> None:
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB").tobytes()

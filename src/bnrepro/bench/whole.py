"""Whole commands: Figure 1 from command to figure, the time to a first step, and the reading of data."""

import shutil
import subprocess
import sys
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
from bnrepro.errors import BadInput
from bnrepro.state import initial
from bnrepro.train import advance

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS, RESULTS = ROOT / "scripts", ROOT / "results"
BEYOND = "beyond importing torch"
FIGURE_1, START_UP = 180.0, 5.0  # seconds at most
DECODER = 1.0  # times its speed, at least
STARTS = 5
DECODED = REPORTS = 3  # times


def measure(images: str, device: str) -> pd.DataFrame:
    """Return the rows of whole commands and of reading data."""
    pieces = [_start_up(device), _figure_1(), _report(), _waiting(images, device), _decoding(images)]
    return pd.concat(pieces, ignore_index=True)


def _start_up(device: str) -> pd.DataFrame:
    """Time a command of one step, evaluation and record included, its data known already; and the import of torch."""
    taken: dict[str, list[float]] = {"torch imported": [], "a run of one step": [], BEYOND: []}
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(STARTS + 1):
            imports = _seconds([sys.executable, "-c", "import torch"])
            step = _seconds(
                [
                    *(sys.executable, str(SCRIPTS / "train.py"), "network=mlp_bn", "steps=1", "seeds=[0]"),
                    *(f"runtime.device={device}", f"runs_root={folder}/{attempt}", "probes.activation_steps=0"),
                ]
            )
            if attempt:  # the first one reads files that the system then has in memory
                for name, seconds in zip(taken, (imports, step, step - imports), strict=True):
                    taken[name].append(seconds)
    goals = {BEYOND: START_UP}
    return pd.concat(
        [rows.seconds("start-up", name, times, goals.get(name)) for name, times in taken.items()],
        ignore_index=True,
    )


def _figure_1() -> pd.DataFrame:
    """Time Figure 1 with five seeds as make reproduce has it: both networks, evaluations, probes, tables, figures."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").symlink_to(Path("data").resolve())
        taken = _seconds(
            [sys.executable, str(SCRIPTS / "reproduce.py"), "--scale", "quick", "--experiment", "fig1"], folder
        )
    return rows.seconds("Figure 1, five seeds", "from the command to the figures", [taken], FIGURE_1)


def _report() -> pd.DataFrame:
    """Time the report of the committed tables, and the imports that it cannot do without."""
    taken: dict[str, list[float]] = {"pandas, SciPy and Matplotlib imported": [], "from the tables to the pages": []}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results"
        shutil.copytree(RESULTS, target)
        for _ in range(REPORTS):
            imports = _seconds([sys.executable, "-c", "import pandas, scipy.stats, matplotlib.figure"])
            report = _seconds([sys.executable, str(SCRIPTS / "report.py"), "--results", str(target)])
            for name, seconds in zip(taken, (imports, report), strict=True):
                taken[name].append(seconds)
    return pd.concat([rows.seconds("make report", name, times) for name, times in taken.items()])


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


def _seconds(command: list[str], folder: str | None = None) -> float:
    """Return how long a command takes.

    Raises:
        BadInput: it failed; the message has its last line.
    """
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BadInput(f"{' '.join(command)} failed with exit code {done.returncode}: {last}")
    return time.monotonic() - began

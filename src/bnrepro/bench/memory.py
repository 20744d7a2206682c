"""The memory that training takes, measured beside the memory that a dry run computes."""

import ctypes
import os
from pathlib import Path

import torch

from bnrepro import data
from bnrepro.bench.processes import in_processes
from bnrepro.config import RunConfig
from bnrepro.data import Dataset
from bnrepro.run import set_up_torch
from bnrepro.state import initial
from bnrepro.train import advance

STEPS = 5
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux
KIB = 1024


def peak(config: RunConfig, smallest: RunConfig) -> float:
    """Return the bytes that a process of its own needs at most to train, over what it holds before.

    What it holds before are the images, and the framework's own code, which training ``smallest`` has brought in.
    """
    (needed,) = in_processes(_peak, (config, smallest))
    return needed


def can_be_measured(device: str) -> bool:
    """Say whether the system tells a process what it needed at most."""
    return device == "cuda" or os.access(RESET, os.W_OK)


def _peak(config: RunConfig, smallest: RunConfig) -> float:
    set_up_torch(1)
    device = torch.device(config.runtime.device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(device)
    _train(smallest, dataset, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _train(config, dataset, device)
        return float(torch.cuda.max_memory_allocated() - before)
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # what the smallest needed goes back to the system
    RESET.write_text("5")  # the peak is what is held now
    before = _held("VmRSS")
    _train(config, dataset, device)
    return float(_held("VmHWM") - before)


def _train(config: RunConfig, dataset: Dataset, device: torch.device) -> None:
    state = initial(config, dataset, device)
    for _ in range(STEPS):
        advance(state, gradients=False)


def _held(what: str) -> int:
    """Return a number of bytes of this process, by the name that Linux gives it (proc(5))."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) * KIB

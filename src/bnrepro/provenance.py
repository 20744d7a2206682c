"""Where a run's numbers come from: code, versions, machine, data."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bnrepro.machine import cpu_name

SOURCE = Path(__file__).resolve().parents[2]
CODE = ["src", "configs", "scripts", "pyproject.toml", "constraints.txt"]
PACKAGES = ["torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pandas"]


def git(*arguments: str) -> str | None:
    """Ask git about the source tree; None where there is no git or no repository."""
    try:
        command = ["git", "-C", str(SOURCE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def provenance(device: torch.device, **of_data: str | int) -> dict[str, Any]:
    """Describe what makes the numbers; ``dirty``: whether code or configs differ from the commit.

    ``of_data`` is what is to be known of the data, such as ``data_sha256``.
    """
    changes = git("status", "--porcelain", "--", *CODE)
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        **of_data,
    }

"""What is done to files, and whether a run ends all the same."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bnrepro import data
from bnrepro.config import RunConfig
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import State, initial
from conftest import Make
from interruption import stored_state


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "flipped bit": flipped,
}
SETTINGS = ["network=mlp_bn", "runtime.checkpoint_every=8"]


def harm(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))


def fresh(config: RunConfig) -> State:
    return initial(config, data.load(config.data, Path(config.data_root)), torch.device("cpu"))


def sealed(value: Any) -> bytes:
    """Return a checkpoint file of ``value`` whose checksum is right."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()


def ends_undisturbed(record: Record, small: Make, tmp_path: Path) -> None:
    undisturbed = run(small(*SETTINGS, f"runs_root={tmp_path / 'undisturbed'}"))
    assert record.metrics.read_bytes() == undisturbed.metrics.read_bytes()
    theirs = stored_state(undisturbed)
    assert all(torch.equal(value, theirs[name]) for name, value in stored_state(record).items())

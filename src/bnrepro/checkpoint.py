"""The exact state of a run on disk with all that it has measured, saved atomically, restored bit for bit.

The file is the SHA-256 of what follows (32 bytes), then what torch.save writes, which alone notices no flipped bit.
The checkpoint before it is kept beside it, for the day on which the newest one is damaged.
"""

import hashlib
import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bnrepro import distributed
from bnrepro.config import RunConfig, identity
from bnrepro.door import lacks_memory
from bnrepro.errors import BadInput
from bnrepro.files import cannot_read, put_aside, read_bytes, write_bytes
from bnrepro.record import from_parquet, refuse_other, refuse_other_data
from bnrepro.state import State

DIGEST = hashlib.sha256().digest_size
FORMAT = 6  # 1 had the state alone, 2 not the config, 3 not the data's SHA-256, 4 each convolution of a block apart,
# 5 torch.optim's state
UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    EOFError,
    OSError,
)


@dataclass(frozen=True)
class Progress:
    """What a run has beside its state: the table of measurements, as its file holds it, and the seconds spent."""

    metrics: bytes
    seconds: float


def before(path: Path) -> Path:
    """Return where the checkpoint before the one at ``path`` is kept."""
    return path.with_suffix(".before.pt")


def save(path: Path, config: RunConfig, state: State, progress: Progress) -> None:
    """Replace the checkpoint at ``path``; the old one stays until the new one is whole, and then as the one before.

    Networks of one shape fit each other's state, so it is kept of which config it is, and of which data.

    Raises:
        BadInput: it cannot be written.
    """
    kept = {
        "format": FORMAT,
        "config": json.dumps(identity(config)),
        "data_sha256": state.data_sha256,
        "state": state.state_dict(),
        "metrics": torch.frombuffer(bytearray(progress.metrics), dtype=torch.uint8),
        "seconds": progress.seconds,
    }
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    content = buffer.getvalue()
    write_bytes(path, hashlib.sha256(content).digest() + content, before(path))


def restore(path: Path, config: RunConfig, state: State) -> Progress | None:
    """Bring ``state`` to where the newest whole checkpoint was taken; None where there is none.

    A damaged one is named and kept aside, and the one before it is taken. Only tensors and plain containers are
    accepted.

    Raises:
        BadInput: a file cannot be read, or is whole and does not fit this run or this version.
    """
    for candidate in (path, before(path)):
        try:
            stored = read_bytes(candidate)
        except FileNotFoundError as error:
            if candidate.is_symlink():  # to a disk that is not there, say
                raise BadInput(f"{candidate} is a link to nothing: bring it back, or remove the link") from error
            continue
        except OSError as error:
            raise BadInput(cannot_read(candidate, error)) from error
        content = stored[DIGEST:]
        if hashlib.sha256(content).digest() == stored[:DIGEST]:
            return _load(candidate, content, config, state)
        if distributed.rank() == 0:
            aside = put_aside(candidate)
            print(f"{candidate} is damaged, its checksum is wrong: it is kept as {aside.name}", flush=True)
    if distributed.rank() == 0:
        print(f"{path.parent} has no whole checkpoint: the run starts anew", flush=True)
    return None


def _load(path: Path, content: bytes, config: RunConfig, state: State) -> Progress:
    try:
        kept = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        found = kept.get("format", 1)
        if found == FORMAT:
            refuse_other(path, json.loads(kept["config"]), config)
            refuse_other_data(path, kept["data_sha256"], state.data_sha256)
            _check_fits(kept, config, state)
            state.load_state_dict(kept["state"])
            return Progress(kept["metrics"].numpy().tobytes(), float(kept["seconds"]))
    except UNREADABLE as error:
        if lacks_memory(error):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"{path} cannot be read as a checkpoint of this run ({reason}); "
            f"remove the folder {path.parent} to start the run anew"
        ) from error
    raise BadInput(
        f"{path} has format {found} of checkpoints, this version reads {FORMAT}: end the run with the version that "
        f"began it, its commit is in {path.parent / 'provenance.json'}, or remove the folder to make the run anew"
    )


def _check_fits(kept: dict[str, Any], config: RunConfig, state: State) -> None:
    """Raise ValueError where a checkpoint holds what no run of ``config`` can have come to."""
    theirs, step = kept["state"], kept["state"]["step"]
    if type(step) is not int or not 0 <= step <= config.steps:
        raise ValueError(f"its step is {step!r}, of {config.steps}")
    for name, ours in (("loss", state.loss), ("diverged_at", state.diverged_at)):
        if theirs[name].shape != ours.shape or theirs[name].dtype != ours.dtype:
            raise ValueError(f"its {name} is not one number for each of {len(ours)} replicas")
    if not 0 <= kept["seconds"] < float("inf"):
        raise ValueError(f"its seconds are {kept['seconds']!r}")
    from_parquet(kept["metrics"].numpy().tobytes())

"""The exact state of a run on disk, saved atomically, restored bit for bit.

The file is the SHA-256 of what follows (32 bytes), then what torch.save writes, which alone notices no flipped bit.
"""

import hashlib
import io
import pickle
from pathlib import Path

import torch

from bnrepro.errors import BadInput
from bnrepro.files import write_atomically
from bnrepro.state import State

DIGEST = hashlib.sha256().digest_size


def save(path: Path, state: State) -> None:
    """Replace the checkpoint at ``path``; the old one stays until the new one is whole."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    content = buffer.getvalue()
    write_atomically(path, lambda aside: aside.write_bytes(hashlib.sha256(content).digest() + content))


def restore(path: Path, state: State) -> None:
    """Bring ``state`` to where the checkpoint was taken. Only tensors and plain containers are accepted.

    Raises:
        BadInput: the file is damaged or does not fit this run.
    """
    try:
        stored = path.read_bytes()
        digest, content = stored[:DIGEST], stored[DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("its checksum is wrong")
        state.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, LookupError, TypeError, EOFError, ValueError, OSError) as error:
        reason = next(iter(str(error).splitlines()), "it ends too early")
        raise BadInput(
            f"{path} cannot be read as a checkpoint of this run ({reason}); "
            f"remove the folder {path.parent} to start the run anew"
        ) from error

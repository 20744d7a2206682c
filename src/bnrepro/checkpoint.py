"""The exact state of a run on disk, saved atomically, restored bit for bit."""

import pickle
from pathlib import Path

import torch

from bnrepro.errors import BadInput
from bnrepro.files import write_atomically
from bnrepro.state import State


def save(path: Path, state: State) -> None:
    """Replace the checkpoint at ``path``; the old one stays until the new one is whole."""
    write_atomically(path, lambda aside: torch.save(state.state_dict(), aside))


def restore(path: Path, state: State) -> None:
    """Bring ``state`` to where the checkpoint was taken. Only tensors and plain containers are accepted.

    Raises:
        BadInput: the file is damaged or does not fit this run.
    """
    try:
        state.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, KeyError, EOFError, ValueError, OSError) as error:
        reason = next(iter(str(error).splitlines()), "it ends too early")
        raise BadInput(
            f"{path} cannot be read as a checkpoint of this run ({reason}); "
            f"remove the folder {path.parent} to start the run anew"
        ) from error

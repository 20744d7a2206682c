"""Files that are either whole or not there."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from bnrepro.errors import BadInput


def write_bytes(path: Path, content: bytes, before: Path | None = None) -> None:
    """Write a temporary file beside ``path``, then put it in its place; on failure ``path`` stays as it was.

    Args:
        path: of the file; its folder is made where it is not there.
        content: all of it.
        before: where the file that it replaces is kept, if at all.

    Raises:
        BadInput: it cannot be written; the message says why and how much room it takes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        aside = Path(name)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.chmod(0o644)
            if before is not None and path.exists():
                path.replace(before)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        _keep_names(path.parent)
    except OSError as error:
        raise BadInput(cannot_write(path, error, len(content))) from error


def cannot_write(path: Path, error: OSError, size: int = 0) -> str:
    """Say that ``path`` cannot be written, why, and what to do."""
    room = f", it takes {max(1, -(-size // 1024)):,} KiB" if size else ""
    return (
        f"{path} cannot be written ({error.strerror or error}){room}; what was there is whole: "
        "free space or allow writing there, then give the same command again"
    )


def remove_parts(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote; only who holds the folder may."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _keep_names(folder: Path) -> None:
    """Bring a folder's names to the disk: a power cut after this loses none of them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")

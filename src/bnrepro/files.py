"""Files that are either whole or not there, and say themselves whether they are what was written."""

import errno
import hashlib
import json
import os
import secrets
from itertools import count
from pathlib import Path
from typing import Any, cast

from bnrepro.errors import BadInput

SEAL = "seal"  # the key of the SHA-256 of all others
IN_THE_WAY = (errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY)  # a folder is where a file goes
NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)  # what the path leads through


def write_bytes(path: Path, content: bytes, before: Path | None = None) -> None:
    """Write a temporary file beside ``path``, then put it in its place.

    Where the writing fails what was there stays as it was; where only the last renaming fails it is at ``before``, if
    that is given.

    Args:
        path: of the file; its folder is made where it is not there.
        content: all of it.
        before: where the file that it replaces is kept, if at all.

    Raises:
        BadInput: it cannot be written; the message says why and how much room it takes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with open(aside, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
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
    in_the_way = error.filename2 or error.filename if error.errno in IN_THE_WAY else None
    todo = f"move {in_the_way} away" if in_the_way else "free space or allow writing there"
    if error.errno in NO_FOLDER:
        todo = "move what is no folder out of its path, or choose another"
    return (
        f"{path} cannot be written ({error.strerror or error}){room}; what was there is whole: {todo}, then give the "
        "same command again"
    )


def cannot_read(path: Path, error: OSError) -> str:
    """Say that ``path`` cannot be read, why, and what to do."""
    todo = "move it away" if error.errno in (None, *IN_THE_WAY, *NO_FOLDER) else "allow reading it"
    return f"{path} cannot be read ({error.strerror}); {todo}"


def put_aside(path: Path) -> Path:
    """Rename a damaged file, so that it is kept; return its new place, where nothing was before."""
    names = (f"{path.name}.damaged{number or ''}" for number in count())
    return path.replace(next(place for name in names if not os.path.lexists(place := path.with_name(name))))


def remove_parts(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote; only who holds the folder may."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _keep_names(folder: Path) -> None:
    """Bring a folder's names to the disk: a power cut after this loses none of them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems keep no folder apart
            raise
    finally:
        os.close(handle)


def read_bytes(path: Path) -> bytes:
    """Read a file; raises OSError where it is none, such as a pipe, which would be waited for without end."""
    if path.exists() and not path.is_file():
        raise OSError(None, "it is no regular file", str(path))
    return path.read_bytes()


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_bytes(path, text.encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as hex digits."""
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write plain values as JSON, atomically, with the SHA-256 of them."""
    write_text(path, json.dumps({**value, SEAL: _seal(value)}, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read what :func:`write_json` wrote; raises OSError where there is no file, ValueError where it is damaged."""
    try:
        value = json.loads(read_bytes(path).decode())
    except RecursionError as error:  # a thousand brackets
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict) or value.pop(SEAL, None) != _seal(value):
        raise ValueError("its SHA-256 is wrong")
    return cast(dict[str, Any], value)


def _seal(value: dict[str, Any]) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode())

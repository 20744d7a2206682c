"""Decoded images on disk: written once, whole or not at all, checked when they are read.

<data_root>/.cache/<name>-<digest>/
    train.images.npy, train.labels.npy, test.images.npy, test.labels.npy
    cache.json        source, classes, and the SHA-256 of each of these files
The digest is of the source's listing and of how it is decoded, so another source has another folder.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bnrepro.errors import BadInput
from bnrepro.files import read_json, write_json

PARTS = ("train.images", "train.labels", "test.images", "test.labels")
Arrays = dict[str, NDArray[np.uint8] | NDArray[np.int64]]


@dataclass(frozen=True)
class Cached:
    """What a cache holds: the four arrays, mapped from disk, the classes and the SHA-256 of all."""

    arrays: Arrays
    classes: list[str]
    sha256: str


def cached(root: Path, name: str, source: str, digest: str, build: Callable[[Path], list[str]]) -> Cached:
    """Return what ``build`` writes, from the cache where it is there and whole, else built and kept.

    Args:
        root: of the data.
        name: of the data set.
        source: where the images come from and how they are decoded; older caches of the same are removed.
        digest: of all that the cache depends on.
        build: writes :data:`PARTS` as .npy files into a folder, and returns the names of the classes.

    Raises:
        BadInput: the cache cannot be written.
    """
    folder = root / ".cache" / f"{name}-{digest[:16]}"
    if (held := _read(folder)) is not None:  # on a disk that is read-only, perhaps
        return held
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # of two runs that start together, one builds
            if (held := _read(folder)) is not None:
                return held
            if folder.exists():
                print(f"{folder} is damaged: it is built anew", flush=True)
                shutil.rmtree(folder)
            _write(folder, source, build)
            held = _read(folder)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written ({error.strerror or error}); free space there or set data_root="
        ) from error
    if held is None:
        raise BadInput(f"{folder} is damaged as soon as it is written: the disk is not to be trusted")
    for old in folder.parent.glob(f"{name}-*/"):
        if old != folder and _source(old) == source:
            _remove(old)
    return held


def _write(folder: Path, source: str, build: Callable[[Path], list[str]]) -> None:
    unfinished = f".building-{folder.name}-"
    for left in folder.parent.glob(f"{unfinished}*"):  # by a process that was killed: this one has the lock
        shutil.rmtree(left, ignore_errors=True)
    aside = folder.with_name(f"{unfinished}{os.getpid()}")
    aside.mkdir()
    try:
        classes = build(aside)
        sums = {part: _sha256(aside / f"{part}.npy") for part in PARTS}
        write_json(aside / "cache.json", {"source": source, "classes": classes, "sha256": sums})
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _source(folder: Path) -> str | None:
    """Return what a cache was made from, None where it does not say."""
    try:
        return str(read_json(folder / "cache.json")["source"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _remove(folder: Path) -> None:
    """Remove a cache unless another run is reading it in; one that has it open keeps its files until it ends."""
    with suppress(Timeout), FileLock(folder.with_suffix(".lock"), timeout=0):
        shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> Cached | None:
    """Return the cache in ``folder``, None where it is not there or not as it was written."""
    try:
        said = read_json(folder / "cache.json")
        sums = {part: said["sha256"][part] for part in PARTS}
        if any(_sha256(folder / f"{part}.npy") != sums[part] for part in PARTS):
            return None
        arrays = {part: np.load(folder / f"{part}.npy", mmap_mode="c", allow_pickle=False) for part in PARTS}
        return Cached(arrays, [str(name) for name in said["classes"]], _combined(sums))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _combined(sums: dict[str, str]) -> str:
    return hashlib.sha256("".join(sums[part] for part in PARTS).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Images of a tree decoded in parallel into files, each checked as it is opened."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnrepro.data.tree import Split
from bnrepro.errors import BadInput
from bnrepro.files import cannot_write

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "WEBP")  # whatever the suffix: Pillow hands PostScript to another program
MOST_PIXELS = 100_000_000  # of one image before it is scaled: above it is taken for an attack, not decoded
SMALL = 64  # pixels of a side up to which threads only wait for Python's lock: two are slower than one
AT_ONCE = 16  # images that a thread takes: handing them out one by one takes longer than decoding small ones
Image = NDArray[np.uint8]
Mapped = np.memmap[Any, np.dtype[np.uint8]]


def decode(split: Split, path: Path, size: int, damaged: str, threads: int) -> NDArray[np.int64]:
    """Decode a split in parallel, with a progress bar, into a file: images (N, 3, size, size); return labels (N,).

    Args:
        split: what to decode.
        path: of the .npy file; it is written image by image, and may be larger than memory.
        size: side in pixels; the shorter side is scaled to it and the centre cut out. 0: as they are.
        damaged: stop at an image that does not decode, or skip it and say so.
        threads: how many decode at once; small images are decoded by one.

    Raises:
        BadInput: an image does not decode (with ``stop``), sizes are mixed where ``size`` is 0, or the disk is full.
    """
    side = size or _side_of(split, damaged)
    images = _mapped(path, (len(split.paths), 3, side, side))
    good = _decode_all(split, images, bool(size), damaged, threads if side > SMALL else 1)
    images.flush()
    labels = np.asarray(split.labels, dtype=np.int64)
    if lost := set(split.labels) - set(labels[good].tolist()):
        raise BadInput(f"{Path(split.paths[split.labels.index(lost.pop())]).parent} has no image that decodes")
    if not good.all():
        _keep(path, images, good)
    return labels[good]


def _mapped(path: Path, shape: tuple[int, ...]) -> Mapped:
    """Return a new .npy file, mapped.

    Its room is reserved first: a process that writes to a mapped page for which the disk has no room is killed.
    """
    images: Mapped = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    size = path.stat().st_size
    try:
        if hasattr(os, "posix_fallocate"):  # not everywhere
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise BadInput(cannot_write(path, error, size)) from error
    return images


def _decode_all(split: Split, images: Image, scale: bool, damaged: str, threads: int) -> NDArray[np.bool_]:
    """Decode every image of a split into ``images``; return which of them decode."""
    from rich import get_console
    from rich.progress import track

    good = np.ones(len(split.paths), bool)
    starts = range(0, len(split.paths), AT_ONCE)
    with ThreadPoolExecutor(threads) as pool:
        paths, into = ([of[start : start + AT_ONCE] for start in starts] for of in (split.paths, images))
        wrong = chain.from_iterable(pool.map(partial(_decode_some, scale=scale), paths, into))
        hidden = not get_console().is_terminal  # elsewhere the bar would be empty lines
        what = f"decoding {split.folder}"
        for index, reason in enumerate(track(wrong, what, len(split.paths), transient=True, disable=hidden)):
            if reason and damaged == "stop":
                pool.shutdown(wait=False, cancel_futures=True)  # the others need not be decoded
                raise _stop_at(split.paths[index], reason)
            if reason:
                print(f"skipped: {split.paths[index]} {reason}", flush=True)
                good[index] = False
    return good


def _keep(path: Path, images: Image, good: NDArray[np.bool_]) -> None:
    """Write the file anew with the good images alone, one at a time."""
    aside = path.with_suffix(".kept")
    kept = _mapped(aside, (int(good.sum()), *images.shape[1:]))
    for place, index in enumerate(np.flatnonzero(good)):
        kept[place] = images[index]
    kept.flush()
    aside.replace(path)


def _stop_at(path: str, reason: str) -> BadInput:
    return BadInput(f"{path} {reason}; replace it, or skip such images: data.damaged=skip")


def _decode_some(paths: list[str], into: Image, scale: bool) -> list[str]:
    """Decode a few images (N, 3, side, side); return what is wrong with each."""
    return [_decode(path, image, scale) for path, image in zip(paths, into, strict=True)]


def _decode(path: str, into: Image, scale: bool) -> str:
    """Decode an image into (3, side, side) bytes; return what is wrong with it, or nothing."""
    side = into.shape[-1]
    image, reason = _opened(path)
    if image is None:
        return reason
    if scale:
        image = _scaled(image, side)
    elif image.size != (side, side):
        return (
            f"is {image.width} x {image.height} pixels, the first image {side} x {side}: "
            "set data.size to bring all to one size"
        )
    into[:] = np.asarray(image).transpose(2, 0, 1)
    return ""


def _open(path: str) -> Any:
    from PIL import Image as Pillow  # imported late

    Pillow.MAX_IMAGE_PIXELS = None  # the limit is checked here; Pillow's own warning would stand beside the message
    return Pillow.open(path, formats=FORMATS)


def size_of(path: str) -> tuple[int, int] | None:
    """Return an image's width and height without decoding it, None where it cannot be opened or has too many pixels."""
    try:
        with _open(path) as opened:
            width, height = opened.size
    except (OSError, ValueError, SyntaxError):
        return None
    return (width, height) if width * height <= MOST_PIXELS else None


def _opened(path: str) -> tuple[Any, str]:
    """Return an image in RGB, or None and what is wrong with it."""
    try:
        with _open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return None, (
                    f"has {opened.width} x {opened.height} pixels, more than the {MOST_PIXELS:,} that are decoded: "
                    "scale it down"
                )
            if opened.mode[0] in "IF":  # Pillow would cut off what is above 255
                return None, f"has more than 8 bits a pixel (mode {opened.mode}): bring it to 8"
            return opened.convert("RGB"), ""
    except (OSError, ValueError, SyntaxError) as error:
        return None, f"does not decode as an image ({error})"


def _scaled(image: Any, side: int) -> Any:
    from PIL.Image import Resampling  # imported late

    shorter = min(image.size)
    if shorter != side:
        width, height = (max(side, round(length * side / shorter)) for length in image.size)
        image = image.resize((width, height), Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _side_of(split: Split, damaged: str) -> int:
    """Return the side of the first image that decodes."""
    for path in split.paths:
        image, reason = _opened(path)
        if image is None and damaged == "stop":
            raise _stop_at(path, reason)
        if image is not None and image.width != image.height:
            raise BadInput(
                f"{path} is {image.width} x {image.height} pixels: set data.size to bring all images to one square size"
            )
        if image is not None:
            return int(image.width)
    raise BadInput(f"{split.folder} has no image that decodes")

"""A tree of class folders, ``{train,test}/<class>/<image>``: listed, checked, and decoded once into a cache."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnrepro.errors import BadInput

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"}
MOST_PIXELS = 100_000_000  # of one image before it is scaled: above it is taken for an attack, not decoded
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """The images of one split: paths, and the class of each."""

    paths: list[Path]
    labels: list[int]


@dataclass(frozen=True)
class Tree:
    """Both splits and the names of the classes, sorted."""

    folder: Path
    classes: list[str]
    train: Split
    test: Split

    def listing(self) -> Iterator[str]:
        """Describe every file by its name, size and time, so that a change of the tree is seen without reading it."""
        for path in [*self.train.paths, *self.test.paths]:
            stat = path.stat() if path.exists() else path.lstat()  # a link that leads nowhere is found when decoded
            yield f"{path.relative_to(self.folder).as_posix()} {stat.st_size} {stat.st_mtime_ns}"


def scan(folder: Path, train_name: str, test_name: str) -> Tree:
    """List a tree whose splits lie in the folders ``train_name`` and ``test_name``.

    Raises:
        BadInput: a split is missing, there are fewer than two classes, one is empty or in one split only.
    """
    found = {name: _classes(folder, name, key) for name, key in ((train_name, "train"), (test_name, "test"))}
    train, test = (set(found[name]) for name in (train_name, test_name))
    if train != test:
        alone = ", ".join(sorted(train ^ test)[:5])
        raise BadInput(f"{folder}: {train_name} and {test_name} have different classes; in one only: {alone}")
    classes = sorted(train)
    if len(classes) < 2:
        raise BadInput(f"{folder / train_name} has {len(classes)} class folder(s): two or more are needed")
    splits = [_split(folder / name, found[name], classes) for name in (train_name, test_name)]
    return Tree(folder, classes, *splits)


def _classes(folder: Path, name: str, key: str) -> dict[str, list[Path]]:
    split = folder / name
    if not split.is_dir():
        raise BadInput(f"{split} is not there: put the images into {split}/<class>/, or set data.folder and data.{key}")
    return {
        path.name: sorted(image for image in path.rglob("*") if image.suffix.lower() in SUFFIXES and not image.is_dir())
        for path in split.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    }


def _split(folder: Path, found: dict[str, list[Path]], classes: list[str]) -> Split:
    for name in classes:
        if not found[name]:
            raise BadInput(f"{folder / name} has no image ({', '.join(sorted(SUFFIXES))}): fill or remove the class")
    pairs = [(path, label) for label, name in enumerate(classes) for path in found[name]]
    return Split([path for path, _ in pairs], [label for _, label in pairs])


def decode(split: Split, path: Path, size: int, damaged: str, threads: int) -> NDArray[np.int64]:
    """Decode a split in parallel, with a progress bar, into a file: images (N, 3, size, size); return labels (N,).

    Args:
        split: what to decode.
        path: of the .npy file; it is written image by image, and may be larger than memory.
        size: side in pixels; the shorter side is scaled to it and the centre cut out. 0: as they are.
        damaged: stop at an image that does not decode, or skip it and say so.
        threads: how many decode at once.

    Raises:
        BadInput: an image does not decode (with ``stop``), or sizes are mixed where ``size`` is 0.
    """
    side = size or _side_of(split.paths[0])
    shape = (len(split.paths), 3, side, side)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    good = _decode_all(split, images, bool(size), damaged, threads)
    images.flush()
    labels = np.asarray(split.labels, dtype=np.int64)
    if lost := set(split.labels) - set(labels[good].tolist()):
        raise BadInput(f"{split.paths[split.labels.index(lost.pop())].parent} has no image that decodes")
    if not good.all():
        _keep(path, images, good)
    return labels[good]


def _decode_all(split: Split, images: Image, scale: bool, damaged: str, threads: int) -> NDArray[np.bool_]:
    """Decode every image of a split into ``images``; return which of them decode."""
    from rich.progress import track

    good = np.ones(len(split.paths), bool)
    with ThreadPoolExecutor(threads) as pool:
        wrong = pool.map(partial(_decode, scale=scale), split.paths, images)
        what = f"decoding {split.paths[0].parents[1]}"
        for index, reason in enumerate(track(wrong, what, len(split.paths), transient=True)):
            if reason and damaged == "stop":
                pool.shutdown(wait=False, cancel_futures=True)  # the others need not be decoded
                raise BadInput(f"{split.paths[index]} {reason}; replace it, or skip such images: data.damaged=skip")
            if reason:
                print(f"skipped: {split.paths[index]} {reason}", flush=True)
                good[index] = False
    return good


def _keep(path: Path, images: Image, good: NDArray[np.bool_]) -> None:
    """Write the file anew with the good images alone, one at a time."""
    aside = path.with_suffix(".kept")
    kept = np.lib.format.open_memmap(aside, "w+", np.uint8, (int(good.sum()), *images.shape[1:]))
    for place, index in enumerate(np.flatnonzero(good)):
        kept[place] = images[index]
    kept.flush()
    aside.replace(path)


def _decode(path: Path, into: Image, scale: bool) -> str:
    """Decode an image into (3, side, side) bytes; return what is wrong with it, or nothing."""
    from PIL import Image as Pillow

    side = into.shape[-1]
    try:
        with Pillow.open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return f"has {opened.width} x {opened.height} pixels: more than are decoded"
            if opened.mode[0] in "IF":  # Pillow would cut off what is above 255
                return f"has more than 8 bits a pixel (mode {opened.mode}): bring it to 8"
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        return f"does not decode as an image ({error})"
    if scale:
        image = _scaled(image, side)
    elif image.size != (side, side):
        return (
            f"is {image.width} x {image.height} pixels, the first image {side} x {side}: "
            "set data.size to bring all to one size"
        )
    into[:] = np.asarray(image).transpose(2, 0, 1)
    return ""


def _scaled(image, side: int):  # type: ignore[no-untyped-def]  # Pillow is imported late
    from PIL import Image as Pillow

    shorter = min(image.size)
    if shorter != side:
        width, height = (max(side, round(length * side / shorter)) for length in image.size)
        image = image.resize((width, height), Pillow.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _side_of(path: Path) -> int:
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as image:
            width, height = image.size
    except (OSError, Pillow.DecompressionBombError) as error:
        raise BadInput(f"{path} does not decode as an image ({error}); replace it, or set data.size") from error
    if width != height:
        raise BadInput(f"{path} is {width} x {height} pixels: set data.size to bring all images to one square size")
    return int(width)

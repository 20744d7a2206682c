"""A tree of class folders, ``{train,test}/<class>/<image>``: listed, checked, and decoded once into a cache."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnrepro.errors import BadInput

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"}
MOST_PIXELS = 100_000_000  # of one image before it is scaled: above it is taken for an attack, not decoded
LISTED = 5  # names in a message
AT_ONCE = 16  # images that a thread takes: handing them out one by one takes longer than decoding small ones
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """The images of one split: paths, and the class of each; the suffixes of the files that are left out, one each."""

    folder: Path
    paths: list[Path]
    labels: list[int]
    left_out: list[str]


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
        BadInput: a split is missing or is the other one, there are fewer than two classes, one is empty or in one
            split only, or an image is no regular file.
    """
    found = {name: _classes(folder, name, key) for name, key in ((train_name, "train"), (test_name, "test"))}
    if (folder / train_name).samefile(folder / test_name):
        raise BadInput(f"data.test is {test_name!r}: this is data.train's folder by another name; name another folder")
    pairs = (train_name, test_name), (test_name, train_name)
    if alone := [_only_in(found, *pair) for pair in pairs if found[pair[0]].keys() - found[pair[1]].keys()]:
        raise BadInput(f"{folder}: {'; '.join(alone)}: both need the same classes")
    classes = sorted(found[train_name])
    if len(classes) < 2:
        raise BadInput(f"{folder / train_name} has 1 class folder, {classes[0]}: two or more are needed")
    return Tree(folder, classes, *(_split(folder / name, found[name], classes) for name in (train_name, test_name)))


def _classes(folder: Path, name: str, key: str) -> dict[str, list[Path]]:
    """Return the files of each class folder, images or not."""
    split = folder / name
    if not split.is_dir():
        raise BadInput(f"{split} is not there: put the images into {split}/<class>/, or set data.folder and data.{key}")
    classes = {path.name: path for path in split.iterdir() if path.is_dir() and not _junk(path.name)}
    if not classes:
        raise BadInput(f"{split} has no class folders: put its images into {split}/<class>/")
    return {
        name: sorted(
            file
            for file in path.rglob("*")
            if not any(_junk(part) for part in file.relative_to(path).parts) and not file.is_dir()
        )
        for name, path in classes.items()
    }


def _junk(name: str) -> bool:
    """Say whether a file or folder is not meant as data: hidden, or macOS's own in an archive."""
    return name.startswith(".") or name == "__MACOSX"


def _only_in(found: dict[str, dict[str, list[Path]]], one: str, other: str) -> str:
    alone = sorted(found[one].keys() - found[other].keys())
    return f"{some(alone)} {'is' if len(alone) == 1 else 'are'} in {one} but not in {other}"


def some(names: list[str]) -> str:
    """List the first names, and how many more there are."""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _split(folder: Path, found: dict[str, list[Path]], classes: list[str]) -> Split:
    split = Split(folder, [], [], [])
    for label, name in enumerate(classes):
        images = [path for path in found[name] if path.suffix.lower() in SUFFIXES]
        others = [path.suffix.lower() or "none" for path in found[name] if path.suffix.lower() not in SUFFIXES]
        if not images:
            instead = f", only files with other suffixes: {some(sorted(set(others)))}" if others else ""
            raise BadInput(
                f"{folder / name} has no image ({', '.join(sorted(SUFFIXES))}){instead}; fill or remove the class"
            )
        for path in images:
            if not path.is_file() and path.exists():  # a pipe would be waited for without end
                raise BadInput(f"{path} is no regular file: remove it, or put an image there")
        split.paths.extend(images)
        split.labels.extend([label] * len(images))
        split.left_out.extend(others)
    return split


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
    side = size or _side_of(split, damaged)
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
    kept = np.lib.format.open_memmap(aside, "w+", np.uint8, (int(good.sum()), *images.shape[1:]))
    for place, index in enumerate(np.flatnonzero(good)):
        kept[place] = images[index]
    kept.flush()
    aside.replace(path)


def _stop_at(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path} {reason}; replace it, or skip such images: data.damaged=skip")


def _decode_some(paths: list[Path], into: Image, scale: bool) -> list[str]:
    """Decode a few images (N, 3, side, side); return what is wrong with each."""
    return [_decode(path, image, scale) for path, image in zip(paths, into, strict=True)]


def _decode(path: Path, into: Image, scale: bool) -> str:
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


def _pillow() -> Any:  # imported late
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # the limit is checked here; Pillow's own warning would stand beside the message
    return Pillow


def size_of(path: Path) -> tuple[int, int] | None:
    """Return an image's width and height without decoding it, None where it cannot be opened or has too many pixels."""
    try:
        with _pillow().open(path) as opened:
            width, height = opened.size
    except (OSError, ValueError, SyntaxError):
        return None
    return (width, height) if width * height <= MOST_PIXELS else None


def _opened(path: Path) -> tuple[Any, str]:
    """Return an image in RGB, or None and what is wrong with it."""
    try:
        with _pillow().open(path) as opened:
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
    shorter = min(image.size)
    if shorter != side:
        width, height = (max(side, round(length * side / shorter)) for length in image.size)
        image = image.resize((width, height), _pillow().Resampling.BILINEAR)
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

"""A tree of class folders, ``{train,test}/<class>/<image>``: listed and checked; decoding.py decodes it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bnrepro.errors import BadInput
from bnrepro.files import cannot_read

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"}
LISTED = 5  # names in a message


@dataclass(frozen=True)
class Split:
    """The images of one split: paths, and the class of each; the suffixes of the files that are left out, one each.

    Paths are strings: as objects, those of 60,000 images took three seconds of each start.
    """

    folder: Path
    paths: list[str]
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
        above = os.path.join(self.folder, "")
        for path in [*self.train.paths, *self.test.paths]:
            try:
                stat = os.stat(path)
            except OSError:
                stat = os.lstat(path)  # a link that leads nowhere, or to itself, is found when decoded
            yield f"{path.removeprefix(above)} {stat.st_size} {stat.st_mtime_ns}"


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


def _classes(folder: Path, name: str, key: str) -> dict[str, list[str]]:
    """Return the files of each class folder, images or not."""
    split = folder / name
    if not split.is_dir():
        raise BadInput(f"{split} is not there: put the images into {split}/<class>/, or set data.folder and data.{key}")
    classes = {path.name: path for path in split.iterdir() if path.is_dir() and not _junk(path.name)}
    if not classes:
        raise BadInput(f"{split} has no class folders: put its images into {split}/<class>/")
    return {name: sorted(_files(str(path)), key=lambda file: file.split(os.sep)) for name, path in classes.items()}


def _files(folder: str) -> Iterator[str]:
    """List the files below a folder, without those of links to other folders."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _junk(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path
                elif not os.path.isdir(entry.path):  # a link, perhaps one that leads nowhere, or a pipe
                    _refuse_irregular(entry.path)
                    yield entry.path
    except OSError as error:
        raise BadInput(cannot_read(Path(folder), error)) from error


def _refuse_irregular(path: str) -> None:
    if _suffix(path) in SUFFIXES and os.path.exists(path) and not os.path.isfile(path):
        raise BadInput(f"{path} is no regular file: remove it, or put an image there")  # it would be waited for


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _junk(name: str) -> bool:
    """Say whether a file or folder is not meant as data: hidden, or macOS's own in an archive."""
    return name.startswith(".") or name == "__MACOSX"


def _only_in(found: dict[str, dict[str, list[str]]], one: str, other: str) -> str:
    alone = sorted(found[one].keys() - found[other].keys())
    return f"{some(alone)} {'is' if len(alone) == 1 else 'are'} in {one} but not in {other}"


def some(names: list[str]) -> str:
    """List the first names, and how many more there are."""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _split(folder: Path, found: dict[str, list[str]], classes: list[str]) -> Split:
    split = Split(folder, [], [], [])
    for label, name in enumerate(classes):
        images = [path for path in found[name] if _suffix(path) in SUFFIXES]
        others = [_suffix(path) or "none" for path in found[name] if _suffix(path) not in SUFFIXES]
        if not images:
            instead = f", only files with other suffixes: {some(sorted(set(others)))}" if others else ""
            raise BadInput(
                f"{folder / name} has no image ({', '.join(sorted(SUFFIXES))}){instead}; fill or remove the class"
            )
        split.paths.extend(images)
        split.labels.extend([label] * len(images))
        split.left_out.extend(others)
    return split

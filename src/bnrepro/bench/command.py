"""``make bench``: measure, write results/bench.csv and bench.json, and draw them."""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pandas as pd
import torch

from bnrepro import at_hand, data, door, results
from bnrepro.bench import growth, inception, mnist, profile, reading, whole
from bnrepro.errors import BadInput
from bnrepro.provenance import provenance
from bnrepro.run import set_up_torch
from bnrepro.stopping import raising

MEASURES: dict[str, Callable[[str, str], pd.DataFrame]] = {
    "mnist": lambda _, device: mnist.measure(device),
    "inception": inception.measure,
    "profile": profile.measure,
    "growth": growth.measure,
    "reading": reading.measure,
    "whole": whole.measure,
}
INTERRUPTED = "interrupted; bench.csv has the parts that were measured to their end, and make report shows them"
ON_MNIST = ("mnist", "profile", "growth", "whole")
ON_IMAGES = ("inception", "profile", "growth", "reading")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write it; return the exit code.

    1 where a process was killed; door.py has the others.
    """
    parser = argparse.ArgumentParser(description="Measure how fast it is; best on a machine that does nothing else.")
    parser.add_argument("--only", choices=list(MEASURES), help="measure one part, all its rows anew; the others' stay")
    parser.add_argument("--images", help="default: cifar10, or cifar10_jpeg where it is there; else shapes")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    given = parser.parse_args(arguments)
    parts = [given.only] if given.only else list(MEASURES)
    with raising():
        return door.command(lambda: bench(parts, given.images, given.results), INTERRUPTED)


def bench(parts: list[str], images: str | None, target: Path) -> int:
    """Do what :func:`main` says; return 0, or 1 where a process was killed.

    Raises:
        BadInput: data or results are not there or not to be written, or a fast path computes something else.
    """
    pictures = _at_the_door(parts, images, target)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    set_up_torch(1)
    code, unshown = 0, False
    try:
        for part in parts:
            print(f"measuring {part}", flush=True)
            made_by = provenance(torch.device(device))
            table = MEASURES[part](pictures, device).assign(device=made_by["device"])
            if device == "cuda":  # beside what a CPU measured
                table["case"] = "GPU: " + table["case"]
            try:
                results.add_bench(target, part if device == "cpu" else f"{part} on a GPU", table, made_by)
                unshown = True
            finally:  # a table that finds no place can still be read
                print(table[["case", "variant", "unit", "median", "low", "high", "met"]].to_string(), flush=True)
    except BrokenExecutor:
        door.tell("error: a process that was measured was killed; its part is not in bench.csv")
        code = 1
    except BaseException:  # a signal's too: whatever ends it, the pages show what was measured
        try:
            if unshown:
                results.refresh(target)
        except BadInput as error:
            door.tell(f"the pages stay as they were: {error}")
        raise
    if unshown:
        results.refresh(target)
    return code


def _at_the_door(parts: list[str], images: str | None, target: Path) -> str:
    """Refuse what would be found out after minutes of measuring; return the name of the images."""
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target} is no folder; name the folder that holds the results")
    if not results.begun(target):
        raise BadInput(f"{target} holds no results yet, to which these would belong; run make reproduce")
    with results.alone(target):
        results.check(target, without=results.OF_BENCH if len(parts) == len(MEASURES) else ())  # all of it is made here
    for name in results.OF_BENCH:
        if (target / name).exists() and not (target / name).is_file():
            raise BadInput(f"{target / name} is no regular file; remove it")
    if set(parts) & set(ON_MNIST):
        at_hand.handwritten("mnist")
    pictures, banner = at_hand.images(images, "cpu")
    if set(parts) & set(ON_IMAGES):
        if banner:
            banner.show()
        config = inception.setting(pictures, "cpu")
        data.load(config.data, Path(config.data_root), config.augment.crop)
    return pictures

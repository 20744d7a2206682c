"""Variants of one computation take turns, round after round, so that what disturbs the machine disturbs all alike."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd
import torch

from bnrepro.train import allow_tf32

ROUNDS = 9
WARM_UP = 3  # calls
LEAST = 0.05  # seconds that a variant works in a round
OTHERWISE = {"cpu": ("one thread", "two threads"), "cuda": ("no workers", "8 workers")}  # how a variant runs as well,
THREADS, WORKERS = {"cpu": 2, "cuda": 1}, {"cpu": 0, "cuda": 8}  # and with how many of each


@dataclass(frozen=True)
class Variant:
    """One way to compute.

    Attributes:
        name: of it.
        call: does ``units`` of work.
        units: model-steps, images, ... in one call.
        threads: that it computes with, of a CPU.
        replicas: networks in a stack.
        precision: of its arithmetic, as ``runtime.precision`` has it.
    """

    name: str
    call: Callable[[], object]
    units: int
    threads: int = 1
    replicas: int = 1
    precision: str = "float32"


def take_turns(variants: Iterable[Variant], work: int, rounds: int = ROUNDS) -> pd.DataFrame:
    """Return the speed of each variant (columns, by name) in each round: units a second and thread.

    In a round each does ``work`` units, or more where that takes less than :data:`LEAST`. A thread stands for a core,
    the others idle: a variant with two has to be twice as fast to count as much, as two processes of one thread are
    (growth.py).
    """
    measured: list[dict[str, float]] = []
    chosen = list(variants)
    calls = {}
    for variant in chosen:
        seconds(variant, WARM_UP)
        calls[variant.name] = max(round(work / variant.units), math.ceil(LEAST / seconds(variant, 1)))
    for number in range(rounds):
        first, speeds = number % len(chosen), {}
        for variant in [*chosen[first:], *chosen[:first]]:  # another begins
            count = calls[variant.name]
            speeds[variant.name] = count * variant.units / seconds(variant, count) / variant.threads
        measured.append(speeds)
    return pd.DataFrame(measured)


def better(
    variants: Iterable[Variant], measured: pd.DataFrame, device: str = "cpu"
) -> tuple[list[Variant], pd.DataFrame]:
    """Let the better of a variant's two runs, of which one is called ``..., two threads``, have the plain name.

    On a GPU that one is called ``..., 8 workers``: so many processes of its DataLoader decode.
    """
    first, second = OTHERWISE[device]
    named, speeds = {variant.name: variant for variant in variants}, measured.copy()
    for name in [name for name in named if f"{name}, {second}" in named]:
        more = f"{name}, {second}"
        if measured[more].median() > measured[name].median():
            fewer = f"{name}, {first}"
            named[name], named[fewer] = replace(named.pop(more), name=name), replace(named[name], name=fewer)
            speeds[name], speeds[fewer] = measured[more], measured[name]
    return list(named.values()), speeds


def seconds(variant: Variant, calls: int) -> float:
    """Return how long so many calls take, a GPU's work included."""
    torch.set_num_threads(variant.threads)
    allow_tf32(variant.precision == "tf32")
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        variant.call()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began

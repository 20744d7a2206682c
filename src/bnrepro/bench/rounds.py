"""Variants of one computation take turns, round after round, so that what disturbs the machine disturbs all alike."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd
import torch

ROUNDS = 9
WARM_UP = 3  # calls


@dataclass(frozen=True)
class Variant:
    """One way to compute.

    Attributes:
        name: of it.
        call: does ``units`` of work.
        units: model-steps, images, ... in one call.
        threads: that it computes with.
        replicas: networks in a stack.
        precision: of its arithmetic.
    """

    name: str
    call: Callable[[], object]
    units: int
    threads: int = 1
    replicas: int = 1
    precision: str = "float32"


def take_turns(variants: Iterable[Variant], work: int, rounds: int = ROUNDS) -> pd.DataFrame:
    """Return the speed of each variant (columns, by name) in each round: units a second and thread.

    In a round each does ``work`` units, or one call where that is more. A thread stands for a core, the others idle: a
    variant with two has to be twice as fast to count as much, as two processes of one thread are (growth.py).
    """
    measured: list[dict[str, float]] = []
    chosen = list(variants)
    for variant in chosen:
        _seconds(variant, WARM_UP)
    for _ in range(rounds):
        speeds = {}
        for variant in chosen:
            calls = max(1, round(work / variant.units))
            speeds[variant.name] = calls * variant.units / _seconds(variant, calls) / variant.threads
        measured.append(speeds)
    return pd.DataFrame(measured)


def best_threads(variants: Iterable[Variant], measured: pd.DataFrame) -> tuple[list[Variant], pd.DataFrame]:
    """Let the better of a variant's two runs, of which one is called ``..., two threads``, have the plain name."""
    named, speeds = {variant.name: variant for variant in variants}, measured.copy()
    for name in [name for name in named if f"{name}, two threads" in named]:
        two = f"{name}, two threads"
        if measured[two].median() > measured[name].median():
            one = f"{name}, one thread"
            named[name], named[one] = replace(named.pop(two), name=name), replace(named[name], name=one)
            speeds[name], speeds[one] = measured[two], measured[name]
    return list(named.values()), speeds


def _seconds(variant: Variant, calls: int) -> float:
    torch.set_num_threads(variant.threads)
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        variant.call()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began

"""Small runs on embedded data, one thread, everything under a temporary folder."""

import os
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bnrepro import compose
from bnrepro.config import RunConfig

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores

Make = Callable[..., RunConfig]


@cache
def _composed(overrides: tuple[str, ...]) -> RunConfig:
    return compose.load(overrides)


def load(overrides: Iterable[str]) -> RunConfig:
    """Compose a run as the command line does, but once: tests ask for the same in other folders, and Hydra is slow."""
    given = list(overrides)
    roots = [text.removeprefix("runs_root=") for text in given if text.startswith("runs_root=")]
    config = deepcopy(_composed(tuple(text for text in given if not text.startswith("runs_root="))))
    return replace(config, runs_root=roots[-1]) if roots else config


@pytest.fixture
def small(tmp_path: Path) -> Make:
    """Compose a small run on digits; further overrides as on the command line."""

    def make(*overrides: str) -> RunConfig:
        base = ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={tmp_path / 'runs'}"]
        return load([*base, *overrides])

    return make

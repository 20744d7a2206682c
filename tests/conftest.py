"""Small runs on embedded data, one thread, everything under a temporary folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bnrepro.compose import load
from bnrepro.config import RunConfig

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores

Make = Callable[..., RunConfig]


@pytest.fixture
def small(tmp_path: Path) -> Make:
    """Compose a small run on digits; further overrides as on the command line."""

    def make(*overrides: str) -> RunConfig:
        base = ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={tmp_path / 'runs'}"]
        return load([*base, *overrides])

    return make

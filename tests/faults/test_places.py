"""Odd places: names with spaces and accents, no home, a clock that jumps, thousands of runs."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnrepro import sweep
from bnrepro.record import Record
from bnrepro.run import run
from conftest import Make

ROOT = Path(__file__).resolve().parents[2]


def test_paths_may_have_spaces_accents_and_quotes_and_home_may_be_missing(tmp_path: Path) -> None:
    place = tmp_path / "Läufe of 'mine', β"
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "MPLCONFIGDIR")}
    command = [sys.executable, str(ROOT / "scripts/train.py"), "scale=smoke", "data=digits", "steps=5"]
    quoted = str(place).replace("'", "\\'")
    done = subprocess.run(
        [*command, "runtime.device=cpu", f"runs_root='{quoted}'"],
        cwd=tmp_path,
        env={**environment, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [Record(path.parent).status["status"] for path in place.rglob("status.json")] == ["finished"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [place.name]


def test_a_clock_that_jumps_changes_nothing(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = run(small("network=mlp"))
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: 1.6e9 + (-1) ** next(jumps) * 1e8)
    jumped = run(small("network=mlp", f"runs_root={tmp_path / 'jumped'}"))
    assert jumped.metrics.read_bytes() == still.metrics.read_bytes()
    assert 0 <= jumped.status["seconds"] < 120


def test_three_thousand_runs_in_one_folder(small: Make, tmp_path: Path) -> None:
    settings = ["network=mlp", "steps=2", "seeds=[0]", "probes.activation_steps=0"]
    one = run(small(*settings))
    many = one.folder.parent
    for number in range(2999):
        folder = many / f"run-{number}"
        folder.mkdir()
        for name in ("config.json", "provenance.json", "status.json", "metrics.parquet"):
            os.link(one.folder / name, folder / name)
    began = time.monotonic()
    found = list(sweep.records([many.parent]))
    assert len(found) == 3000
    summary = sweep.summary(found)
    assert not summary.missing
    assert len(summary.twice) == 2999  # all of one seed
    assert time.monotonic() - began < 120
    assert run(small(*settings)).folder == one.folder  # found among them, and not run again
    assert run(small(*settings, "name=another")).ended
    shutil.rmtree(many)

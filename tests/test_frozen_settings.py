"""The settings in configs/ are those that the committed calibration found, and the documents say what was judged."""

from pathlib import Path

import pytest

from bnrepro import tables
from bnrepro.compose import grid, load
from bnrepro.config import flatten

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


@pytest.mark.parametrize("experiment", ["fig1", "fig1_tuned"])
def test_experiments_stand_at_the_calibrated_settings(experiment: str) -> None:
    best = tables.read(RESULTS / "mnist/fig1_calibrate.csv").sort_values("rms").iloc[0]
    for job in grid([f"experiment={experiment}"]):
        settings = flatten(load(job))
        assert settings["data.encoding"] == best["encoding"]
        assert settings["model.init_std"] == best["init_std"]
        if experiment == "fig1":
            assert settings["optim.lr"] == best["lr"]


def test_the_calibration_covers_its_whole_grid() -> None:
    found = tables.read(RESULTS / "mnist/fig1_calibrate.csv")
    settings = [flatten(load(job)) for job in grid(["experiment=fig1_calibrate"])]
    expected = {tuple(s[key] for key in ("data.encoding", "model.init_std", "optim.lr")) for s in settings}
    assert set(zip(found["encoding"], found["init_std"], found["lr"], strict=True)) == expected


def test_the_readme_gives_the_verdicts_of_the_table() -> None:
    claims = tables.read(RESULTS / "claims.csv")
    claims = claims[claims["data"] == "mnist"]
    readme = (ROOT / "README.md").read_text()
    table = readme.split("<!-- claims -->")[1].split("<!-- /claims -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`"): row[-1] for row in rows} == dict(zip(claims["id"], claims["verdict"], strict=True))


def test_every_committed_run_is_from_clean_code() -> None:
    runs = tables.read(RESULTS / "runs.csv")
    assert not runs["dirty"].any()
    assert set(runs["status"]) <= {"finished", "diverged"}
    assert (runs[runs["data"] == "mnist"]["steps"] == 50_000).all()

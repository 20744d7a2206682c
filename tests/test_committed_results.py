"""What is committed agrees with itself: settings, results and documents. A person's own results/ are not looked at."""

import io
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from bnrepro.compose import grid, load
from bnrepro.config import flatten

ROOT = Path(__file__).resolve().parents[1]


def committed(path: str) -> str:
    """Return a file as the last commit has it."""
    command = ["git", "-C", str(ROOT), "show", f"HEAD:{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "not a git repository" in done.stderr:
        pytest.skip("this is no git repository")
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(path: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(committed(path)))


@pytest.mark.parametrize("experiment", ["fig1", "fig1_tuned", "theory"])
def test_experiments_stand_at_the_calibrated_settings(experiment: str) -> None:
    best = table("results/mnist/fig1_calibrate.csv").sort_values("rms").iloc[0]
    for job in grid([f"experiment={experiment}"]):
        settings = flatten(load(job))
        assert settings["data.encoding"] == best["encoding"]
        assert settings["model.init_std"] == best["init_std"]
        if experiment != "fig1_tuned":
            assert settings["optim.lr"] == best["lr"]


def test_the_calibration_covers_its_whole_grid() -> None:
    found = table("results/mnist/fig1_calibrate.csv")
    settings = [flatten(load(job)) for job in grid(["experiment=fig1_calibrate"])]
    expected = {tuple(s[key] for key in ("data.encoding", "model.init_std", "optim.lr")) for s in settings}
    assert set(zip(found["encoding"], found["init_std"], found["lr"], strict=True)) == expected


def test_the_readme_gives_the_verdicts_of_the_table() -> None:
    claims = table("results/claims.csv")
    claims = claims[claims["data"] == "mnist"]
    listed = committed("README.md").split("<!-- claims -->")[1].split("<!-- /claims -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in listed.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`"): row[-1] for row in rows} == dict(zip(claims["id"], claims["verdict"], strict=True))


def test_every_run_is_from_clean_code_at_the_papers_length() -> None:
    runs = table("results/runs.csv")
    assert not runs["dirty"].any()
    assert set(runs["status"]) <= {"finished", "diverged"}
    assert (runs.loc[runs["experiment"] != "theory", "steps"] == 50_000).all()

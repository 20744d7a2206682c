"""What is committed agrees with itself: settings, results and documents. A person's own results/ are not looked at."""

import io
import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from bnrepro import results, tables
from bnrepro.bench import command
from bnrepro.compose import grid, load, whole
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


def committed_paths(folder: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-tree", "-r", "--name-only", "HEAD", folder]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def table(path: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(committed(path)))


@pytest.mark.parametrize("experiment", ["fig1", "fig1_tuned", "theory", "initial_scale", "higher_lr"])
def test_experiments_stand_at_the_calibrated_settings(experiment: str) -> None:
    best = tables.calibration(table("results/mnist/fig1_calibrate_curves.csv")).iloc[0]
    jobs = [flatten(load(job)) for job in grid([f"experiment={experiment}"])]
    assert {job["data.encoding"] for job in jobs} == {best["encoding"]}
    if experiment == "initial_scale":
        assert {job["optim.lr"] for job in jobs} == {best["lr"]}
    elif experiment in ("fig1_tuned", "higher_lr"):
        assert best["init_std"] in {job["model.init_std"] for job in jobs}
    else:
        assert {(job["model.init_std"], job["optim.lr"]) for job in jobs} == {(best["init_std"], best["lr"])}


def test_the_calibration_covers_its_whole_grid() -> None:
    found = table("results/mnist/fig1_calibrate_curves.csv")
    jobs = [dict(override.split("=") for override in job) for job in grid(["experiment=fig1_calibrate"])]
    expected = {(job["data.encoding"], float(job["model.init_std"]), float(job["optim.lr"])) for job in jobs}
    assert set(zip(found["encoding"], found["init_std"], found["lr"], strict=True)) == expected


def test_the_claims_are_the_judgement_of_the_committed_tables(tmp_path: Path) -> None:
    for path in committed_paths("results"):
        if path.endswith((".csv", ".json", "SHA256SUMS")):
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(committed(path))
    (tmp_path / "README.md").write_text(committed("README.md").replace("reproduced", "no").replace("| met |", "| no |"))
    results.refresh(tmp_path / "results")  # which checks the tables' sums too
    assert (tmp_path / "results/claims.csv").read_text() == committed("results/claims.csv")
    assert (tmp_path / "results/README.md").read_text() == committed("results/README.md")
    pages = [(tmp_path / "results/report.html").read_text(), committed("results/report.html")]
    ours, theirs = (re.sub(r"data:image/png;base64,[^\"]*", "", page) for page in pages)  # pictures vary with fonts
    assert ours == theirs
    for name in ("claims", "speed"):
        made, theirs = (
            text.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0]
            for text in ((tmp_path / "README.md").read_text(), committed("README.md"))
        )
        assert made == theirs


def test_every_run_is_from_clean_code_at_the_papers_length() -> None:
    runs = table("results/runs.csv")
    assert not runs["dirty"].any()
    assert set(runs["status"]) <= {"finished", "diverged"}
    assert (runs.loc[runs["experiment"].str.startswith("fig1"), "steps"] == 50_000).all()


@pytest.mark.parametrize("experiment", ["fig2", "fig2_equal_decay", "fig2_init", "ablations", "ensemble"])
def test_the_rates_of_section_4_2_are_multiples_of_the_chosen_base_rate(experiment: str) -> None:
    held_out = table("results/cifar10_jpeg/fig2_base_rate.csv").groupby("lr")["held_out_last"].mean()
    networks: dict[str, list[str]] = {}
    for job in grid([f"experiment={experiment}", "scale=smoke"]):
        networks.setdefault(next(text for text in job if text.startswith("network=")), job)
    assert {whole(job).optim.lr for job in networks.values()} == {held_out.idxmax()}
    first, *_, last = grid([f"experiment={experiment}", "scale=paper"])
    assert {whole(job).optim.lr for job in (first, last)} == {0.0015}  # as printed
    assert held_out.index.min() < held_out.idxmax() < held_out.index.max()  # not at an end of the grid


def test_each_row_of_the_bench_is_of_a_part_that_there_is() -> None:
    parts = json.loads(committed("results/bench.json"))
    assert {part.removesuffix(" on a GPU") for part in parts} <= set(command.MEASURES)
    cases = [case for part in parts.values() for case in part["cases"]]
    assert sorted(cases) == sorted(table("results/bench.csv")["case"].unique())

"""The summary of a sweep: runs that differ in their seeds alone are one row."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import children
from bnrepro import sweep, sweep_page
from bnrepro.files import read_json, write_json
from bnrepro.record import Record
from bnrepro.report.cells import number
from bnrepro.run import run
from conftest import load

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sweep") / "runs"
    base = ["scale=smoke", "data=digits", "runtime.device=cpu", f"runs_root={root}", "steps=40"]
    for network in ("mlp", "mlp_bn"):
        for seeds in ("[0,1]", "[2]"):
            run(load([*base, f"network={network}", f"seeds={seeds}"]))
    run(load([*base, "network=mlp", "optim.rates=[0.01,1]", "seeds=[0,1,2]"]))
    return root


def test_runs_that_differ_in_their_seeds_alone_are_one_row(folder: Path) -> None:
    table = sweep.summary(sweep.records([folder, folder / "single"])).table  # given twice, counted once
    assert table.columns[:4].tolist() == ["network", "optim.lr", "seeds", "diverged"]
    assert set(zip(table["network"], table["optim.lr"], strict=True)) == {
        ("mlp", 0.14),
        ("mlp_bn", 0.14),
        ("mlp", 0.01),
        ("mlp", 1.0),
    }
    assert set(table["seeds"]) == {3}
    assert table["test"].is_monotonic_decreasing
    runs = [run for run in sweep.records([folder]) if run.config["network"] == "mlp_bn"]
    metrics = pd.concat([run.read_metrics() for run in runs]).query("split == 'test' and metric == 'accuracy'")
    final = metrics.groupby("seed")["value"].apply(lambda values: values.tail(5).mean())
    row = table.query("network == 'mlp_bn'").iloc[0]
    half = stats.t.ppf(0.975, 2) * final.std() / np.sqrt(3)
    assert (row["test"], row["test_low"], row["test_high"]) == pytest.approx(
        (final.mean(), final.mean() - half, final.mean() + half)
    )


def test_an_accuracys_interval_lies_within_0_and_1() -> None:
    row = sweep._row({}, pd.DataFrame({"seed": [0, 1], "diverged": [False, False], "test": [0.5, 1.0]}))
    assert (row["test"], row["test_low"], row["test_high"]) == (0.75, 0.0, 1.0)


def test_the_summary_is_shown_and_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep_page.show([folder], tmp_path / "x.csv", tmp_path / "x.md")
    printed = capsys.readouterr().out
    assert "5 of 5 runs have ended" in printed
    table = pd.read_csv(tmp_path / "x.csv")
    pd.testing.assert_frame_equal(table, sweep.summary(sweep.records([folder])).table, rtol=1e-5)
    lines = (tmp_path / "x.md").read_text().splitlines()
    assert lines[0] == "| network | optim.lr | seeds | diverged | test |"
    assert len(lines) == 2 + 4
    best = table.iloc[0]
    accuracy = f"{number(best['test'])} ({number(best['test_low'])} to {number(best['test_high'])})"
    assert lines[2] == f"| {best['network']} | {best['optim.lr']:g} | 3 | 0 | {accuracy} |"
    assert f"{best['test']:.4f}" in printed


def test_what_has_not_ended_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = next(run for run in sweep.records([folder]) if run.config["network"] == "mlp_bn")
    status = record.folder / "status.json"
    kept = status.read_bytes()
    record.write_status("failed", 7, 0.1, {})
    try:
        sweep_page.show([folder], None, None)
        assert "4 of 5 runs have ended" in (printed := capsys.readouterr().out)
        assert f"{record.name}: failed at step 7" in printed
    finally:
        status.write_bytes(kept)
    assert Record(record.folder).ended


def test_no_seed_is_twice_in_a_row_and_what_differs_is_shown(folder: Path, tmp_path: Path) -> None:
    runs = sweep.records([folder])
    copies = []
    for name, changed in (("again", {}), ("threads", {"runtime.threads": 2}), ("decay", {"optim.l2": 0.1})):
        source = next(run for run in runs if run.config["network"] == ("mlp_bn" if name == "decay" else "mlp"))
        shutil.copytree(source.folder, tmp_path / "single" / name)
        config = tmp_path / "single" / name / "config.json"
        copy = Record(config.parent)
        write_json(config, copy.config | changed)
        status = config.with_name("status.json")
        write_json(status, {**read_json(status), "run": copy._whose()})
        copies.append(copy)
    same = sweep.summary([*runs, copies[0]])
    pd.testing.assert_frame_equal(same.table, sweep.summary(runs).table)
    assert same.twice
    assert all(said.startswith("single/again: seed ") for said in same.twice)
    assert "runtime.threads" in sweep.summary([*runs, copies[1]]).table
    plain = next(run for run in runs if run.config["network"] == "mlp")
    assert "optim.l2" in sweep.summary([plain, copies[2]]).table  # each network has one value


@pytest.mark.parametrize("file", ["config.json", "status.json", "metrics.parquet"])
def test_a_damaged_run_is_named_and_the_others_summed_up(
    file: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("whole", "damaged"):
        shutil.copytree(sweep.records([folder])[0].folder, tmp_path / "single" / name)
    (tmp_path / "single/damaged" / file).write_bytes(b"{")
    sweep_page.show([tmp_path], None, None)
    printed = capsys.readouterr().out
    assert "1 of 2 runs have ended" in printed
    assert f"{file} is missing or damaged" in printed.replace("\n", " ")


def test_head_sees_enough(folder: Path) -> None:
    command = f"{sys.executable} {ROOT / 'scripts/report.py'} --runs {folder} | true"
    assert not subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--runs", "nowhere"], "nowhere is no folder"),
        (["--runs", str(ROOT / "configs")], "there is no run in"),
        (["--csv", "x.csv"], "--csv and --markdown go with --runs"),
    ],
)
def test_a_mistake_gets_one_message(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = children.script("report.py", *arguments, folder=tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert says in done.err

"""The tables of each experiment, from small real runs, against the runs' own measurements."""

import os
from pathlib import Path

import numpy as np
import pytest

from bnrepro import paper, results, tables
from bnrepro.curves import accuracy_curves, final_accuracy, smooth, typical_bands
from bnrepro.errors import BadInput
from bnrepro.files import sha256
from bnrepro.record import Record
from bnrepro.run import run
from conftest import Make

STUDIES = [  # every study of Sections 2 and 3, small
    "study=exact study.trials=3",
    "study=architecture",
    "study=whitening_cost study.widths=[64,128,256] study.rounds=3",
    "study=naive_drift steps=30",
    "study=jacobian steps=10 study.depths=[3,6]",
    "study=population steps=10 study.batch_sizes=[2,60]",
]


def runs(small: Make, experiment: str, *settings: str) -> list[Record]:
    return [run(small(f"experiment={experiment}", *setting.split())) for setting in settings]


def test_the_calibration_is_sorted_by_distance_from_the_printed_curve(small: Make) -> None:
    settings = ("optim.lr=0.1", "optim.lr=2", "optim.lr=0.1 data.encoding=grey")
    records = runs(small, "fig1_calibrate", *(f"{setting} steps=400" for setting in settings))
    curves = tables.fig1_calibrate(records)["fig1_calibrate_curves"]
    grid = tables.calibration(curves)
    assert len(grid) == 3
    assert grid["rms"].is_monotonic_increasing
    assert grid.loc[0, "lr"] == 2.0
    printed = paper.figure_1a().query("network == 'mlp'")
    mean = accuracy_curves(records[0].read_metrics()).mean(axis=1)
    distance = np.sqrt(np.mean((np.interp(printed["step"], mean.index, mean) - printed["test_accuracy"]) ** 2))
    assert grid.query("lr == 0.1 and encoding == 'binary'")["point_by_point"].item() == pytest.approx(distance)
    assert set(curves["encoding"]) == {"binary", "grey"}


def test_the_tuned_table_holds_both_splits(small: Make) -> None:
    records = runs(small, "fig1_tuned", "network=mlp", "network=mlp_bn")
    table = tables.fig1_tuned(records)["fig1_tuned"]
    assert table.groupby("network")["seed"].count().tolist() == [3, 3]
    metrics = records[1].read_metrics()
    last_five = sorted(metrics["step"][metrics["split"] == "held_out"].unique())[-5:]
    rows = metrics[(metrics["split"] == "held_out") & (metrics["metric"] == "accuracy") & (metrics["seed"] == 2)]
    expected = rows[rows["step"].isin(last_five)]["value"].mean()
    ours = table[(table["network"] == "mlp_bn") & (table["seed"] == 2)]["held_out_accuracy"].item()
    assert ours == pytest.approx(expected)


def test_the_typical_unit_is_one_that_was_measured(small: Make) -> None:
    (record,) = runs(small, "fig1", "network=mlp_bn")
    metrics = record.read_metrics()
    bands = typical_bands(metrics, 60)
    chosen = bands[(bands["seed"] == 1) & (bands["layer"] == "hidden3") & (bands["percentile"] == 85)]
    rows = metrics[
        (metrics["seed"] == 1)
        & (metrics["layer"] == "hidden3")
        & (metrics["unit"] == chosen["unit"].iloc[0])
        & (metrics["metric"] == "input_p85")
    ]
    np.testing.assert_array_equal(chosen["value"], rows["value"])
    np.testing.assert_array_equal(chosen["step"], rows["step"])
    drift = tables.fig1([record])["fig1_drift"]
    assert len(drift) == 3 * 3 * 100


def test_results_on_digits_leave_mnists_alone(small: Make, tmp_path: Path) -> None:
    (record,) = runs(small, "fig1", "network=mlp")
    results.add(tmp_path / "results", "fig1", [record], ["on digits"])
    kept = tables.read(tmp_path / "results/runs.csv").assign(data="mnist", command="on mnist")
    tables.write(tmp_path / "results/runs.csv", kept)
    (tmp_path / "results/digits").rename(tmp_path / "results/mnist")
    sums = tmp_path / "results/SHA256SUMS"
    signed = sha256((tmp_path / "results/runs.csv").read_bytes())
    lines = [line for line in sums.read_text().splitlines() if not line.endswith("runs.csv")]
    sums.write_text("\n".join([*lines, f"{signed}  runs.csv", ""]))
    before = {path: path.read_bytes() for path in (tmp_path / "results/mnist").iterdir()}
    results.add(tmp_path / "results", "fig1", [record], ["on digits"])
    assert {path: path.read_bytes() for path in (tmp_path / "results/mnist").iterdir()} == before
    listed = tables.read(tmp_path / "results/runs.csv")
    assert dict(zip(listed["data"], listed["command"], strict=True)) == {"mnist": "on mnist", "digits": "on digits"}


@pytest.mark.parametrize("harm", ["edited", "gone", "a pipe"])
def test_a_list_of_runs_that_was_touched_is_not_added_to(harm: str, small: Make, tmp_path: Path) -> None:
    (record,) = runs(small, "fig1", "network=mlp")
    target = tmp_path / "results"
    results.add(target, "fig1", [record], ["command"])
    kept = (target / "SHA256SUMS").read_text()
    listed = target / "runs.csv"
    content = listed.read_text()
    listed.unlink()
    if harm == "edited":
        listed.write_text(content.replace("finished", "diverged"))
    elif harm == "a pipe":
        os.mkfifo(listed)
    with pytest.raises(BadInput, match=r"runs\.csv is missing or not what was made"):
        results.add(target, "fig1", [record], ["command"])
    assert (target / "SHA256SUMS").read_text() == kept


def test_killed_between_the_list_of_runs_and_its_sum_it_goes_on(small: Make, tmp_path: Path) -> None:
    first, second = runs(small, "fig1", "network=mlp", "network=mlp_bn")
    target = tmp_path / "results"
    results.add(target, "fig1", [first], ["command"])
    kept = (target / "SHA256SUMS").read_text()
    results.add(target, "fig1", [first, second], ["command"] * 2)
    made = (target / "SHA256SUMS").read_text()
    (target / "SHA256SUMS").write_text(kept)
    results.add(target, "fig1", [first, second], ["command"] * 2)
    assert (target / "SHA256SUMS").read_text() == made


def test_a_bench_that_no_sum_is_of_is_not_read(small: Make, tmp_path: Path) -> None:
    (record,) = runs(small, "fig1", "network=mlp")
    results.add(tmp_path / "results", "fig1", [record], ["command"])
    (tmp_path / "results/bench.csv").write_text("case,variant\n")
    with pytest.raises(BadInput, match=r"bench\.csv is not in .*SHA256SUMS"):
        results.refresh(tmp_path / "results")


def test_the_paper_shows_the_last_hidden_layer(small: Make) -> None:
    (record,) = runs(small, "fig1", "network=mlp")
    made = tables.fig1([record])
    assert set(made["fig1_percentiles"]["layer"]) == {"hidden3"}
    assert set(made["fig1_drift"]["layer"]) == {"hidden1", "hidden2", "hidden3"}


def test_smoothing_is_the_mean_of_the_last_five(small: Make) -> None:
    (record,) = runs(small, "fig1", "network=mlp")
    curves = accuracy_curves(record.read_metrics())
    assert smooth(curves).iloc[-1, 0] == pytest.approx(curves.iloc[-5:, 0].mean())
    assert final_accuracy(record.read_metrics())[0] == pytest.approx(curves.iloc[-5:, 0].mean())


def test_results_of_every_experiment_stand_side_by_side(small: Make, tmp_path: Path) -> None:
    target = tmp_path / "results"
    experiments = {
        "fig1": runs(small, "fig1", "network=mlp", "network=mlp_bn"),
        "fig1_calibrate": runs(small, "fig1_calibrate", "optim.lr=0.1", "optim.lr=0.2"),
        "fig1_tuned": runs(small, "fig1_tuned", "network=mlp", "network=mlp_bn"),
        "theory": runs(small, "theory", *STUDIES),
    }
    for experiment, records in experiments.items():
        results.add(target, experiment, records, ["python scripts/train.py"] * len(records))
    results.refresh(target)
    listed = tables.read(target / "runs.csv")
    assert listed["experiment"].value_counts().to_dict() == {
        experiment: len(records) for experiment, records in experiments.items()
    }
    claims = tables.read(target / "claims.csv")
    missing = claims.query("verdict == 'not run'")["id"]
    assert missing.str.match("higher-lr|initial-scale").all()  # their experiments alone have no run here
    table = target / "digits" / "fig1_drift.csv"
    whole = table.read_text()
    for damage in (table.unlink, lambda: table.write_text(whole.replace("0.1", "0.2", 1))):
        damage()
        before = (target / "README.md").read_bytes()
        with pytest.raises(BadInput, match=r"fig1_drift\.csv"):
            results.refresh(target)
        assert (target / "README.md").read_bytes() == before
    results.add(target, "fig1", experiments["fig1"], ["again"] * 2)
    assert table.read_text() == whole
    assert len(tables.read(target / "runs.csv")) == len(listed)
    assert set(claims["data"]) == {"digits", "random"}
    assert {path.name for path in (target / "random").glob("*.csv")} == {
        "theory_architecture.csv",
        "theory_exact.csv",
        "theory_whitening_cost.csv",
    }

"""The claims of Sec. 4.2.1 and 4.2.3 on tables made by hand, and the ensemble's table from probabilities."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bnrepro import tables
from bnrepro.claims import ablations, judge
from bnrepro.compose import grid
from bnrepro.record import Record
from bnrepro.report import fig2_figures
from bnrepro.run import run
from bnrepro.tables.fig2 import errors
from conftest import Make, load


def maxima(**networks: float) -> pd.DataFrame:
    rows = [
        {"network": network, "seed": seed, "maximum": value + 0.001 * seed}
        for network, value in networks.items()
        for seed in range(3)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("change", "with_it", "verdict"),
    [
        ("shuffle", 0.61, "reproduced"),
        ("shuffle", 0.65, "direction only"),
        ("shuffle", 0.59, "not reproduced"),
        ("l2", 0.602, "reproduced"),
        ("l2", 0.598, "not reproduced"),
        ("dropout", 0.598, "reproduced"),  # no worse than is allowed
        ("dropout", 0.59, "not reproduced"),
    ],
)
def test_a_change_is_judged_by_what_it_does(change: str, with_it: float, verdict: str) -> None:
    added = maxima(**{"bn_baseline": 0.6, f"bn_baseline_with_{change}": with_it})
    taken = maxima(**{"bn_x5": with_it, f"bn_x5_without_{change}": 0.6})
    for table, reading in ((added, "added"), (taken, "taken")):
        outcome = ablations.ablation(change, reading)(table)
        assert outcome.verdict == verdict
        assert outcome.estimate.value == pytest.approx(with_it - 0.6)


def test_several_crops_and_the_ensemble_are_compared_with_the_members() -> None:
    rows = [
        {"network": network, "seed": seed, "crops": crops, "top1": error + 0.001 * seed, "top5": error / 4, "finite": 1}
        for network, errors in {
            "ensemble_1": (0.26, 0.23),
            "ensemble_2": (0.24, 0.21),
            "ensemble": (0.22, 0.20),
        }.items()
        for crops, error in zip((1, 18), errors, strict=True)
        for seed in range(3)
    ]
    several, whole = (check("top1", pd.DataFrame(rows)) for check in (ablations.multicrop, ablations.ensemble))
    assert (several.estimate.value, several.verdict) == (pytest.approx(0.03), "reproduced")
    assert (whole.estimate.value, whole.verdict) == (pytest.approx(0.02), "reproduced")
    several, whole = (check("top5", pd.DataFrame(rows)) for check in (ablations.multicrop, ablations.ensemble))
    assert (several.estimate.value, several.verdict) == (pytest.approx(0.0075), "direction only")  # printed: 0.02
    assert (whole.estimate.value, whole.verdict) == (pytest.approx(0.005), "reproduced")  # printed: 0.0092


def test_the_row_says_how_many_members_are_finite() -> None:
    rows = [("ensemble_1", 0.3, 1), ("ensemble_2", 1.0, 0), ("ensemble", 1.0, 1)]
    made = [
        {"network": name, "seed": seed, "crops": crops, "top1": error, "top5": error, "finite": finite}
        for name, error, finite in rows
        for seed in range(3)
        for crops in (1, 18)
    ]
    for check in (ablations.multicrop, ablations.ensemble):
        note = check("top1", pd.DataFrame(made)).note
        assert note == "; 3 of 6 members are finite, others are right about nothing"
        assert check("top1", pd.DataFrame(made).assign(finite=1)).note == ""


def curve(network: str, seed: int, reaches: int, top: float) -> pd.DataFrame:
    """Return a curve that rises linearly from chance to ``top`` at step ``reaches`` and stays there."""
    steps = np.arange(50, 2001, 50)
    accuracy = 0.1 + (top - 0.1) * np.minimum(steps / reaches, 1)
    return pd.DataFrame({"network": network, "seed": seed, "step": steps, "accuracy": accuracy, "classes": 10})


@pytest.mark.parametrize(
    ("reaches", "verdict"),
    [((500, 520, 540), "reproduced"), ((1900, 1920, 1940), "not reproduced"), ((500, 1000, 1900), "inconclusive")],
)
@pytest.mark.parametrize("change", ablations.FASTER)
@pytest.mark.parametrize("reading", ablations.READINGS)
def test_a_change_speeds_training_up_to_the_maximum_without_it(
    change: str, reading: str, reaches: tuple[int, ...], verdict: str
) -> None:
    changed, unchanged = ablations.pair(change, reading)
    pieces = [curve(changed, seed, at, 0.6) for seed, at in enumerate(reaches)]
    made = pd.concat([*pieces, *(curve(unchanged, seed, 1000, 0.6) for seed in range(3))])
    outcome = ablations.speedup(change, reading)(made)
    assert outcome.verdict == verdict
    if verdict == "reproduced":  # both are at the top an evaluation after they reach it, which half of the mean sees
        assert outcome.estimate.value == pytest.approx(2, rel=0.1)
    never = pd.concat([curve(changed, seed, 500, 0.5) for seed in range(3)] + [made[made["network"] == unchanged]])
    outcome = ablations.speedup(change, reading)(never)
    assert (outcome.verdict, "gets there on 0 of 3 seeds" in outcome.note) == ("not reproduced", True)
    assert ablations.speedup(change, reading)(made[made["network"] == unchanged]).verdict == "not run"


def test_members_of_an_ensemble_have_weights_and_orders_of_their_own_in_every_replicate() -> None:
    made = [load([*job, "name=x"]) for job in grid(["experiment=ensemble", "scale=cpu"])]
    assert len({config.replicas[0].drawn_from for config in made}) == 6 * 3
    assert sorted({config.seeds[0] for config in made}) == [0, 1, 2]


def test_networks_that_were_not_trained_are_not_run() -> None:
    only = maxima(bn_baseline=0.6, bn_baseline_with_lrn=0.61).assign(data="shapes", scale="cpu", gap=0.1)
    rows = judge(ablations.CLAIMS, {"ablations": only}, "shapes")
    assert rows.loc[rows["verdict"] != "not run", "id"].tolist() == ["abl-lrn:added"]
    fig2_figures.ablations(only)  # draws what there is
    one = pd.DataFrame({"network": ["small_inception"], "seed": [0], "accuracy": [0.8]})
    assert ablations.small_inception(one).verdict == "not run"


@pytest.mark.parametrize(("gap", "verdict"), [(0.1, "reproduced"), (0.104, "reproduced"), (0.12, "not reproduced")])
def test_overfitting_is_the_gap_between_training_and_test_accuracy(gap: float, verdict: str) -> None:
    with_dropout = maxima(bn_baseline=0.6, bn_x5_without_dropout=0.6).assign(gap=0.1)
    without = maxima(bn_baseline_with_dropout=0.6, bn_x5=0.6).assign(gap=gap)
    for reading in ablations.READINGS:
        assert ablations.overfitting(reading)(pd.concat([with_dropout, without])).verdict == verdict


def test_the_small_inceptions_are_compared_by_seed() -> None:
    rows = [("small_inception", s, 0.8 + s / 1000) for s in range(3)]
    rows += [("small_inception_bn", s, 0.84 + s / 1000) for s in range(3)]
    outcome = ablations.small_inception(pd.DataFrame(rows, columns=["network", "seed", "accuracy"]))
    assert (outcome.estimate.value, outcome.verdict) == (pytest.approx(0.04), "reproduced")


def test_an_ensembles_errors_are_those_of_the_mean_of_its_members(small: Make) -> None:
    jobs = grid(["experiment=ensemble", "scale=smoke", "data=shapes"])
    assert [load(job).network for job in jobs] == [f"ensemble_{i}" for i in range(1, 7)]
    tiny = ["data=shapes", "data.train_images=64", "data.test_images=30", "data.train_examples=0"]
    tiny += ["data.test_examples=0", "steps=2", "seeds=[0]", "probes.evaluate_every=1"]
    records: list[Record] = [run(small("experiment=ensemble", f"network=ensemble_{i}", *tiny)) for i in (1, 4)]
    table = tables.ensemble(records)["ensemble"]
    assert table["network"].tolist() == ["ensemble_1"] * 2 + ["ensemble_4"] * 2 + ["ensemble"] * 2
    for crops in (1, 18):
        of_crops = [r.read_predictions().query(f"crops == {crops}") for r in records]
        wide = [p.pivot(index="example", columns="class", values="probability").to_numpy() for p in of_crops]
        labels = of_crops[0].groupby("example")["label"].first().to_numpy()
        for name, p in (("ensemble_1", wide[0]), ("ensemble", (wide[0] + wide[1]) / 2)):
            order = np.argsort(-p, axis=1, kind="stable")
            row = table[(table["network"] == name) & (table["crops"] == crops)]
            assert row["top1"].item() == pytest.approx((order[:, 0] != labels).mean())
            five = [label not in five for label, five in zip(labels, order[:, :5], strict=True)]
            assert row["top5"].item() == pytest.approx(np.mean(five))


def test_equal_probabilities_are_not_taken_for_the_right_class() -> None:
    """A saturated network gives 0 to nine classes: they stand in the classes' order, none is right by being equal."""
    saturated = pd.DataFrame(
        {"example": i, "label": label, "crops": 1, "class": c, "probability": float(c == 9)}
        for i, label in enumerate(range(10))
        for c in range(10)
    )
    (found,) = errors(saturated).to_dict("records")
    assert found == {"crops": 1, "top1": pytest.approx(0.9), "top5": pytest.approx(0.5)}


def test_probabilities_that_are_not_finite_are_right_about_nothing() -> None:
    """Sorted last they would leave the classes' own order: the first class would be the most probable."""
    nothing = pd.DataFrame(
        {"example": i, "label": i % 3, "crops": 1, "class": c, "probability": np.nan if i < 4 else float(c == i % 3)}
        for i in range(10)
        for c in range(3)
    )
    (found,) = errors(nothing).to_dict("records")
    assert found == {"crops": 1, "top1": pytest.approx(0.4), "top5": pytest.approx(0.4)}


def test_a_diverged_member_does_not_leave_the_mean() -> None:
    table = pd.DataFrame({"example": 0, "label": 1, "crops": 1, "class": range(2), "probability": [0.1, 0.9]})
    members = [_Member("ensemble_1", table), _Member("ensemble_2", table.assign(probability=np.nan))]
    made = tables.ensemble(members)["ensemble"]  # type: ignore[arg-type]
    assert made[["network", "top1", "finite"]].to_numpy().tolist() == [
        ["ensemble_1", 0.0, 1],
        ["ensemble_2", 1.0, 0],
        ["ensemble", 1.0, 1],
    ]


class _Member:
    """Stands in for the record of a run."""

    def __init__(self, network: str, predictions: pd.DataFrame) -> None:
        self.config = {"network": network, "seeds": [0], "scale": "cpu", "data.name": "shapes"}
        self.provenance = {"data_sha256": "00"}
        self._predictions = predictions

    def read_predictions(self) -> pd.DataFrame:
        return self._predictions


def test_the_ablations_table_has_each_networks_maximum(small: Make, tmp_path: Path) -> None:
    assert len(grid(["experiment=ablations", "scale=cpu"])) == 16 * 3
    tiny = ["data=shapes", "data.train_images=64", "data.test_images=30", "data.train_examples=0"]
    tiny += ["data.test_examples=0", "steps=3", "seeds=[0]", "probes.evaluate_every=1"]
    record = run(small("experiment=ablations", "network=bn_x5_without_lrn", *tiny))
    accuracy = record.read_metrics().query("split == 'test' and metric == 'accuracy'")["value"]
    made = tables.ablations([record])
    table, curve = made["ablations"], made["ablations_accuracy"]
    assert table["maximum"].item() == accuracy.max()  # of three evaluations a tenth is one
    trained = record.read_metrics().query("split == 'seen' and metric == 'accuracy'")["value"]
    assert table["gap"].item() == pytest.approx(trained.iloc[-1] - accuracy.iloc[-1])
    assert curve["accuracy"].tolist() == accuracy.tolist()
    assert set(curve["classes"]) == {10}

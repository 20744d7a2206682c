"""Claims on tables made by hand: a case for each verdict, and numbers that can be counted on paper."""

import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnrepro import paper
from bnrepro.claims import COLUMNS, about, judge
from bnrepro.claims.fig1 import CLAIMS, chosen_rate, steps_to_baseline
from bnrepro.claims.verdict import Estimate, bound, difference, estimate, ratio
from bnrepro.tables import Tables, first_evaluation, rms_to_paper
from bnrepro.tables.fig1 import rms_point_by_point

STEPS = np.arange(1000, 50_001, 1000)


def accuracy_table(baseline: Sequence[float], with_bn: Sequence[float], shape: float = 1.0) -> pd.DataFrame:
    """Return curves that rise linearly to each seed's final accuracy, and stay there from 20 % of training on."""
    pieces = []
    for network, finals in (("mlp", baseline), ("mlp_bn", with_bn)):
        for seed, final in enumerate(finals):
            curve = final * np.minimum(1, (STEPS / 10_000) ** shape)
            pieces.append(pd.DataFrame({"network": network, "seed": seed, "step": STEPS, "accuracy": curve}))
    return pd.concat(pieces).assign(data="mnist", scale="cpu")


def drift_table(baseline: Sequence[float], with_bn: Sequence[float]) -> pd.DataFrame:
    """Return three units a seed whose median has the given drift in the last hidden layer, 100 in the others."""
    rows = [
        {"network": network, "seed": seed, "layer": layer, "unit": unit, "median_drift": scale * value * factor}
        for network, values in (("mlp", baseline), ("mlp_bn", with_bn))
        for layer, scale in (("hidden9", 100.0 if network == "mlp_bn" else 0.01), ("hidden10", 1.0))
        for seed, value in enumerate(values)
        for unit, factor in enumerate((0.1, 1.0, 10.0))
    ]
    table = pd.DataFrame(rows).assign(data="mnist", scale="cpu")
    return table.assign(spread_drift=table["median_drift"])


def row(tables: Tables, claim: str) -> pd.Series:
    judged = judge(CLAIMS, tables, "mnist")
    assert list(judged) == COLUMNS
    return judged.set_index("id").loc[claim]


def test_the_interval_is_students() -> None:
    x = [0.1, 0.4, 0.2, 0.5, 0.3]
    e = estimate(x)
    low, high = stats.t.interval(0.95, len(x) - 1, loc=np.mean(x), scale=stats.sem(x))
    assert (e.value, e.low, e.high, e.seeds) == (pytest.approx(0.3), pytest.approx(low), pytest.approx(high), 5)
    assert estimate([1.0, np.nan, 3.0]).seeds == 2
    assert estimate([]).seeds == 0
    assert estimate([2.0]).high == np.inf


@pytest.mark.parametrize(
    ("low", "high", "seeds", "verdict"),
    [
        (0.008, 0.012, 5, "reproduced"),
        (0.001, 0.006, 5, "reproduced"),  # overlaps [0.005, 0.015]
        (0.001, 0.004, 5, "direction only"),
        (0.016, 0.020, 5, "direction only"),
        (-0.004, -0.001, 5, "not reproduced"),
        (-0.001, 0.012, 5, "inconclusive"),
        (0.008, 0.012, 2, "inconclusive"),
    ],
)
def test_verdicts_on_differences(low: float, high: float, seeds: int, verdict: str) -> None:
    assert difference(Estimate((low + high) / 2, low, high, seeds), no_effect=0.0, paper=0.010) == verdict


@pytest.mark.parametrize(
    ("low", "high", "paper_value", "verdict"),
    [
        (0.2, 0.4, 0.31, "reproduced"),
        (0.7, 0.9, 0.31, "direction only"),
        (1.1, 1.2, 0.31, "not reproduced"),
        (0.9, 1.2, 0.31, "inconclusive"),
        (3.0, 4.0, 6.7, "reproduced"),
        (2.0, 3.0, 6.7, "direction only"),
    ],
)
def test_verdicts_on_ratios(low: float, high: float, paper_value: float, verdict: str) -> None:
    assert ratio(Estimate((low + high) / 2, low, high, 5), no_effect=1.0, paper=paper_value) == verdict


@pytest.mark.parametrize(
    ("low", "high", "seeds", "verdict"),
    [(0.002, 0.009, 5, "reproduced"), (0.011, 0.02, 5, "not reproduced"), (0.009, 0.011, 5, "inconclusive"),
     (0.002, 0.003, 2, "inconclusive")],
)  # fmt: skip
def test_verdicts_on_bounds(low: float, high: float, seeds: int, verdict: str) -> None:
    assert bound(Estimate((low + high) / 2, low, high, seeds), most=0.010) == verdict


def test_without_tables_nothing_is_claimed() -> None:
    judged = judge(CLAIMS, {}, "mnist")
    assert set(judged["verdict"]) == {"not run"}
    assert judged["ours"].isna().all()


def test_higher_is_the_paired_difference_of_final_accuracies() -> None:
    tables = {"fig1_accuracy": accuracy_table([0.970, 0.972, 0.974], [0.981, 0.982, 0.983])}
    found = row(tables, "fig1a-higher")
    assert found["ours"] == pytest.approx(0.010)
    low, high = stats.t.interval(0.95, 2, loc=0.010, scale=0.001 / np.sqrt(3))
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert (found["verdict"], found["seeds"], found["scale"]) == ("reproduced", 3, "cpu")


def test_higher_is_not_reproduced_when_bn_ends_lower() -> None:
    tables = {"fig1_accuracy": accuracy_table([0.982, 0.983, 0.984], [0.970, 0.971, 0.972])}
    assert row(tables, "fig1a-higher")["verdict"] == "not reproduced"


def test_only_seeds_that_both_networks_have_are_compared() -> None:
    tables = {"fig1_accuracy": accuracy_table([0.970, 0.972, 0.974, 0.5], [0.981, 0.982, 0.983])}
    assert row(tables, "fig1a-higher")["seeds"] == 3


def test_faster_counts_the_steps_on_smoothed_curves() -> None:
    """BN's line 0.98 t/10k passes 0.489 at t = 5k; a mean of five evaluations lags by two: at 7k."""
    table = accuracy_table([0.489] * 3, [0.98] * 3)
    assert steps_to_baseline(table).tolist() == [0.14] * 3
    found = row({"fig1_accuracy": accuracy_table([0.489] * 3, [0.98] * 3)}, "fig1a-faster")
    assert found["verdict"] == "direction only"  # 0.14 lies below half of the paper's 0.31


@pytest.mark.parametrize(
    ("with_bn", "verdict"), [([0.5] * 3, "not reproduced"), ([0.98, 0.98, 0.98, 0.5], "inconclusive")]
)
def test_seeds_that_never_get_there_are_never_reproduced(with_bn: list[float], verdict: str) -> None:
    table = accuracy_table([0.9] * len(with_bn), with_bn)
    assert steps_to_baseline(table).isna().sum() == with_bn.count(0.5)
    found = row({"fig1_accuracy": table}, "fig1a-faster")
    assert found["verdict"] == verdict
    assert f"trains on {len(with_bn)}, and BN gets there on {len(with_bn) - with_bn.count(0.5)}" in found["statement"]


def test_faster_counts_the_seeds_that_both_networks_have() -> None:
    found = row({"fig1_accuracy": accuracy_table([0.489] * 4, [0.98] * 3)}, "fig1a-faster")
    assert (found["seeds"], found["verdict"]) == (3, "direction only")
    assert "trains on" not in found["statement"]


def test_to_reach_a_network_that_has_not_left_chance_is_no_gain() -> None:
    table = accuracy_table([0.9, 0.9, 0.9, 0.1], [0.98] * 4)
    assert steps_to_baseline(table).index.tolist() == [0, 1, 2]
    found = row({"fig1_accuracy": table}, "fig1a-faster")
    assert (found["verdict"], found["seeds"]) == ("inconclusive", 3)
    assert "of 4 seeds the network without BN trains on 3" in found["statement"]
    assert row({"fig1_accuracy": accuracy_table([0.1] * 3, [0.98] * 3)}, "fig1a-faster")["verdict"] == "inconclusive"


def test_straight_lines_between_evaluations_are_no_distance() -> None:
    printed = paper.figure_1a().query("network == 'mlp'")
    steps = np.arange(500, 50_001, 500)
    smooth = pd.DataFrame({0: 0.97 - 0.9 * np.exp(-steps / 3000)}, index=steps)  # bends as early training does
    evaluations = [3_130, *paper.EVALUATIONS["mlp"][:-1], *np.linspace(paper.EVALUATIONS["mlp"][-1], 44_082, 8)]
    print_of_it = np.interp(printed["step"], evaluations, np.interp(evaluations, steps, smooth[0]))
    with pytest.MonkeyPatch.context() as patch:
        drawn = printed.assign(test_accuracy=print_of_it)
        patch.setattr(sys.modules["bnrepro.tables.fig1"], "_printed", lambda network: drawn)
        assert first_evaluation("mlp", smooth[0]) == 3_130
        assert rms_to_paper("mlp", smooth, 3_130) == pytest.approx(0, abs=1e-12)
        assert rms_to_paper("mlp", smooth, 3_579) > 0.003
        assert rms_to_paper("mlp", smooth) == pytest.approx(0, abs=1e-12)  # from the first bend on
        assert rms_point_by_point("mlp", smooth) > 0.005


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
def test_the_print_bends_at_the_evaluations_and_nowhere_between(network: str) -> None:
    printed = paper.figure_1a().query("network == @network and step <= 18_500")
    steps, accuracy = printed["step"].to_numpy(), printed["test_accuracy"].to_numpy()
    slope, middle = np.diff(accuracy) / np.diff(steps), (steps[1:] + steps[:-1]) / 2
    inner = [step for step in paper.EVALUATIONS[network] if step > steps[0] + 100]
    for bend in inner:
        before, after = (slope[np.abs(middle - side) < 800].mean() for side in (bend - 1600, bend + 1600))
        assert abs(after - before) > 5e-7
        turning = np.abs(middle - bend) <= 1000
        crossing = middle[turning][np.abs(slope[turning] - (before + after) / 2).argmin()]
        assert crossing == pytest.approx(bend, abs=350)  # a step of the print is 410 to 455
    edges = [steps[0], *inner, steps[-1]]
    for begin, end in pairwise(edges):
        line = (steps > begin + 600) & (steps < end - 600)
        fit = np.polynomial.Polynomial.fit(steps[line], accuracy[line], 1)
        assert np.abs(fit(steps[line]) - accuracy[line]).max() < 0.0012


def test_the_papers_own_curves_have_no_distance_from_themselves() -> None:
    printed = paper.figure_1a()
    for network, error in (("mlp", 0.0015), ("mlp_bn", 0.0005)):  # ±0.002 the print's own
        curve = printed[printed["network"] == network].set_index("step")[["test_accuracy"]]
        first = first_evaluation(network, curve["test_accuracy"])
        assert (first is None) == (network == "mlp_bn")
        assert rms_to_paper(network, curve, first) < error
        assert rms_to_paper(network, curve + 0.004, first) == pytest.approx(0.004, abs=0.0006)
        assert rms_point_by_point(network, curve + 0.004) == pytest.approx(0.004)
        tables = {
            "fig1_accuracy": pd.concat(
                pd.DataFrame({"step": curve.index, "accuracy": curve["test_accuracy"] + shift, "seed": seed})
                for seed, shift in enumerate((0.001, 0.002, 0.003))
            ).assign(network=network, data="mnist", scale="cpu")
        }
        claim = "fig1a-curve:without-bn" if network == "mlp" else "fig1a-curve:with-bn"
        only = [c for c in CLAIMS if c.id == claim]
        assert judge(only, tables, "mnist")["verdict"].tolist() == ["reproduced"]


def test_all_seeds_share_one_place_of_the_evaluation_that_is_not_shown() -> None:
    steps = np.arange(100, 50_001, 100)
    by_seed = {seed: 0.97 - 0.87 * np.exp(-np.maximum(steps - 1770 - 200 * seed, 0) / 1000) for seed in range(3)}
    curves = pd.DataFrame(by_seed, index=steps)
    own = [first_evaluation("mlp", curves[seed]) for seed in curves]
    assert len(set(own)) == 3
    long = curves.rename_axis("step").reset_index().melt("step", var_name="seed", value_name="accuracy")
    table = long.assign(network="mlp", data="mnist", scale="cpu")
    only = [claim for claim in CLAIMS if claim.id == "fig1a-curve:without-bn"]
    ours = judge(only, {"fig1_accuracy": table}, "mnist")["ours"].item()
    shared = first_evaluation("mlp", curves.mean(axis=1))
    assert ours == pytest.approx(rms_to_paper("mlp", curves, shared).mean())
    assert ours > np.mean([rms_to_paper("mlp", curves[[s]], first)[0] for s, first in zip(curves, own, strict=True)])


def test_digits_have_no_printed_curve() -> None:
    assert any(claim.id.startswith("fig1a-curve") for claim in about("mnist"))
    assert not any(claim.id.startswith("fig1a-curve") for claim in about("digits"))


def test_the_rate_is_chosen_on_held_out_data_and_read_on_the_test_set() -> None:
    rows = [
        {"network": network, "lr": lr, "seed": seed, "held_out_accuracy": held_out, "test_accuracy": test + seed / 1e4}
        for network, lr, held_out, test in (
            ("mlp", 0.1, 0.95, 0.99),  # best on the test set: must not be chosen
            ("mlp", 0.3, 0.97, 0.96),
            ("mlp_bn", 0.1, 0.98, 0.97),
            ("mlp_bn", 1.0, 0.90, 0.995),
        )
        for seed in range(3)
    ]
    table = pd.DataFrame(rows).assign(data="mnist", scale="cpu")
    assert (chosen_rate(table, "mlp"), chosen_rate(table, "mlp_bn")) == (0.3, 0.1)
    found = row({"fig1_tuned": table}, "fig1a-higher:tuned")
    assert found["ours"] == pytest.approx(0.01)
    assert found["verdict"] == "reproduced"


def test_stability_compares_medians_over_units_paired_by_seed() -> None:
    found = row({"fig1_drift": drift_table([0.42, 0.44, 0.46], [0.07, 0.07, 0.07])}, "fig1c-stable:median")
    assert found["ours"] == pytest.approx(0.44 / 0.07)
    assert found["verdict"] == "reproduced"
    unstable = row({"fig1_drift": drift_table([0.42, 0.44, 0.46], [0.07, 0.07, 0.07])}, "fig1b-unstable:median")
    assert unstable["ours"] == pytest.approx(0.44)
    assert unstable["verdict"] == "reproduced"
    still = row({"fig1_drift": drift_table([0.01, 0.02, 0.03], [0.07, 0.07, 0.07])}, "fig1b-unstable:median")
    assert still["verdict"] == "not reproduced"

"""The claims of Sections 2 and 3 on tables made by hand: a case for each verdict."""

import numpy as np
import pandas as pd
import pytest

from bnrepro.claims import about, judge
from bnrepro.claims.exact import exponents
from bnrepro.claims.theory import gradient_factor
from bnrepro.claims.verdict import Estimate, above, within


def verdicts(name: str, table: pd.DataFrame, data: str = "mnist") -> dict[str, str]:
    judged = judge(about(data), {name: table.assign(data=data, scale="cpu")}, data)
    return dict(zip(judged["id"], judged["verdict"], strict=True))


def residuals(worst: float) -> pd.DataFrame:
    rows = [(claim.id, trial, 1e-16) for claim in about("random") for trial in range(4)]
    table = pd.DataFrame(rows, columns=["quantity", "trial", "value"])
    table.loc[(table["quantity"] == "alg1-moments") & (table["trial"] == 2), "value"] = worst
    table.loc[table["quantity"] == "batch-coupling:training", "value"] = [0.14, 0.15, 0.16, 0.15]
    return table


@pytest.mark.parametrize(
    ("worst", "verdict"), [(1e-15, "reproduced"), (1e-9, "not reproduced"), (np.nan, "not reproduced")]
)
def test_an_exact_statement_holds_in_every_trial_or_not_at_all(worst: float, verdict: str) -> None:
    found = verdicts("theory_exact", residuals(worst), "random")
    assert found["alg1-moments"] == verdict
    assert found["alg1-identity"] == "reproduced"
    assert found["batch-coupling:training"] == "reproduced"
    assert found["whitening-cost:time"] == "not run"


def times(power: float, factor: float) -> pd.DataFrame:
    rows = []
    for width in (16, 128, 256, 512):
        for number in range(4):
            noise = 1 + 0.001 * number
            rows += [("batch", width, number, 1e-6 * width), ("rank", width, number, min(width, 59))]
            rows.append(("whitening", width, number, factor * 1e-6 * width * (width / 512) ** power * noise))
    return pd.DataFrame(rows, columns=["quantity", "width", "round", "value"])


@pytest.mark.parametrize(
    ("power", "factor", "time", "growth"),
    [(1.5, 20, "reproduced", "reproduced"), (0.5, 5, "not reproduced", "not reproduced")],
)
def test_whitening_costs_more_and_grows_faster(power: float, factor: float, time: str, growth: str) -> None:
    table = times(power, factor)
    assert exponents(table, "whitening").mean() == pytest.approx(1 + power)
    found = verdicts("theory_whitening_cost", table, "random")
    assert (found["whitening-cost:time"], found["whitening-cost:growth"]) == (time, growth)
    assert found["whitening-cost:rank"] == "reproduced"
    table.loc[table["quantity"] == "rank", "value"] = table["width"]
    assert verdicts("theory_whitening_cost", table, "random")["whitening-cost:rank"] == "not reproduced"


def drift_table(growth: float, worse: float, last_loss: list[float]) -> pd.DataFrame:
    rows: list[tuple[str, float, int, int, str, str, float]] = []
    for seed, loss in enumerate(last_loss):
        rows += [("example", 0.1, seed, step, "", "error", 1e-15) for step in (0, 10)]
        for lr in (0.07, 0.7):
            for step, share in ((0, 0.0), (50, 1.0), (100, growth)):
                norm = share * (1 + 0.01 * seed)
                rows.append(("centre_detached", lr, seed, step, "hidden1", "bias", norm))
                rows.append(
                    ("centre_scale_detached", lr, seed, step, "hidden1", "bias", worse * norm * (1 + seed / 100))
                )
                value = 2.3 if step == 0 else loss * (1 if lr < 0.1 else 100)
                rows.append(("centre_scale_detached", lr, seed, step, "", "loss", value))
    return pd.DataFrame(rows, columns=["arm", "lr", "seed", "step", "layer", "quantity", "value"])


def test_drift_that_grows_and_blows_up() -> None:
    found = verdicts("theory_naive_drift", drift_table(2.0, 3.0, [3.0, np.inf, np.nan]))
    assert {found[f"naive-drift:{name}"] for name in ("example", "scaling", "blow-up", "blow-up-x10")} == {"reproduced"}


def test_drift_that_does_not() -> None:
    found = verdicts("theory_naive_drift", drift_table(0.5, 0.5, [1.0, 1.1, 1.2]))
    assert {found[f"naive-drift:{name}"] for name in ("scaling", "blow-up")} == {"not reproduced"}
    assert found["naive-drift:blow-up-x10"] == "reproduced"
    assert (
        verdicts("theory_naive_drift", drift_table(2.0, 2.0, [1.0, 5.0, 1.0]))["naive-drift:blow-up"] == "inconclusive"
    )


def jacobian_table(with_bn: float, without: float, factor: float) -> pd.DataFrame:
    rows: list[tuple[str, str, int, int, int, int, str, float]] = []
    for seed in range(4):
        for network, share in (("mlp", without), ("mlp_bn", with_bn)):
            for step in (0, 100):
                rows.append(
                    (network, "sigmoid", 3, seed, step, 1, "near_1", share + 0.001 * seed * (network == "mlp_bn"))
                )
            for layer in range(1, 51):
                value = factor ** (50 - layer) * (1 + 0.01 * seed * layer)
                rows.append((network, "relu", 50, seed, 0, layer, "gradient", value))
    columns = ["network", "nonlinearity", "depth", "seed", "step", "layer", "quantity", "value"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize(
    ("with_bn", "without", "verdict"),
    [
        (0.95, 0.5, "reproduced"),
        (0.7, 0.5, "direction only"),
        (0.5, 0.7, "not reproduced"),
        (0.7, 0.7015, "inconclusive"),
    ],
)
def test_singular_values_near_1(with_bn: float, without: float, verdict: str) -> None:
    found = verdicts("theory_jacobian", jacobian_table(with_bn, without, 1.0))
    assert (found["jacobian:initial"], found["jacobian:trained"]) == (verdict, verdict)


def test_the_gradients_factor_per_layer() -> None:
    table = jacobian_table(0.9, 0.5, 1.467)
    assert gradient_factor(table, "mlp_bn", "relu")[0] == pytest.approx(1.467)
    assert verdicts("theory_jacobian", table)["jacobian:gradient-growth"] == "not reproduced"
    table.loc[(table["quantity"] == "gradient") & (table["layer"] < 10), "value"] = 0.0  # below what float32 holds
    assert gradient_factor(table, "mlp_bn", "relu")[0] == pytest.approx(1.467)


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.001, "reproduced"), (-0.05, "not reproduced"), (0.005, "inconclusive")]
)
def test_moving_averages_stand_in(gap: float, verdict: str) -> None:
    rows = [
        (
            60,
            step,
            population,
            seed,
            0.9 + (gap if population == "moving" else 0) + 1e-4 * seed * (population == "moving"),
        )
        for step in (1, 100)
        for population in ("exact", "moving")
        for seed in range(4)
    ]
    table = pd.DataFrame(rows, columns=["batch_size", "step", "population", "seed", "accuracy"])
    assert verdicts("theory_population", table)["alg2-population:moving"] == verdict


def test_two_seeds_are_inconclusive() -> None:
    two = Estimate(5.0, 4.0, 6.0, 2)
    assert above(two, 1.0) == "inconclusive"
    assert within(two, 1.0, 10.0) == "inconclusive"

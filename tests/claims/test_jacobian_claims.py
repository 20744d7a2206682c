"""The claims about layer Jacobians on tables made by hand: every filter meets rows that it must leave out."""

import itertools

import pandas as pd
import pytest

from bnrepro.claims import about, judge
from bnrepro.claims.jacobian import gradient_factor, near_1

COLUMNS = ["network", "nonlinearity", "depth", "reading", "seed", "step", "layer", "quantity", "value"]
Key = tuple[str, str, int, str, int]  # network, nonlinearity, depth, reading, step
STEPS = {3: (0, 10, 1500), 10: (0, 450), 50: (0, 90)}


def shares(given: dict[Key, float]) -> pd.DataFrame:
    """Shares near 1 as given, and elsewhere values that differ from one another."""
    rows = []
    keys = itertools.product(("mlp", "mlp_bn"), ("sigmoid", "relu"), STEPS, ("normalised", "raw"))
    for number, (network, nonlinearity, depth, reading) in enumerate(keys):
        if (network, reading) == ("mlp_bn", "raw"):
            continue
        for step, seed in itertools.product(STEPS[depth], range(4)):
            key = (network, nonlinearity, depth, reading, step)
            share = given.get(key, 0.2 + 0.01 * number + 0.003 * (step > 0)) + 1e-3 * seed * (network == "mlp_bn")
            rows.append((network, nonlinearity, depth, reading, seed, step, 0, "near_1", share))
            rows.append((network, nonlinearity, depth, reading, seed, step, 0, "mean_square", 9.0))
    return pd.concat([pd.DataFrame(rows, columns=COLUMNS), gradients(1.0)], ignore_index=True)


def gradients(factor: float, other: float = 3.0) -> pd.DataFrame:
    """Squared norms that grow by ``factor`` with BN, in 50 layers of ReLUs, at the start; elsewhere by ``other``."""
    rows = []
    keys = itertools.product(("mlp", "mlp_bn"), ("sigmoid", "relu"), (10, 50), (0, 90), range(4))
    for network, nonlinearity, depth, step, seed in keys:
        ours = (network, nonlinearity, depth, step) == ("mlp_bn", "relu", 50, 0)
        for layer in range(1, depth + 1):
            value = (factor if ours else other) ** ((depth - layer) / (1 if ours else 10)) * (1 + 1e-4 * seed * layer)
            rows.append((network, nonlinearity, depth, "", seed, step, layer, "gradient", value))
    return pd.DataFrame(rows, columns=COLUMNS)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    return judge(about("mnist"), {"theory_jacobian": table.assign(data="mnist", scale="cpu")}, "mnist").set_index("id")


CASES = [  # with BN, without
    (0.95, 0.5, "reproduced"),
    (0.7, 0.5, "direction only"),
    (0.5, 0.7, "not reproduced"),
    (0.7, 0.7015, "inconclusive"),
]


@pytest.mark.parametrize(("with_bn", "without", "verdict"), CASES)
@pytest.mark.parametrize(("name", "step"), [("initial", 0), ("trained", 1500)])
def test_singular_values_near_1(name: str, step: int, with_bn: float, without: float, verdict: str) -> None:
    of = {("mlp_bn", "sigmoid", 3, "normalised", step): with_bn, ("mlp", "sigmoid", 3, "normalised", step): without}
    row = judged(shares(of)).loc[f"jacobian:{name}"]
    assert (row["ours"], row["verdict"]) == (pytest.approx(with_bn + 1.5e-3), verdict)


READINGS: list[tuple[str, Key, Key]] = [
    ("initial", ("mlp_bn", "sigmoid", 3, "normalised", 0), ("mlp", "sigmoid", 3, "raw", 0)),
    ("trained", ("mlp_bn", "sigmoid", 3, "normalised", 1500), ("mlp", "sigmoid", 3, "raw", 1500)),
    ("relu-10", ("mlp_bn", "relu", 10, "normalised", 0), ("mlp", "relu", 10, "normalised", 0)),
    ("relu-deepest", ("mlp_bn", "relu", 50, "normalised", 0), ("mlp", "relu", 50, "normalised", 0)),
]


@pytest.mark.parametrize(
    ("with_bn", "without", "verdict"),
    [(0.95, 0.5, "reproduced"), (0.5, 0.7, "not reproduced"), (0.7, 0.7015, "inconclusive")],
)
@pytest.mark.parametrize(("name", "ours", "others"), READINGS)
def test_closer_to_1_than_without_bn(  # noqa: PLR0917
    name: str, ours: Key, others: Key, with_bn: float, without: float, verdict: str
) -> None:
    row = judged(shares({ours: with_bn, others: without})).loc[f"jacobian:closer-{name}"]
    assert (row["ours"], row["verdict"]) == (pytest.approx(with_bn - without + 1.5e-3), verdict)


def test_differences_are_paired_by_seed() -> None:
    table = shares({})
    table.loc[table["network"] == "mlp", "value"] += 10 * table["seed"]
    table.loc[table["network"] == "mlp_bn", "value"] += 10 * table["seed"]
    row = judged(table).loc["jacobian:closer-initial"]
    assert row["high"] - row["low"] < 0.01


def test_a_depth_that_was_not_measured_is_inconclusive() -> None:
    found = judged(shares({}).query("depth != 10"))
    assert found.loc["jacobian:closer-relu-10", "verdict"] == "inconclusive"


def test_what_does_not_exist_has_no_share() -> None:
    table = shares({})
    table.loc[(table["seed"] == 2) & (table["reading"] == "normalised"), "value"] = float("nan")
    assert near_1(table, "mlp").isna().to_dict() == {0: False, 1: False, 2: True, 3: False}


def test_the_gradients_factor_per_layer() -> None:
    table = pd.concat([shares({}).query("quantity != 'gradient'"), gradients(1.467)], ignore_index=True)
    assert gradient_factor(table, "mlp_bn", "relu")[0] == pytest.approx(1.467)
    row = judged(table).loc["jacobian:gradient-growth"]
    assert (row["ours"], row["verdict"]) == (pytest.approx(1.467, rel=1e-3), "not reproduced")
    assert judged(shares({})).loc["jacobian:gradient-growth", "verdict"] == "reproduced"
    table.loc[(table["quantity"] == "gradient") & (table["layer"] < 10), "value"] = 0.0  # below what float32 holds
    assert gradient_factor(table, "mlp_bn", "relu")[0] == pytest.approx(1.467)

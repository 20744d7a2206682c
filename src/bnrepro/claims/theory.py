"""Sections 2 and 3, on trained networks: drift outside the gradient, Jacobians, population statistics."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from bnrepro.claims.claim import Claim, Outcome, worst_case
from bnrepro.claims.verdict import FEWEST_SEEDS, Estimate, above, difference, estimate, within

NEAR_1 = 0.9  # share of singular values within a factor of 2 of 1 that counts as "close to 1"
FACTOR = 1.1  # a squared gradient norm that changes less than this per layer is kept
ACCURACY = 0.005  # difference of accuracies within which a moving average stands in for the exact statistics
ROUNDING = 1e-10  # float64, relative


def drift_example(table: pd.DataFrame) -> Outcome:
    """naive-drift in Sec. 2's example: b against its closed form and the loss against its first value, relative."""
    rows = table[(table["arm"] == "example") & (table["quantity"] == "error")]
    return worst_case(rows.groupby("seed")["value"].max(), ROUNDING)


def bias_norm(table: pd.DataFrame, arm: str, factor: int = 1) -> pd.DataFrame:
    """Return the norm of all hidden layers' biases, indexed by step, one column per seed.

    ``factor``: at so many times the learning rate of Fig. 1, the smallest that was used.
    """
    rows = _arm(table, arm, factor)
    squares = rows[rows["quantity"] == "bias"].assign(value=lambda t: t["value"] ** 2)
    return squares.pivot_table(index="step", columns="seed", values="value", aggfunc="sum", dropna=False) ** 0.5


def _arm(table: pd.DataFrame, arm: str, factor: int) -> pd.DataFrame:
    rows = table[table["arm"] == arm]
    return rows[np.isclose(rows["lr"], factor * rows["lr"].min())]


def bias_grows(table: pd.DataFrame) -> Outcome:
    """naive-drift in the network: the bias norm at the end divided by the one half-way."""
    norms = bias_norm(table, "centre_detached")
    half = norms.index[np.abs(norms.index - norms.index.max() / 2).argmin()]
    e = estimate(norms.iloc[-1] / norms.loc[half])
    return Outcome(e, above(e, 1.0))


def scaling_is_worse(table: pd.DataFrame) -> Outcome:
    """naive-drift in the network: the final bias norm with scaling divided by the one without, paired by seed."""
    with_scaling, without = (bias_norm(table, arm).iloc[-1] for arm in ("centre_scale_detached", "centre_detached"))
    e = estimate(with_scaling / without)
    return Outcome(e, above(e, 1.0))


def blows_up(factor: int) -> Callable[[pd.DataFrame], Outcome]:
    """naive-drift with scaling: the share of seeds whose loss ends above its first value or is not finite."""

    def check(table: pd.DataFrame) -> Outcome:
        rows = _arm(table, "centre_scale_detached", factor)
        loss = rows[rows["quantity"] == "loss"].pivot(index="step", columns="seed", values="value")
        up = (~(loss.iloc[-1] <= loss.iloc[0])).astype(float)
        e = Estimate(float(up.mean()), float(up.min()), float(up.max()), len(up))
        if len(up) < FEWEST_SEEDS or 0 < e.value < 1:
            return Outcome(e, "inconclusive")
        return Outcome(e, "reproduced" if e.value == 1 else "not reproduced")

    return check


def near_1(table: pd.DataFrame, network: str, trained: bool) -> pd.Series:
    """Return each seed's share of singular values near 1 in the network of Fig. 1, mean over its layers."""
    rows = table[(table["network"] == network) & (table["nonlinearity"] == "sigmoid") & (table["depth"] == 3)]
    rows = rows[(rows["quantity"] == "near_1") & (rows["step"] == (rows["step"].max() if trained else 0))]
    return pd.Series(rows.groupby("seed")["value"].mean())


def singular_values(trained: bool) -> Callable[[pd.DataFrame], Outcome]:
    """jacobian: close to 1 with BN, and closer than without."""

    def check(table: pd.DataFrame) -> Outcome:
        with_bn, without = near_1(table, "mlp_bn", trained), near_1(table, "mlp", trained)
        e = estimate(with_bn)
        closer = difference(estimate(with_bn - without), no_effect=0.0, paper=1.0)
        if closer in ("inconclusive", "not reproduced"):
            return Outcome(e, closer)
        return Outcome(e, "reproduced" if e.low > NEAR_1 else "direction only")

    return check


def gradient_factor(table: pd.DataFrame, network: str, nonlinearity: str) -> pd.Series:
    """Return each seed's factor by which the squared gradient norm grows per layer towards the input.

    At initialisation, in the deepest network, fitted by least squares on logarithms.
    """
    rows = table[(table["network"] == network) & (table["nonlinearity"] == nonlinearity) & (table["step"] == 0)]
    rows = rows[(rows["quantity"] == "gradient") & (rows["depth"] == rows["depth"].max())]
    rows = rows[rows["value"] > 0]  # a gradient below what float32 holds says nothing of the factor
    fits = {seed: np.polyfit(part["layer"], np.log(part["value"]), 1)[0] for seed, part in rows.groupby("seed")}
    return pd.Series({seed: float(np.exp(-k)) for seed, k in fits.items()})


def gradient_growth(table: pd.DataFrame) -> Outcome:
    """jacobian: what singular values of 1 would mean for the gradient."""
    e = estimate(gradient_factor(table, "mlp_bn", "relu"))
    return Outcome(e, within(e, 1 / FACTOR, FACTOR))


def moving_stands_in(batch: int) -> Callable[[pd.DataFrame], Outcome]:
    """alg2-population: held-out accuracy with moving averages minus with exact statistics, at the last step."""

    def check(table: pd.DataFrame) -> Outcome:
        rows = table[(table["batch_size"] == batch) & (table["step"] == table["step"].max())]
        accuracy = rows.pivot(index="seed", columns="population", values="accuracy")
        e = estimate(accuracy["moving"] - accuracy["exact"])
        return Outcome(e, within(e, -ACCURACY, ACCURACY))

    return check


_SINGULAR = f"above {NEAR_1} and above the share without BN"

CLAIMS: list[Claim] = [
    Claim(
        "alg2-population:moving",
        "3.1",
        "moving averages may stand in: held-out accuracy with them minus with exact statistics, at the end (batch 60)",
        0.0,
        f"within ±{ACCURACY}",
        "theory_population",
        moving_stands_in(60),
    ),
    Claim(
        "naive-drift:example",
        "2",
        "a mean outside the gradient: b grows without bound and the loss stays fixed (relative error of both)",
        0.0,
        f"below {ROUNDING:g} for every seed",
        "theory_naive_drift",
        drift_example,
    ),
    Claim(
        "naive-drift:network",
        "2",
        "the same in the network of Fig. 1: the biases' norm at the end divided by half-way",
        np.nan,
        "above 1",
        "theory_naive_drift",
        bias_grows,
    ),
    Claim(
        "naive-drift:scaling",
        "2",
        "it gets worse with scaling outside the gradient too: the biases' final norm divided by the one without",
        np.nan,
        "above 1",
        "theory_naive_drift",
        scaling_is_worse,
    ),
    *(
        Claim(
            f"naive-drift:blow-up{suffix}",
            "2",
            f"with scaling the model blows up{words}: share of seeds whose loss ends above its first value",
            1.0,
            "every seed (none: not reproduced)",
            "theory_naive_drift",
            blows_up(factor),
        )
        for suffix, words, factor in (("", "", 1), ("-x10", ", at ten times the learning rate", 10))
    ),
    *(
        Claim(
            f"jacobian:{name}",
            "3.3",
            f"singular values of the layer Jacobians are close to 1 {words}: share within [1/2, 2], network of Fig. 1",
            1.0,
            _SINGULAR,
            "theory_jacobian",
            singular_values(trained),
        )
        for name, words, trained in (("initial", "at initialisation", False), ("trained", "after training", True))
    ),
    Claim(
        "jacobian:gradient-growth",
        "3.3",
        "so gradients keep their size: factor of the squared gradient norm per layer, 50 ReLU layers at initialisation",
        1.0,
        f"within [{1 / FACTOR:.2f}, {FACTOR}]",
        "theory_jacobian",
        gradient_growth,
    ),
]

"""Sections 2 and 3, on trained networks: drift outside the gradient, population statistics."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from bnrepro.claims.claim import ADDED, Claim, Outcome, worst_case
from bnrepro.claims.verdict import FEWEST_SEEDS, Estimate, above, estimate, within

ACCURACY = 0.005  # difference of accuracies within which a moving average stands in for the exact statistics
ROUNDING = 1e-10  # float64, relative
NOISE = 100.0  # times the bias norm of BN, which is rounding: what grows less does not drift
STILL = 0.05  # share of BN's fall of the loss, within which a loss stands still
EARLY = 2  # the third look of the population study
CENTRED, SCALED, CONTROL = "centre_detached", "centre_scale_detached", "none"  # arms of the drift study


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
    return squares.groupby(["step", "seed"])["value"].sum(skipna=False).unstack() ** 0.5


def losses(table: pd.DataFrame, arm: str, factor: int = 1) -> pd.DataFrame:
    """Return the training loss, indexed by step, one column per seed; see :func:`bias_norm`."""
    rows = _arm(table, arm, factor)
    return rows[rows["quantity"] == "loss"].pivot(index="step", columns="seed", values="value")


def _arm(table: pd.DataFrame, arm: str, factor: int) -> pd.DataFrame:
    network = table[table["arm"] != "example"]
    rows = network[network["arm"] == arm]
    return rows[np.isclose(rows["lr"], factor * network["lr"].min())]


def bias_grows(table: pd.DataFrame) -> Outcome:
    """naive-drift in the network: the bias norm at the end divided by the one half-way, if it is no rounding."""
    norms, rounding = bias_norm(table, CENTRED), bias_norm(table, "batch").iloc[-1]
    half = norms.index[np.abs(norms.index - norms.index.max() / 2).argmin()]
    e = estimate(norms.iloc[-1] / norms.loc[half])
    drifts = (norms.iloc[-1] > NOISE * rounding).all()
    return Outcome(e, above(e, 1.0) if drifts else "not reproduced")


def loss_stands_still(table: pd.DataFrame) -> Outcome:
    """naive-drift in the network: by how much the loss falls, as a share of BN's fall, paired by seed."""
    falls = {arm: losses(table, arm).iloc[0] - losses(table, arm).iloc[-1] for arm in (CENTRED, "batch")}
    e = estimate(falls[CENTRED] / falls["batch"])
    return Outcome(e, within(e, -STILL, STILL))


def scaling_is_worse(factor: int) -> Callable[[pd.DataFrame], Outcome]:
    """naive-drift in the network: the final bias norm with scaling divided by the one without, paired by seed."""

    def check(table: pd.DataFrame) -> Outcome:
        with_scaling, without = (bias_norm(table, arm, factor).iloc[-1] for arm in (SCALED, CENTRED))
        e = estimate(with_scaling / without)
        return Outcome(e, above(e, 1.0))

    return check


def grows_more_than_control(factor: int) -> Callable[[pd.DataFrame], Outcome]:
    """naive-drift in the network: the final bias norm divided by the one without normalisation, paired by seed."""

    def check(table: pd.DataFrame) -> Outcome:
        centred, control = (bias_norm(table, arm, factor).iloc[-1] for arm in (CENTRED, CONTROL))
        e = estimate(centred / control)
        return Outcome(e, above(e, 1.0))

    return check


def ends_above_its_start(arm: str, factor: int, expected: int = 1) -> Callable[[pd.DataFrame], Outcome]:
    """naive-drift: the share of seeds whose loss ends above its first value or is not finite, 1 or 0 as expected."""

    def check(table: pd.DataFrame) -> Outcome:
        loss = losses(table, arm, factor)
        up = (~(loss.iloc[-1] <= loss.iloc[0])).astype(float)
        e = Estimate(float(up.mean()), float(up.min()), float(up.max()), len(up))
        if len(up) < FEWEST_SEEDS or 0 < e.value < 1:
            return Outcome(e, "inconclusive")
        return Outcome(e, "reproduced" if e.value == expected else "not reproduced")

    return check


def moving_stands_in(batch: int, look: int = -1) -> Callable[[pd.DataFrame], Outcome]:
    """alg2-population: held-out accuracy with moving averages minus with exact statistics, at one of the looks."""

    def check(table: pd.DataFrame) -> Outcome:
        steps = sorted(table["step"].unique())
        step = steps[min(look, len(steps) - 1)]
        rows = table[(table["batch_size"] == batch) & (table["step"] == step)]
        accuracy = rows.pivot(index="seed", columns="population", values="accuracy")
        accuracy = accuracy.reindex(columns=["moving", "exact"])  # none, where the batch size was not measured
        e = estimate(accuracy["moving"] - accuracy["exact"])
        return Outcome(e, within(e, -ACCURACY, ACCURACY))

    return check


def _moving(suffix: str, words: str, batch: int, look: int, added: str = "") -> Claim:
    return Claim(
        f"alg2-population:moving{suffix}",
        "3.1",
        f"moving averages may stand in: held-out accuracy with them minus with exact statistics, {words}",
        0.0,
        f"within ±{ACCURACY}{added}",
        "theory_population",
        moving_stands_in(batch, look),
    )


def _drift(
    suffix: str, statement: str, paper: float, threshold: str, check: Callable[[pd.DataFrame], Outcome]
) -> Claim:
    return Claim(f"naive-drift:{suffix}", "2", statement, paper, threshold, "theory_naive_drift", check)


_RATES = (("", "", 1), ("-x10", ", at ten times the learning rate", 10))
_UP = "share of seeds whose loss ends above its first value, a generous reading"
_EVERY = "every seed (none: not reproduced)"

CLAIMS: list[Claim] = [
    _moving("", "at the end (batch 60)", 60, -1),
    _moving("-early", "early, at the third look (batch 60)", 60, EARLY, f" {ADDED}"),
    *(_moving(f":batch-{size}", f"at the end (batch {size})", size, -1, f" {ADDED}") for size in (2, 256)),
    _drift(
        "example",
        "a mean outside the gradient: b grows without bound and the loss stays fixed (relative error of both)",
        0.0,
        f"below {ROUNDING:g} for every seed",
        drift_example,
    ),
    _drift(
        "network",
        "the same in the network of Fig. 1: the biases' norm at the end divided by half-way",
        np.nan,
        f"above 1; and the norm above {NOISE:g} times BN's, which is rounding, for every seed {ADDED}",
        bias_grows,
    ),
    _drift(
        "network:loss",
        "and its loss stands still: the fall of the loss as a share of BN's fall",
        0.0,
        f"within ±{STILL} {ADDED}",
        loss_stands_still,
    ),
    *(
        _drift(
            f"network:control{suffix}",
            f"and its biases grow more than those of a network without normalisation{words}: the final norm divided by "
            "that one's",
            np.nan,
            f"above 1 {ADDED}",
            grows_more_than_control(factor),
        )
        for suffix, words, factor in _RATES
    ),
    *(
        _drift(
            f"scaling{suffix}",
            f"it can get worse with scaling outside the gradient too{words}: the biases' final norm divided by the one "
            "without",
            np.nan,
            "above 1" if factor == 1 else f"above 1 {ADDED}",
            scaling_is_worse(factor),
        )
        for suffix, words, factor in _RATES
    ),
    *(
        _drift(
            f"blow-up{suffix}",
            f"the model blows up with mean and variance outside the gradient{words}: {_UP}",
            1.0,
            _EVERY,
            ends_above_its_start(SCALED, factor),
        )
        for suffix, words, factor in _RATES
    ),
    *(
        _drift(
            f"blow-up-centring{suffix}",
            f"the model blows up with the mean alone outside the gradient{words}: {_UP}",
            1.0,
            f"{_EVERY} {ADDED}",
            ends_above_its_start(CENTRED, factor),
        )
        for suffix, words, factor in _RATES
    ),
    *(
        _drift(
            f"control{suffix}",
            f"without any normalisation the network does not blow up{words}: {_UP}",
            0.0,
            f"no seed {ADDED}",
            ends_above_its_start(CONTROL, factor, expected=0),
        )
        for suffix, words, factor in _RATES
    ),
]

"""Sections 2 and 3, on random numbers: the exact statements, and the cost of whitening."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from bnrepro.claims.claim import ADDED, Claim, Outcome, worst_case
from bnrepro.claims.verdict import above, estimate, within

ROUNDING = 1e-10  # float64, relative
DIFFERENCES = 1e-6  # central differences of step 1e-5
COUPLED = 60  # examples of a mini-batch, for batch-coupling
NEAR = 0.1  # relative distance from first-order theory
EXPENSIVE = 10.0  # times the cost of BN
FITTED_WIDTHS = 128  # the exponents are fitted from this width on


def exact(quantity: str, most: float) -> Callable[[pd.DataFrame], Outcome]:
    """Judge the worst residual of all trials."""

    def check(table: pd.DataFrame) -> Outcome:
        values = table.loc[table["quantity"] == quantity, "value"]
        return worst_case(values, most)

    return check


def coupling_expected() -> float:
    """Return the standard deviation over re-drawn mates that first-order theory gives a normalised activation.

    Of m normal numbers the mean has the standard deviation σ/√m and the standard deviation about σ/√(2m), so
    x̂ = x has √((1 + x²/2)/m). This is its mean over standard normal x, by Gauss-Hermite quadrature.
    """
    x, weights = np.polynomial.hermite_e.hermegauss(64)
    return float(np.average(np.sqrt((1 + x**2 / 2) / COUPLED), weights=weights))


def coupling(table: pd.DataFrame) -> Outcome:
    """batch-coupling in training."""
    e = estimate(table.loc[table["quantity"] == "batch-coupling:training", "value"])
    expected = coupling_expected()
    return Outcome(e, within(e, expected * (1 - NEAR), expected * (1 + NEAR)))


def _times(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return seconds indexed by width, one column a round."""
    return table[table["quantity"] == quantity].pivot(index="width", columns="round", values="value").sort_index()


def cost_ratio(table: pd.DataFrame) -> Outcome:
    """whitening-cost: seconds at the largest width, divided round by round."""
    e = estimate((_times(table, "whitening") / _times(table, "batch")).iloc[-1])
    return Outcome(e, above(e, EXPENSIVE))


def exponents(table: pd.DataFrame, quantity: str) -> pd.Series:
    """Fit seconds ~ width^k by least squares on logarithms, from ``FITTED_WIDTHS`` on; k of each round."""
    times = _times(table, quantity)
    times = times[times.index >= FITTED_WIDTHS]
    return pd.Series(np.polyfit(np.log(times.index), np.log(times), 1)[0], index=times.columns)


def cost_growth(table: pd.DataFrame) -> Outcome:
    """whitening-cost: by how much the exponent of whitening is above that of BN."""
    e = estimate(exponents(table, "whitening") - exponents(table, "batch"))
    return Outcome(e, above(e, 1.0))


def rank(table: pd.DataFrame) -> Outcome:
    """whitening-cost: how far the covariance's rank is from m-1 where the layer is wider."""
    ranks = table[(table["quantity"] == "rank") & (table["width"] >= table["batch"])]
    return worst_case((ranks["value"] - (ranks["batch"] - 1)).abs(), ROUNDING)


def _statement(id: str, section: str, statement: str, most: float = ROUNDING, added: bool = False) -> Claim:
    threshold = f"largest relative error below {most:g} in every trial{f' {ADDED}' if added else ''}"
    return Claim(id, section, statement, 0.0, threshold, "theory_exact", exact(id, most))


CLAIMS: list[Claim] = [
    _statement("alg1-moments", "Alg. 1", "a normalised activation has mean 0 and variance 1 (ε = 0)"),
    _statement(
        "alg1-moments:eps", "Alg. 1", "with ε above 0 that variance is σ²/(σ² + ε), for ε from 1e-8 to 10", added=True
    ),
    _statement("alg1-backward:autograd", "3", "the six gradient equations equal autograd of Algorithm 1"),
    _statement("alg1-backward:differences", "3", "the six gradient equations equal central differences", DIFFERENCES),
    _statement("alg1-backward:framework", "3", "the six gradient equations equal the framework's own BN"),
    _statement("alg1-identity", "3", "γ = √Var[x], β = E[x] restore the activations (ε = 0)"),
    _statement(
        "alg2-population:exact",
        "Alg. 2",
        "over all mini-batches of a finite population, the mean of their means and m/(m-1) times the mean of their "
        "variances are its mean and variance",
    ),
    _statement(
        "alg2-population:bessel",
        "Alg. 2",
        "without m/(m-1) the same estimate is (m-1)/m of the variance",
        added=True,
    ),
    _statement("alg2-affine", "Alg. 2", "at inference BN is one affine map and folds into the layer before it"),
    _statement("bias-redundant:output", "3.2", "a bias before BN changes no output"),
    _statement("bias-redundant:gradient", "3.2", "a bias before BN has no gradient"),
    _statement("conv-shared", "3.2", "BN of maps is BN over all m·p·q values of a map"),
    _statement("scale-invariance", "3.3", "BN((aW)u) = BN(Wu), ∂/∂u the same, ∂/∂(aW) = (1/a) ∂/∂W (a > 0, ε = 0)"),
    _statement("batch-coupling:inference", "3.4", "at inference an output does not depend on the other examples"),
    Claim(
        "batch-coupling:training",
        "3.4",
        "in training it does: standard deviation of a normalised activation over re-drawn batch-mates, "
        f"{COUPLED} in all",
        np.nan,
        f"within {100 * NEAR:g} % of first-order theory, {coupling_expected():.4f} {ADDED}",
        "theory_exact",
        coupling,
    ),
    _statement(
        "bn-two-parameters",
        "5",
        "BN adds two parameters per activation (per map) and no more: of networks with it and without",
    ),
    Claim(
        "whitening-cost:time",
        "2, 3",
        "full whitening is expensive: time of a training step, divided by BN's, at the largest width",
        np.nan,
        f"above {EXPENSIVE:g}",
        "theory_whitening_cost",
        cost_ratio,
    ),
    Claim(
        "whitening-cost:growth",
        "2, 3",
        f"and grows faster with the width: its exponent minus BN's, from width {FITTED_WIDTHS}",
        np.nan,
        "above 1",
        "theory_whitening_cost",
        cost_growth,
    ),
    Claim(
        "whitening-cost:rank",
        "3",
        "the covariance of a mini-batch of m examples, smaller than the layer, is singular: distance of its rank from "
        "m-1",
        0.0,
        "0 at every width",
        "theory_whitening_cost",
        rank,
    ),
]

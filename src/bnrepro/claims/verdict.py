"""The one rule for every trained claim, committed before the runs that it judges.

Direction: the 95 % Student t interval over seeds (of paired differences or ratios where both networks have the seed)
lies wholly on the paper's side of "no effect". Size: it also overlaps [paper/2, 2 paper] for a ratio, or
[paper - |paper|/2, paper + |paper|/2] for a difference. Fewer than three seeds are inconclusive at best.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

Verdict = Literal["reproduced", "direction only", "not reproduced", "inconclusive", "not run"]
FEWEST_SEEDS = 3
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % Student t interval."""

    value: float
    low: float
    high: float
    seeds: int


def estimate(samples: ArrayLike) -> Estimate:
    """Estimate the mean of one number per seed; seeds without a number (NaN) do not count."""
    x = np.asarray(samples, dtype=np.float64)
    x = x[np.isfinite(x)]
    if len(x) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(x.mean())
    if len(x) == 1:
        return Estimate(mean, -np.inf, np.inf, 1)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Estimate(mean, mean - half, mean + half, len(x))


def geometric(samples: ArrayLike) -> Estimate:
    """Estimate the mean of a positive ratio over logarithms: of the reciprocal it is the reciprocal, never below 0."""
    e = estimate(np.log(np.asarray(samples, dtype=np.float64)))
    return Estimate(float(np.exp(e.value)), float(np.exp(e.low)), float(np.exp(e.high)), e.seeds)


def ratio(e: Estimate, no_effect: float, paper: float) -> Verdict:
    """Judge a ratio, or another positive quantity whose size is judged by a factor of two."""
    return _compare(e, no_effect, paper, paper / 2, 2 * paper)


def difference(e: Estimate, no_effect: float, paper: float) -> Verdict:
    """Judge a difference."""
    return _compare(e, no_effect, paper, paper - abs(paper) / 2, paper + abs(paper) / 2)


def bound(e: Estimate, most: float) -> Verdict:
    """Judge a distance from what the paper prints, which must stay below ``most``."""
    if e.seeds < FEWEST_SEEDS or e.low <= most <= e.high:
        return "inconclusive"
    return "reproduced" if e.high < most else "not reproduced"


def above(e: Estimate, least: float) -> Verdict:
    """Judge a quantity that must lie above ``least``, the paper giving no size."""
    if e.seeds < FEWEST_SEEDS or e.low <= least <= e.high:
        return "inconclusive"
    return "reproduced" if e.low > least else "not reproduced"


def within(e: Estimate, low: float, high: float) -> Verdict:
    """Judge a quantity whose whole interval must lie between ``low`` and ``high``."""
    if e.seeds >= FEWEST_SEEDS and low < e.low and e.high < high:
        return "reproduced"
    apart = e.seeds >= FEWEST_SEEDS and (e.high < low or e.low > high)
    return "not reproduced" if apart else "inconclusive"


def _compare(e: Estimate, no_effect: float, paper: float, smallest: float, largest: float) -> Verdict:
    if e.seeds < FEWEST_SEEDS or e.low <= no_effect <= e.high:
        return "inconclusive"
    if (e.low > no_effect) != (paper > no_effect):
        return "not reproduced"
    overlaps = e.low <= largest and e.high >= smallest
    return "reproduced" if overlaps else "direction only"

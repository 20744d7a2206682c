"""How much the distribution of a sigmoid's input moves while the network trains: the measure behind Fig. 1b,c.

For one sigmoid, m(t) is the median of its input and s(t) the distance from the 15th to the 85th percentile, both at
the 100 points of training that the paper's figure has. In units of the mean spread,

    median drift = (max m - min m) / mean s        spread drift = (max s - min s) / mean s

A unit that keeps its distribution has both at 0. On the paper's printed bands this gives 0.44 and 1.20 without BN,
0.07 and 0.45 with BN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnrepro.paper import figure_1bc

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """Median drift and spread drift, one value per unit."""

    median: Floats
    spread: Floats

    def of(self, measure: str) -> Floats:
        """Return ``median_drift`` or ``spread_drift``, as the columns of the tables are called."""
        return {"median_drift": self.median, "spread_drift": self.spread}[measure]

    def typical(self) -> int:
        """Return the unit in the middle of its layer: its median drift is the (lower) median of all."""
        order = np.argsort(np.where(np.isnan(self.median), np.inf, self.median), kind="stable")
        return int(order[(len(order) - 1) // 2])


def drift(fraction: ArrayLike, p15: ArrayLike, p50: ArrayLike, p85: ArrayLike, start: float = 0.0) -> Drift:
    """Measure the drift of each unit, from the share ``start`` of training on.

    Args:
        fraction: (T,) points of training in (0, 1], increasing.
        p15: (T, U) percentiles of U units at these points; p50 and p85 likewise.
        p50: see p15.
        p85: see p15.
        start: where on the way of training the measure begins.
    """
    median = on_paper_grid(fraction, p50, start)
    spread = on_paper_grid(fraction, p85, start) - on_paper_grid(fraction, p15, start)
    unit = spread.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):  # a unit that diverged has no drift: NaN
        return Drift(np.ptp(median, axis=0) / unit, np.ptp(spread, axis=0) / unit)


def on_paper_grid(fraction: ArrayLike, values: ArrayLike, start: float = 0.0) -> Floats:
    """Interpolate (T, U) values linearly at the 100 points of training of the paper's Fig. 1b,c, from ``start`` on."""
    printed = figure_1bc()
    grid = np.unique(printed.loc[printed["network"] == "mlp", "fraction_of_training"])
    columns = np.asarray(values, dtype=np.float64).T
    grid = grid[grid >= start]
    points = np.asarray(fraction, dtype=np.float64)
    return np.stack([np.interp(grid, points, column) for column in columns], axis=1)

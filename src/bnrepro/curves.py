"""What is read off a run's table: accuracy curves and the percentile bands of sigmoids. No torch."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnrepro.stability import Drift, Floats, drift

FINAL_EVALUATIONS = 5  # a curve is smoothed by a running mean of five evaluations; the last one is "final"
ROUNDING = 1e-9  # of accuracy: a running mean's last digits decide nothing
PERCENTILES = (15, 50, 85)  # Fig. 1b,c


def accuracy_curves(metrics: pd.DataFrame, split: str = "test", metric: str = "accuracy") -> pd.DataFrame:
    """Return one column per seed, indexed by step."""
    rows = metrics[(metrics["split"] == split) & (metrics["metric"] == metric)]
    return rows.pivot(index="step", columns="seed", values="value").sort_index()


def smooth(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of the last five evaluations, at the start of those that there are: two evaluations late."""
    return curves.rolling(FINAL_EVALUATIONS, min_periods=1).mean()


def window(evaluations: int) -> int:
    """Return how many evaluations :func:`centred` takes together: five, at most a tenth of all, an odd number."""
    most = min(FINAL_EVALUATIONS, evaluations // 10)
    return max(1, most if most % 2 else most - 1)


def centred(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the centred running mean, neither late nor early, of which maxima and steps are read.

    At either end it is of the evaluations that there are.
    """
    return curves.rolling(window(len(curves)), min_periods=1, center=True).mean()


def at_the_end(curves: pd.DataFrame) -> pd.Series:
    """Return each seed's mean over as many of the last evaluations as :func:`centred` takes together."""
    return curves.tail(window(len(curves))).mean()


def first_reaches(curve: pd.Series, level: float) -> float:
    """Return the step at which a curve, straight between evaluations, first reaches ``level``; NaN: never.

    Where it is there at the first evaluation it is that evaluation's step.
    """
    there = np.flatnonzero(curve >= level - ROUNDING)
    if not len(there):
        return np.nan
    sides = curve.iloc[max(there[0] - 1, 0) : there[0] + 1].dropna()
    return float(np.interp(level, sides, sides.index))


def final_accuracy(metrics: pd.DataFrame, split: str = "test") -> pd.Series:
    """Return each seed's mean accuracy over the last five evaluations."""
    return smooth(accuracy_curves(metrics, split)).iloc[-1]


def _bands(metrics: pd.DataFrame) -> Iterator[tuple[int, str, "pd.Index[int]", Floats]]:
    """Yield (seed, layer, steps (T,), percentiles (3, T, U)) of every stack of sigmoids that was watched."""
    rows = metrics[metrics["metric"].str.startswith("input_p")]
    for (seed, layer), group in rows.groupby(["seed", "layer"], sort=True):
        tables = [
            group[group["metric"] == f"input_p{p}"].pivot(index="step", columns="unit", values="value")
            for p in PERCENTILES
        ]
        yield int(str(seed)), str(layer), tables[0].index, np.stack([table.to_numpy() for table in tables])


def last_layer(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the last hidden layer, which the paper shows: of hidden10 rather than of hidden9."""
    number = table["layer"].str.removeprefix("hidden").astype(int)
    return table[number == number.max()]


def _drift(steps: "pd.Index[int]", bands: Floats, training: int) -> Drift:
    return drift(steps.to_numpy() / training, *bands)


def drifts(metrics: pd.DataFrame, training: int) -> pd.DataFrame:
    """Return each unit's drift over ``training`` steps: seed, layer, unit, median_drift, spread_drift."""
    pieces = []
    for seed, layer, steps, bands in _bands(metrics):
        d = _drift(steps, bands, training)
        units = np.arange(bands.shape[2])
        columns = {"unit": units, "median_drift": d.median, "spread_drift": d.spread}
        pieces.append(pd.DataFrame({"seed": seed, "layer": layer, **columns}))
    return pd.concat(pieces, ignore_index=True)


def typical_bands(metrics: pd.DataFrame, training: int) -> pd.DataFrame:
    """Return the band of each layer's typical unit: seed, layer, unit, percentile, step, value."""
    pieces = []
    for seed, layer, steps, bands in _bands(metrics):
        unit = _drift(steps, bands, training).typical()
        pieces += [
            pd.DataFrame(
                {
                    "seed": seed,
                    "layer": layer,
                    "unit": unit,
                    "percentile": p,
                    "step": steps,
                    "value": band[:, unit],
                }
            )
            for p, band in zip(PERCENTILES, bands, strict=True)
        ]
    columns = ["seed", "layer", "unit", "percentile", "step", "value"]
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=columns)

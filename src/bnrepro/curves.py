"""What is read off a run's table: accuracy curves and the percentile bands of sigmoids. No torch."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnrepro.stability import Drift, Floats, drift

FINAL_EVALUATIONS = 5  # a curve is smoothed by a running mean of five evaluations; the last one is "final"
PERCENTILES = (15, 50, 85)  # Fig. 1b,c


def accuracy_curves(metrics: pd.DataFrame, split: str = "test", metric: str = "accuracy") -> pd.DataFrame:
    """Return one column per seed, indexed by step."""
    rows = metrics[(metrics["split"] == split) & (metrics["metric"] == metric)]
    return rows.pivot(index="step", columns="seed", values="value").sort_index()


def smooth(curves: pd.DataFrame, centred: bool = False) -> pd.DataFrame:
    """Return the running mean of five evaluations: the last five, which comes two evaluations late, or ``centred``.

    Where there are not five, at the start or with ``centred`` at either end, the mean is of those that there are.
    """
    return curves.rolling(FINAL_EVALUATIONS, min_periods=1, center=centred).mean()


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

"""The tables of Figure 1 and of the studies of Sections 2 and 3."""

import numpy as np
import pandas as pd

from bnrepro.curves import accuracy_curves, drifts, final_accuracy, last_layer, smooth, typical_bands
from bnrepro.paper import figure_1a
from bnrepro.record import Record
from bnrepro.stability import Floats
from bnrepro.tables.base import Tables, labelled, settings


def rms_to_paper(network: str, curves: pd.DataFrame) -> Floats:
    """Return each seed's root mean square distance from the printed curve (Fig. 1a), over that curve's range.

    Args:
        network: mlp or mlp_bn.
        curves: accuracy, indexed by step, one column per seed; interpolated linearly at the printed points.
    """
    printed = figure_1a()
    printed = printed[printed["network"] == network]
    steps = curves.index.to_numpy(dtype=float)
    ours = np.stack([np.interp(printed["step"], steps, curves[seed]) for seed in curves])
    distances: Floats = np.sqrt(np.mean((ours - printed["test_accuracy"].to_numpy()) ** 2, axis=1))
    return distances


def fig1(records: list[Record]) -> Tables:
    """Figure 1: accuracy of every seed, the typical sigmoid's percentiles, every sigmoid's drift."""
    accuracy, percentiles, drift = [], [], []
    for record in records:
        metrics, config = record.read_metrics(), record.config
        curves = accuracy_curves(metrics)
        long = curves.reset_index().melt(id_vars="step", var_name="seed", value_name="accuracy")
        accuracy.append(labelled(long, record))
        bands = last_layer(typical_bands(metrics, config["steps"]))
        bands = bands.assign(fraction=bands["step"] / config["steps"])
        percentiles.append(labelled(bands, record))
        drift.append(labelled(drifts(metrics, config["steps"]), record))
    return {
        "fig1_accuracy": pd.concat(accuracy, ignore_index=True),
        "fig1_percentiles": pd.concat(percentiles, ignore_index=True),
        "fig1_drift": pd.concat(drift, ignore_index=True),
    }


def fig1_calibrate(records: list[Record]) -> Tables:
    """Build the calibration's grid: how far each setting's mean curve is from the printed one, and those curves."""
    rows, curves = [], []
    for record in records:
        setting = settings(record)
        by_seed = accuracy_curves(record.read_metrics())
        mean = by_seed.mean(axis=1).rename("accuracy").to_frame()
        final = float(smooth(by_seed).iloc[-1].mean())
        distance = float(rms_to_paper(setting["network"], mean)[0])
        ours = {"seeds": by_seed.shape[1], "rms": distance, "final_accuracy": final}
        rows.append(labelled(pd.DataFrame([{**setting, **ours}]), record))
        keys = {key: setting[key] for key in ("encoding", "init_std", "lr")}
        curves.append(labelled(mean.reset_index().assign(**keys), record))
    grid = pd.concat(rows, ignore_index=True).sort_values("rms", kind="stable", ignore_index=True)
    return {"fig1_calibrate": grid, "fig1_calibrate_curves": pd.concat(curves, ignore_index=True)}


def fig1_tuned(records: list[Record]) -> Tables:
    """Build final accuracies on held-out and test examples for each network, learning rate and seed."""
    pieces = []
    for record in records:
        metrics = record.read_metrics()
        final = {f"{split}_accuracy": final_accuracy(metrics, split) for split in ("held_out", "test")}
        pieces.append(labelled(pd.DataFrame(final).reset_index().assign(lr=record.config["optim.lr"]), record))
    return {"fig1_tuned": pd.concat(pieces, ignore_index=True)}


def theory(records: list[Record]) -> Tables:
    """Sections 2 and 3: a table for each study, as it was measured."""
    return {f"theory_{r.config['study.name']}": labelled(r.read_metrics(), r, network=False) for r in records}

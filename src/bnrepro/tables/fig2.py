"""The tables of Figure 2: the Inception networks of Sec. 4.2."""

import pandas as pd

from bnrepro.curves import accuracy_curves, drifts
from bnrepro.record import Record
from bnrepro.tables.base import Tables, labelled


def fig2(records: list[Record]) -> Tables:
    """Test accuracy, where a run diverged, percentiles of each block's inputs (first seed), drift of its channels."""
    accuracy, ends, blocks, drift = [], [], [], []
    first = min(seed for record in records for seed in record.config["seeds"])
    for record in records:
        metrics, steps = record.read_metrics(), record.config["steps"]
        accuracy.append(labelled(_long(metrics).assign(classes=record.provenance["classes"]), record))
        ends.append(labelled(_end(record), record))
        seen = metrics[metrics["metric"].str.startswith("block_input_p") & (metrics["seed"] == first)]
        percentile = seen["metric"].str.removeprefix("block_input_p").astype(int)
        blocks.append(
            labelled(seen.assign(percentile=percentile)[["seed", "layer", "percentile", "step", "value"]], record)
        )
        drift.append(labelled(_drift_of_layers(metrics, steps), record))
    tables = {"fig2_accuracy": accuracy, "fig2_ends": ends, "fig2_blocks": blocks, "fig2_drift": drift}
    return {name: pd.concat(pieces, ignore_index=True) for name, pieces in tables.items()}


def fig2_base_rate(records: list[Record]) -> Tables:
    """Build the accuracy on held-out training images, the last and the best, for each learning rate and seed."""
    pieces = []
    for record in records:
        metrics = record.read_metrics()
        curves = accuracy_curves(metrics, "held_out")
        columns = {"last": curves.iloc[-1], "best": curves.max()}
        rows = pd.DataFrame({f"held_out_{name}": values for name, values in columns.items()}).reset_index()
        pieces.append(labelled(rows.assign(lr=record.config["optim.lr"]), record))
    return {"fig2_base_rate": pd.concat(pieces, ignore_index=True)}


def _long(metrics: pd.DataFrame) -> pd.DataFrame:
    curves = accuracy_curves(metrics)
    return curves.reset_index().melt(id_vars="step", var_name="seed", value_name="accuracy")


def _end(record: Record) -> pd.DataFrame:
    """Return how each seed ended: the step from which its loss is not finite, empty where there is none."""
    config, diverged = record.config, record.status["diverged"]
    rows = [
        {
            "seed": seed,
            "lr": config["optim.lr"],
            "multiple": config["optim.multiple"],
            "steps": config["steps"],
            "diverged_at": diverged.get(str(seed)),
        }
        for seed in config["seeds"]
    ]
    return pd.DataFrame(rows).astype({"diverged_at": "Int64"})


def _drift_of_layers(metrics: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Return the median over a block's watched channels of their drifts: seed, layer, median_drift, spread_drift."""
    order = metrics.loc[metrics["metric"] == "input_p50", "layer"].unique()  # from the first block to the last
    medians = drifts(metrics, steps).groupby(["layer", "seed"])[["median_drift", "spread_drift"]].median()
    return medians.loc[list(order)].reset_index()

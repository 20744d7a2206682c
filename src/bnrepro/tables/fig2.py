"""The tables of Figure 2: the Inception networks of Sec. 4.2."""

import numpy as np
import pandas as pd

from bnrepro.curves import accuracy_curves, at_the_end, centred, drifts, final_accuracy
from bnrepro.record import Record
from bnrepro.tables.base import Tables, labelled

NORMS_AT = 5  # steps, from the first to the last


def fig2(records: list[Record]) -> Tables:
    """Test accuracy, where a run diverged, percentiles of blocks' inputs (first seed), their channels' drift, norms."""
    blocks, drift, norms = [], [], []
    first = min(seed for record in records for seed in record.config["seeds"])
    for record in records:
        metrics, steps = record.read_metrics(), record.config["steps"]
        seen = metrics[metrics["metric"].str.startswith("block_input_p") & (metrics["seed"] == first)]
        percentile = seen["metric"].str.removeprefix("block_input_p").astype(int)
        blocks.append(
            labelled(seen.assign(percentile=percentile)[["seed", "layer", "percentile", "step", "value"]], record)
        )
        drift.append(labelled(_drift_of_layers(metrics, steps), record))
        norms.append(labelled(_norms(metrics), record))
    watched = {"fig2_blocks": blocks, "fig2_drift": drift, "fig2_norms": norms}
    joined = {name: pd.concat(pieces, ignore_index=True) for name, pieces in watched.items()}
    return _accuracy_and_ends("fig2", records) | joined


def fig2_paper_rates(records: list[Record]) -> Tables:
    """Build test accuracy and ends of the same networks at the paper's own rates."""
    return _accuracy_and_ends("fig2_paper_rates", records)


def fig2_equal_decay(records: list[Record]) -> Tables:
    """Build test accuracy and ends of BN-x5, BN-x30 and BN-x5-Sigmoid whose rates decay as Inception's."""
    return _accuracy_and_ends("fig2_equal_decay", records)


def _accuracy_and_ends(name: str, records: list[Record]) -> Tables:
    """Build test accuracy, and where a run diverged."""
    ends = [labelled(_end(record), record) for record in records]
    return {f"{name}_accuracy": _accuracy(records), f"{name}_ends": pd.concat(ends, ignore_index=True)}


def _accuracy(records: list[Record]) -> pd.DataFrame:
    curves = [(_long(record.read_metrics()).assign(classes=record.provenance["classes"]), record) for record in records]
    return pd.concat([labelled(curve, record) for curve, record in curves], ignore_index=True)


def fig2_samples(records: list[Record]) -> Tables:
    """Training images beside their distortions, as they were drawn."""
    return {"fig2_samples": pd.concat([labelled(r.read_metrics(), r, network=False) for r in records])}


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


def fig2_init(records: list[Record]) -> Tables:
    """Build the test accuracy of Inception and BN-Baseline for each scheme of initial weights."""
    pieces = []
    for record in records:
        scheme = {"init": record.config["model.init"], "classes": record.provenance["classes"]}
        pieces.append(labelled(_long(record.read_metrics()).assign(**scheme), record))
    return {"fig2_init": pd.concat(pieces, ignore_index=True)}


def ablations(records: list[Record]) -> Tables:
    """Build test accuracy, its smoothed maximum, the last, and the gap that is left to the accuracy in training."""
    pieces = []
    for record in records:
        metrics = record.read_metrics()
        curves = accuracy_curves(metrics)
        last, seen = at_the_end(curves), at_the_end(accuracy_curves(metrics, "seen"))
        rows = pd.DataFrame({"maximum": centred(curves).max(), "last": last, "gap": seen - last}).reset_index()
        pieces.append(labelled(rows, record))
    return {"ablations": pd.concat(pieces, ignore_index=True), "ablations_accuracy": _accuracy(records)}


def small_inception(records: list[Record]) -> Tables:
    """Build the last test accuracy of the small Inception networks, smoothed over five evaluations."""
    pieces = [
        labelled(final_accuracy(record.read_metrics()).rename("accuracy").reset_index(), record) for record in records
    ]
    return {"small_inception": pd.concat(pieces, ignore_index=True)}


def ensemble(records: list[Record]) -> Tables:
    """Build top-1 and top-5 error of every member, and of the mean of the probabilities of a seed's members.

    ``finite`` counts the members whose probabilities are all finite. A mean with one whose are not is not finite.
    """
    pieces, by_seed = [], dict[int, list[pd.DataFrame]]()
    for record in records:
        (seed,) = record.config["seeds"]
        predictions = record.read_predictions()
        pieces.append(labelled(errors(predictions).assign(seed=seed, finite=_finite(predictions)), record))
        by_seed.setdefault(seed, []).append(predictions)
    for seed, members in by_seed.items():
        keys = ["example", "label", "crops", "class"]
        mean = pd.concat(members).groupby(keys, sort=False)["probability"].mean(skipna=False).reset_index()
        finite = sum(_finite(member) for member in members)
        pieces.append(labelled(errors(mean).assign(seed=seed, finite=finite), records[0]).assign(network="ensemble"))
    return {"ensemble": pd.concat(pieces, ignore_index=True)}


def _finite(predictions: pd.DataFrame) -> int:
    """Return 1 where all of a network's probabilities are finite, else 0."""
    return int(predictions["probability"].notna().all())


def errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return crops, top1, top5: the share of examples whose class is not the most probable, nor among five.

    Probabilities that are not finite are right about nothing.
    """
    rows = []
    for crops, of_it in predictions.groupby("crops"):
        wide = of_it.pivot(index=["example", "label"], columns="class", values="probability")
        labels = wide.index.get_level_values("label")
        order = np.argsort(-wide.to_numpy(), axis=1, kind="stable")  # equal ones, as at 0, in the classes' order
        rank = (order == wide.columns.get_indexer(labels)[:, None]).argmax(axis=1)  # of the right class
        rank[wide.isna().any(axis=1)] = max(len(wide.columns), 5)
        rows.append({"crops": crops, "top1": (rank >= 1).mean(), "top5": (rank >= 5).mean()})
    return pd.DataFrame(rows)


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


def _norms(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the norms of each layer's weights and of their gradient at a few of the steps at which they were taken."""
    rows = metrics[metrics["metric"].isin(["weight_norm", "gradient_norm"])]
    steps = np.sort(rows["step"].unique())
    few = steps[np.linspace(0, len(steps) - 1, NORMS_AT).round().astype(int)]
    keys = ["seed", "layer", "step"]
    wide = rows[rows["step"].isin(few)].pivot(index=keys, columns="metric", values="value")
    order = list(rows["layer"].unique())  # from the first block to the last
    wide = wide.reindex(columns=["weight_norm", "gradient_norm"]).reset_index()
    return wide.sort_values(["seed", "layer", "step"], key=lambda c: c.map(order.index) if c.name == "layer" else c)


def _drift_of_layers(metrics: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Return the median over a block's watched channels of their drifts: seed, layer, median_drift, spread_drift."""
    order = metrics.loc[metrics["metric"] == "input_p50", "layer"].unique()  # from the first block to the last
    medians = drifts(metrics, steps).groupby(["layer", "seed"])[["median_drift", "spread_drift"]].median()
    return medians.loc[list(order)].reset_index()

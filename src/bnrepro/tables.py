"""From runs' records to the tables in results/: tidy, small enough to commit, without torch.

Every row names its data and scale. A table belongs to one data set and one experiment and lies in
``results/<data>/``, so that results on other data never overwrite MNIST's.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bnrepro.curves import accuracy_curves, drifts, final_accuracy, last_layer, smooth, typical_bands
from bnrepro.errors import BadInput
from bnrepro.files import write_atomically
from bnrepro.paper import figure_1a
from bnrepro.record import Record
from bnrepro.stability import Floats

Tables = dict[str, pd.DataFrame]
SETTINGS = {  # columns of runs.csv and of the calibration: what a run was
    "network": "network",
    "encoding": "data.encoding",
    "threshold": "data.threshold",
    "held_out": "data.held_out",
    "init_std": "model.init_std",
    "lr": "optim.lr",
    "batch_size": "batch_size",
    "steps": "steps",
}


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
        accuracy.append(_labelled(long, record))
        bands = last_layer(typical_bands(metrics, config["steps"]))
        bands = bands.assign(fraction=bands["step"] / config["steps"])
        percentiles.append(_labelled(bands, record))
        drift.append(_labelled(drifts(metrics, config["steps"]), record))
    return {
        "fig1_accuracy": pd.concat(accuracy, ignore_index=True),
        "fig1_percentiles": pd.concat(percentiles, ignore_index=True),
        "fig1_drift": pd.concat(drift, ignore_index=True),
    }


def fig1_calibrate(records: list[Record]) -> Tables:
    """Build the calibration's grid: how far each setting's mean curve is from the printed one, and those curves."""
    rows, curves = [], []
    for record in records:
        setting = _settings(record)
        by_seed = accuracy_curves(record.read_metrics())
        mean = by_seed.mean(axis=1).rename("accuracy").to_frame()
        final = float(smooth(by_seed).iloc[-1].mean())
        distance = float(rms_to_paper(setting["network"], mean)[0])
        ours = {"seeds": by_seed.shape[1], "rms": distance, "final_accuracy": final}
        rows.append(_labelled(pd.DataFrame([{**setting, **ours}]), record))
        keys = {key: setting[key] for key in ("encoding", "init_std", "lr")}
        curves.append(_labelled(mean.reset_index().assign(**keys), record))
    grid = pd.concat(rows, ignore_index=True).sort_values("rms", kind="stable", ignore_index=True)
    return {"fig1_calibrate": grid, "fig1_calibrate_curves": pd.concat(curves, ignore_index=True)}


def fig1_tuned(records: list[Record]) -> Tables:
    """Build final accuracies on held-out and test examples for each network, learning rate and seed."""
    pieces = []
    for record in records:
        metrics = record.read_metrics()
        final = {f"{split}_accuracy": final_accuracy(metrics, split) for split in ("held_out", "test")}
        pieces.append(_labelled(pd.DataFrame(final).reset_index().assign(lr=record.config["optim.lr"]), record))
    return {"fig1_tuned": pd.concat(pieces, ignore_index=True)}


def theory(records: list[Record]) -> Tables:
    """Sections 2 and 3: a table for each study, as it was measured."""
    return {f"theory_{r.config['study.name']}": _labelled(r.read_metrics(), r, network=False) for r in records}


BUILDERS: dict[str, Callable[[list[Record]], Tables]] = {
    "fig1": fig1,
    "fig1_calibrate": fig1_calibrate,
    "fig1_tuned": fig1_tuned,
    "theory": theory,
}
RANDOM = "random"  # the data of studies that draw their own numbers


def data_of(record: Record) -> str:
    """Name the data that a run's numbers speak of."""
    return str(record.config["data.name"]) if record.provenance["data_sha256"] else RANDOM


def runs(records: list[Record], commands: list[str]) -> pd.DataFrame:
    """Say of each run what it was, how it ended, what made it and where."""
    rows = []
    for record, command in zip(records, commands, strict=True):
        config, status, made = record.config, record.status, record.provenance
        rows.append(
            {
                "data": data_of(record),
                "scale": config["scale"],
                "experiment": config["experiment"],
                "study": config["study.name"],
                "run": record.folder.name,
                **_settings(record),
                "seeds": " ".join(map(str, config["seeds"])),
                "status": status["status"],
                "diverged": " ".join(f"{seed}@{step}" for seed, step in status["diverged"].items()),
                "seconds": status["seconds"],
                "command": command,
                "commit": made["commit"],
                "dirty": made["dirty"],
                "device": made["device"],
                "threads": made["threads"],
                "python": made["python"],
                "torch": made["versions"]["torch"],
                "data_sha256": made["data_sha256"],
            }
        )
    return pd.DataFrame(rows)


def _settings(record: Record) -> dict[str, str]:
    config = record.config
    return {column: config.get(key, "") for column, key in SETTINGS.items()}


def _labelled(table: pd.DataFrame, record: Record, network: bool = True) -> pd.DataFrame:
    """Put data, scale and, where a run has one, the network in front of every row."""
    config = record.config
    labels = {"data": data_of(record), "scale": config["scale"]}
    if network:
        labels["network"] = config["network"]
    rest = [column for column in table.columns if column not in labels]
    return table.assign(**labels)[[*labels, *rest]]


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically, with as many digits as the measurement deserves."""
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def read(path: Path) -> pd.DataFrame:
    """Read a table that :func:`write` wrote.

    Raises:
        BadInput: it is missing or damaged.
    """
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is missing or damaged ({error}); restore it or run make reproduce") from error


def read_all(folder: Path) -> Tables:
    """Read every table of one data set."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.csv"))}

"""What all tables have: the labels of their rows, the list of the runs behind them, their files."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.errors import BadInput
from bnrepro.files import read_bytes, sha256, write_text
from bnrepro.record import Record

SUMS = "SHA256SUMS"
BENCH, MADE_BY = "bench.csv", "bench.json"  # how fast it is, and what measured it
Tables = dict[str, pd.DataFrame]
SETTINGS = {  # columns of runs.csv: what a run was
    "network": "network",
    "encoding": "data.encoding",
    "threshold": "data.threshold",
    "held_out": "data.held_out",
    "init_std": "model.init_std",
    "width": "model.width",
    "stem": "model.stem",
    "train_examples": "data.train_examples",
    "test_examples": "data.test_examples",
    "lr": "optim.lr",
    "batch_size": "batch_size",
    "steps": "steps",
}


RANDOM = "random"  # the data of studies that draw their own numbers
HANDWRITTEN = ("mnist", "digits")  # of fully connected networks; all others are images for Inception
_ORDER = ("mnist", RANDOM, "digits", "imagenet", "cifar10", "cifar10_jpeg")  # of the report


def rank(data: str) -> str:
    """Return what sorts data sets as the report shows them: the paper's first, others by name."""
    return f"{_ORDER.index(data)}" if data in _ORDER else f"~{data}"


def present(results: Path) -> list[str]:
    """List the data sets that have tables in ``results``, in the report's order."""
    return sorted({path.parent.name for path in results.glob("*/*.csv")}, key=rank)


def fingerprint(results: Path) -> str:
    """Return the beginning of the SHA-256 of SHA256SUMS, which stands for all tables."""
    return sha256(read_bytes(results / SUMS))[:16]


def data_of(record: Record) -> str:
    """Name the data that a run's numbers speak of."""
    return str(record.config["data.name"]) if record.provenance["data_sha256"] else RANDOM


def runs(records: list[Record], commands: list[str]) -> pd.DataFrame:
    """Say of each run what it was, how it ended, what made it and where."""
    rows = []
    for record, command in zip(records, commands, strict=True):
        config, status, made = record.config, record.status, record.provenance
        parts = [made, *made.get("resumed", [])]  # one, but for a run that others resumed
        rows.append(
            {
                "data": data_of(record),
                "scale": config["scale"],
                "experiment": config["experiment"],
                "study": config["study.name"],
                "run": record.folder.name,
                **settings(record),
                "seeds": " ".join(map(str, config["seeds"])),
                "replicas": len(config["seeds"]) * max(1, len(config.get("optim.rates", []))),
                "status": status["status"],
                "diverged": " ".join(f"{seed}@{step}" for seed, step in status["diverged"].items()),
                "seconds": status["seconds"],
                "command": command,
                "commit": _each(part["commit"] for part in parts),
                "dirty": None if made["dirty"] is None else any(part["dirty"] for part in parts),
                "device": _each(part["device"] for part in parts),
                "threads": _each(part["threads"] for part in parts),
                "python": _each(part["python"] for part in parts),
                "torch": _each(part["versions"]["torch"] for part in parts),
                "data_sha256": made["data_sha256"],
            }
        )
    return pd.DataFrame(rows)


def _each(values: Iterable[Any]) -> Any:
    """Return the value, or where a run was resumed by others, the values in their order."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else ", then ".join(map(str, different))


def settings(record: Record) -> dict[str, Any]:
    """Return what a run was; empty where a setting is not its data set's or network's."""
    config = record.config
    return {column: config.get(key, "") for column, key in SETTINGS.items()}


def labelled(table: pd.DataFrame, record: Record, network: bool = True) -> pd.DataFrame:
    """Put data, scale and, where a run has one, the network in front of every row."""
    config = record.config
    labels = {"data": data_of(record), "scale": config["scale"]}
    if network:
        labels["network"] = config["network"]
    rest = [column for column in table.columns if column not in labels]
    return table.assign(**labels)[[*labels, *rest]]


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically."""
    write_text(path, as_csv(table))


def as_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV, with as many digits as the measurement deserves."""
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """Read a table that :func:`write` wrote.

    Raises:
        BadInput: it is missing or damaged.
    """
    try:
        return pd.read_csv(io.BytesIO(read_bytes(path)), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is missing or damaged ({error}); restore it or run make reproduce") from error


def read_all(folder: Path) -> Tables:
    """Read every table of one data set."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.csv"))}

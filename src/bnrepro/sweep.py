"""What a sweep found: the runs of any folder, those that differ in their seeds alone taken together. No torch."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bnrepro.compose import as_named
from bnrepro.config.run import LATER
from bnrepro.curves import smooth
from bnrepro.errors import BadInput
from bnrepro.record import FINAL, Record

SPLITS = ("held_out", "test")
STACKED = ("seeds", "optim.rates")  # a column of their own, a replica each
FILES = {"config.json", "status.json", "metrics.parquet", "checkpoint.pt"}  # a run's, if not all


class Summary(NamedTuple):
    """What is known of some runs.

    Attributes:
        table: a row for each network and setting.
        missing: the runs that it lacks, and why.
        twice: the seeds that more than one run has.
    """

    table: pd.DataFrame
    missing: list[str]
    twice: list[str]


def records(folders: Iterable[Path]) -> list[Record]:
    """Find every run in some folders, at any depth, each once.

    Raises:
        BadInput: a folder is not there, or there is no run in any.
        OSError: one may not be entered.
    """
    found = dict[Path, None]()
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder; name one with runs in it, such as runs/single")
        walked = sorted(os.walk(folder.resolve(), onerror=_refuse))
        found |= {Path(place): None for place, _, names in walked if FILES.intersection(names)}
    if not found:
        raise BadInput(f"there is no run in {', '.join(map(str, folders))}")
    return [Record(folder) for folder in found]


def _refuse(error: OSError) -> None:
    raise error


def summary(runs: Iterable[Record]) -> Summary:
    """Sum up runs: for each network and setting the accuracy at the end, mean over the seeds and 95 % t interval.

    Columns: network, the settings that differ between the runs other than by the network's name, seeds, diverged, and
    for test and held-out images the mean, low and high of the accuracy smoothed over five evaluations; the best first,
    by held-out accuracy where there is one. Runs that have not ended or are damaged, and studies, are left out.
    """
    found, missing = list[dict[str, Any]](), list[str]()
    for run in runs:
        try:
            status = run.config and run.provenance and run.status
            if status["status"] in FINAL:
                found += _rows(run)
            elif "step" in status:
                missing.append(f"{run.name}: {status['status']} at step {status['step']}")
            else:
                missing.append(f"{run.name}: status.json is missing or damaged; the run's own command goes on")
        except BadInput as error:
            missing.append(f"{run.name}: {error}")
        except (LookupError, TypeError, ValueError) as error:  # a table or a file that is whole, but no run's
            missing.append(f"{run.name}: its files are damaged ({type(error).__name__}: {error})")
    rows = pd.DataFrame(found)
    if rows.empty:
        return Summary(rows, missing, [])
    varied = ["network", *_varied(rows)]
    again = rows.duplicated([*varied, "seed"])
    twice = [f"{row.run}: seed {row.seed} is another run's too, and counted once" for row in rows[again].itertuples()]
    groups = _groups(rows[~again], varied)
    table = pd.DataFrame([_row(dict(zip(varied, key, strict=True)), group) for key, group in groups])
    judged = next(split for split in SPLITS if split in table)
    return Summary(table.sort_values(judged, ascending=False, kind="stable", ignore_index=True), missing, twice)


def held_out_accuracy(run: Record) -> float | None:
    """Return what a search maximises: the accuracy on held-out images at the end, mean over the replicas.

    None of a run that has not ended, keeps no images aside or is a study.
    """
    rows = [row for row in _rows(run) if "held_out" in row] if run.ended else []
    return float(pd.DataFrame(rows)["held_out"].fillna(0.0).mean()) if rows else None


def _rows(run: Record) -> list[dict[str, Any]]:
    """List every replica's settings and accuracies."""
    config, metrics = run.config, run.read_metrics()
    if config.get("study.name", "training") != "training":
        return []
    diverged = run.status["diverged"]
    accuracy = metrics[metrics["metric"] == "accuracy"]
    curves = accuracy.pivot(index="step", columns=["split", "seed", "lr"], values="value").sort_index()
    final = smooth(curves).iloc[-1]
    rows = []
    for seed, lr in curves["test"].columns:
        rate = {"optim.lr": lr} if config.get("optim.rates") else {}
        ended = {split: final[split, seed, lr] for split in SPLITS if split in final}
        key = f"{seed} lr {lr:g}" if rate else str(seed)
        rows.append({**_settings(config), **rate, "run": run.name, "seed": seed, "diverged": key in diverged, **ended})
    return rows


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    whole = {key: value for key, value in {**LATER, **config}.items() if key not in STACKED}
    return {key: str(value) if isinstance(value, list) else value for key, value in whole.items()}


def _varied(rows: pd.DataFrame) -> list[str]:
    """List the settings in which rows differ, less those that are in each row what its network's name says."""
    settings = [key for key in rows.columns if key not in ("network", "run", "seed", "diverged", *SPLITS)]
    varied = [key for key in settings if rows[key].nunique(dropna=False) > 1]
    told = set(varied) - {"scale", "experiment"}
    scale, experiment, data = rows.iloc[0][["scale", "experiment", "data.name"]]
    for network, group in rows.groupby("network"):
        named = _settings(as_named(str(network), scale, experiment, data))
        told = {key for key in told if all(_same(value, named.get(key)) for value in group[key].unique())}
    return [key for key in varied if key not in told]


def _same(value: Any, named: Any) -> bool:
    return bool(value == named or (named is None and pd.isna(value)))


def _groups(rows: pd.DataFrame, keys: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    for key, group in rows.groupby(keys, dropna=False, sort=False):
        yield key if isinstance(key, tuple) else (key,), group


def _row(settings: dict[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    from bnrepro.claims.verdict import estimate  # loads scipy, which a run has no use for

    row = {**settings, "seeds": group["seed"].nunique(), "diverged": int(group["diverged"].sum())}
    for split in SPLITS:
        if split in group and group[split].notna().any():
            e = estimate(group[split])
            low, high = (max(e.low, 0.0), min(e.high, 1.0)) if e.seeds > 1 else (None, None)  # an accuracy lies there
            row |= {split: e.value, f"{split}_low": low, f"{split}_high": high}
    return row

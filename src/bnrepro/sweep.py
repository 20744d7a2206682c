"""What a sweep found: the runs of any folder, those that differ in their seeds alone taken together. No torch."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.curves import smooth
from bnrepro.errors import BadInput
from bnrepro.record import Record

SPLITS = ("held_out", "test")
CHANGE_NOTHING = ("seeds", "optim.rates", "probes.", "runtime.")  # or are a column of their own


def records(folders: Iterable[Path]) -> list[Record]:
    """Find every run in some folders, at any depth.

    Raises:
        BadInput: a folder is not there, or there is no run in any.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder; name one with runs in it, such as runs/single")
        found += [Record(path.parent) for path in sorted(folder.rglob("config.json"))]
    if not found:
        raise BadInput(f"there is no run in {', '.join(map(str, folders))}")
    return found


def summary(runs: Iterable[Record]) -> pd.DataFrame:
    """Return a row for each network and setting: accuracy at the end, mean over the seeds and 95 % t interval.

    Columns: network, the settings that differ between the runs, seeds, diverged, and for test and held-out images
    the mean, low and high of the accuracy smoothed over five evaluations; the best first, by held-out accuracy where
    there is one. Runs that have not ended, and studies, are left out.
    """
    rows = pd.DataFrame([row for run in runs if run.ended for row in _rows(run)])
    if rows.empty:
        return rows
    settings = [key for key in rows.columns if key not in ("network", "seed", "diverged", *SPLITS)]
    values = rows.groupby("network")[settings].nunique(dropna=False).max()  # what a network's name says is not repeated
    varied = ["network", *values.index[values > 1]]
    table = pd.DataFrame([_row(dict(zip(varied, key, strict=True)), group) for key, group in _groups(rows, varied)])
    judged = next(split for split in SPLITS if split in table)
    return table.sort_values(judged, ascending=False, kind="stable", ignore_index=True)


def held_out_accuracy(run: Record) -> float | None:
    """Return what a search maximises: the accuracy on held-out images at the end, mean over the replicas.

    None of a run that has not ended, keeps no images aside or is a study.
    """
    rows = [row for row in _rows(run) if "held_out" in row] if run.ended else []
    return float(pd.DataFrame(rows)["held_out"].fillna(0.0).mean()) if rows else None


def unfinished(runs: Iterable[Record]) -> list[str]:
    """Say of each run that has not ended how far it is."""
    return [f"{run.name}: {run.status['status']} at step {run.status.get('step', 0)}" for run in runs if not run.ended]


def _rows(run: Record) -> Iterator[dict[str, Any]]:
    """Yield every replica's settings and accuracies."""
    config, metrics = run.config, run.read_metrics()
    if config.get("study.name", "training") != "training":
        return
    diverged = run.status["diverged"]
    settings = {key: str(value) if isinstance(value, list) else value for key, value in config.items()}
    settings = {key: value for key, value in settings.items() if not key.startswith(CHANGE_NOTHING)}
    accuracy = metrics[metrics["metric"] == "accuracy"]
    curves = accuracy.pivot(index="step", columns=["split", "seed", "lr"], values="value").sort_index()
    final = smooth(curves).iloc[-1]
    for seed, lr in curves["test"].columns:
        rate = {"optim.lr": lr} if config.get("optim.rates") else {}
        ended = {split: final[split, seed, lr] for split in SPLITS if split in final}
        key = f"{seed} lr {lr:g}" if rate else str(seed)
        yield {**settings, **rate, "seed": seed, "diverged": key in diverged, **ended}


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

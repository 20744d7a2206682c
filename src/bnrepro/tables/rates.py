"""The tables of the learning rates and initial scales at which a network trains."""

from typing import Any

import pandas as pd

from bnrepro.curves import smooth
from bnrepro.record import Record
from bnrepro.tables.base import Tables, labelled


def higher_lr(records: list[Record]) -> Tables:
    """The MNIST network over learning rates, from three initial scales."""
    return {"higher_lr": _accuracies(records)}


def higher_lr_inception(records: list[Record]) -> Tables:
    """Inception over learning rates."""
    return {"higher_lr_inception": _accuracies(records)}


def initial_scale(records: list[Record]) -> Tables:
    """The MNIST network over initial scales, at one learning rate."""
    return {"initial_scale": _accuracies(records)}


def _accuracies(records: list[Record]) -> pd.DataFrame:
    """Build the accuracy on held-out images, smoothed over five evaluations: the last and the best, a row a network."""
    pieces = []
    for record in records:
        config = record.config
        metrics = record.read_metrics().query("split == 'held_out' and metric == 'accuracy'")
        curves = smooth(metrics.pivot(index="step", columns=["seed", "lr"], values="value").sort_index())
        rows = pd.DataFrame({"final": curves.iloc[-1], "best": curves.max()}).reset_index()
        ends = [_diverged_at(config, record.status["diverged"], *key) for key in curves.columns]
        rows = rows.assign(diverged_at=pd.array(ends, dtype="Int64"), classes=record.provenance["classes"])
        pieces.append(labelled(rows.assign(init_std=config.get("model.init_std")), record))
    return pd.concat(pieces, ignore_index=True)


def _diverged_at(config: dict[str, Any], diverged: dict[str, int], seed: int, lr: float) -> int | None:
    return diverged.get(f"{seed} lr {lr:g}" if config.get("optim.rates") else str(seed))

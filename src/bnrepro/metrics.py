"""From probes' measurements to a run's tidy table."""

from typing import Any

import numpy as np
import pandas as pd

from bnrepro.config import Replica
from bnrepro.probes import Measurement
from bnrepro.record import KEYS

WHOLE = -1  # in column unit: the value is the layer's, not one unit's


class MetricsTable:
    """The sink that every number comes from: one row a value, in the order in which they were measured."""

    def __init__(self, run: str, replicas: list[Replica], earlier: pd.DataFrame | None = None) -> None:
        self.run = run
        self.seeds = np.array([replica.seed for replica in replicas], dtype=np.int64)
        self.rates = np.array([replica.lr for replica in replicas])
        self.pieces = [] if earlier is None else [earlier]
        self.measured: list[tuple[int, str, str, str, np.ndarray]] = []  # step, split, layer, metric, values

    def add(self, step: int, measurements: list[Measurement]) -> None:
        """Append what was measured at ``step``."""
        for one in measurements:
            values = one.values.detach().cpu().numpy().astype(np.float64)  # a copy: training goes on
            assert len(values) == len(self.seeds), (
                f"{one.metric} has {len(values)} values for {len(self.seeds)} replicas"
            )
            self.measured.append((step, one.split, one.layer, one.metric, values))

    def table(self) -> pd.DataFrame:
        """Return all rows so far."""
        if self.measured:
            self.pieces.append(self._rows())
            self.measured = []
        if len(self.pieces) != 1:
            empty = pd.DataFrame(columns=[*KEYS, "value"])
            self.pieces = [pd.concat(self.pieces, ignore_index=True) if self.pieces else empty]
        return self.pieces[0]

    def _rows(self) -> pd.DataFrame:
        """Make the rows of all measurements at once, for making a table takes a hundred times as long as measuring."""
        steps, splits, layers, metrics, values = zip(*self.measured, strict=True)
        units = [np.arange(v.shape[1]) if v.ndim == 2 else np.array([WHOLE]) for v in values]
        rows = [v.size for v in values]

        def of_each(replicas: np.ndarray) -> np.ndarray:
            return np.concatenate([np.repeat(replicas, len(u)) for u in units])

        def names(given: tuple[str, ...]) -> Any:
            return pd.array(np.repeat(np.array(given, dtype=object), rows), dtype="str")

        return pd.DataFrame(
            {
                "run": self.run,
                "seed": of_each(self.seeds),
                "lr": of_each(self.rates),
                "step": np.repeat(np.array(steps, dtype=np.int64), rows),
                "split": names(splits),
                "layer": names(layers),
                "unit": np.concatenate([np.tile(u, len(self.seeds)) for u in units]).astype(np.int64),
                "metric": names(metrics),
                "value": np.concatenate([v.reshape(-1) for v in values]),
            }
        )

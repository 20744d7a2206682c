"""From probes' measurements to a run's tidy table."""

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

    def add(self, step: int, measurements: list[Measurement]) -> None:
        """Append what was measured at ``step``."""
        self.pieces += [self._rows(step, measurement) for measurement in measurements]

    def _rows(self, step: int, measurement: Measurement) -> pd.DataFrame:
        values = measurement.values.detach().cpu().numpy().astype(np.float64)
        units = np.arange(values.shape[1]) if values.ndim == 2 else np.array([WHOLE])
        return pd.DataFrame(
            {
                "run": self.run,
                "seed": np.repeat(self.seeds, len(units)),
                "lr": np.repeat(self.rates, len(units)),
                "step": np.int64(step),
                "split": measurement.split,
                "layer": measurement.layer,
                "unit": np.tile(units, len(self.seeds)).astype(np.int64),
                "metric": measurement.metric,
                "value": values.reshape(-1),
            }
        )

    def table(self) -> pd.DataFrame:
        """Return all rows so far."""
        if len(self.pieces) != 1:
            empty = pd.DataFrame(columns=[*KEYS, "value"])
            self.pieces = [pd.concat(self.pieces, ignore_index=True) if self.pieces else empty]
        return self.pieces[0]

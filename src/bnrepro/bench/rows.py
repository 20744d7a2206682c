"""The rows of results/bench.csv; which device they are of is written when all are there."""

import numpy as np
import pandas as pd

from bnrepro.bench.rounds import Variant
from bnrepro.config import RunConfig

COLUMNS = [
    *("case", "variant", "device", "precision", "threads", "replicas", "unit", "median", "low", "high"),
    *("ratio_to_peer", "ratio_to_floor", "goal", "met"),
]


def speeds(
    case: str,
    variants: list[Variant],
    measured: pd.DataFrame,
    unit: str,
    *,
    peer: str | None = None,
    floor: str | None = None,
) -> pd.DataFrame:
    """Return a row for each variant: the median and range of its speed, and how it stands to ``peer`` and ``floor``."""
    rows = []
    for variant in variants:
        speed = measured[variant.name]
        row = _row(case, variant.name, unit, speed)
        row |= {"precision": variant.precision, "threads": variant.threads, "replicas": variant.replicas}
        if peer and floor:
            others = {"ratio_to_peer": measured[peer], "ratio_to_floor": measured[floor]}
            row |= {name: (speed / other).median() for name, other in others.items()}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def a_second(units: str, device: str) -> str:
    """Name the speed: on a CPU that of a core, the others idle."""
    return f"{units}/s and core" if device == "cpu" else f"{units}/s"


def goal(case: str, words: str, ratios: pd.Series, at_least: float) -> pd.DataFrame:
    """Return the row of a goal: ``ratios``, one a round, whose median should be ``at_least`` so much."""
    row = _row(case, words, "ratio", ratios) | {"goal": f">= {at_least:g}"}
    return pd.DataFrame([row | {"met": _word(ratios.median() >= at_least)}], columns=COLUMNS)


def seconds(case: str, variant: str, taken: list[float], at_most: float | None = None) -> pd.DataFrame:
    """Return the row of a time, whose median should be ``at_most`` so long."""
    row = _row(case, variant, "s", pd.Series(taken))
    if at_most is not None:
        row |= {"goal": f"<= {at_most:g}", "met": _word(np.median(taken) <= at_most)}
    return pd.DataFrame([row], columns=COLUMNS)


def measured(case: str, variant: str, unit: str, values: pd.Series, config: RunConfig | None = None) -> pd.DataFrame:
    """Return the row of something without a peer, one value a round; of training, the run is ``config``."""
    row = _row(case, variant, unit, values)
    if config:
        row |= {"precision": config.runtime.precision, "threads": 1, "replicas": len(config.replicas)}
    return pd.DataFrame([row], columns=COLUMNS)


def value(case: str, variant: str, unit: str, amount: float, config: RunConfig) -> pd.DataFrame:
    """Return the row of something that was measured once, or counted, such as memory."""
    return measured(case, variant, unit, pd.Series([amount]), config)


def _row(case: str, variant: str, unit: str, values: pd.Series) -> dict[str, object]:
    ends = {"median": values.median(), "low": values.min(), "high": values.max()}
    return {"case": case, "variant": variant, "unit": unit, **ends}


def _word(met: object) -> str:
    return "yes" if met else "no"

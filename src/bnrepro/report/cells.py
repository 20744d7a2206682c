"""How numbers and texts are written in the cells of the report's tables."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

NONE = "–"


def number(value: Any) -> str:
    """Write a number with the digits that it deserves; nothing where there is none."""
    if value is None or pd.isna(value):
        return NONE
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:#.3g}".rstrip(".")


def interval(row: Mapping[Any, Any]) -> str:
    """Write the ends of a claim's interval; of one number there is none."""
    none = pd.isna(row["low"]) or math.isinf(row["high"])
    return NONE if none else f"{number(row['low'])} to {number(row['high'])}"


def spread(row: Mapping[Any, Any]) -> str:
    """Write the range of what was measured in rounds."""
    return "once" if row["low"] == row["high"] else f"{number(row['low'])} to {number(row['high'])}"


def count(estimate: Mapping[str, Any]) -> str:
    """Write a mean count and its interval; a count is not below 0."""
    return _with_interval(estimate, "{:,.0f}", "", most=math.inf)


def percent(estimate: Mapping[str, Any]) -> str:
    """Write a mean share and its interval in %; a share lies between 0 and 100 %."""
    scaled = {key: 100 * estimate[key] for key in ("value", "low", "high")}
    return _with_interval({**estimate, **scaled}, "{:.1f}", " %", most=100)


def _with_interval(e: Mapping[str, Any], form: str, unit: str, most: float) -> str:
    value = form.format(e["value"]) + unit
    if e["seeds"] < 2:
        return f"{value} (one seed)"
    return f"{value} ({form.format(max(e['low'], 0))} to {form.format(min(e['high'], most))})"


def cell(value: Any) -> str:
    """Make a value safe for a cell of a Markdown table."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

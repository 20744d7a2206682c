"""How numbers and texts are written in the cells of the report's tables."""

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
    """Write the ends of a claim's interval."""
    return NONE if pd.isna(row["low"]) else f"{number(row['low'])} to {number(row['high'])}"


def cell(value: Any) -> str:
    """Make a value safe for a cell of a Markdown table."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

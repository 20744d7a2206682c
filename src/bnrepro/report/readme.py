"""Two tables in README.md, each between its two marks: the claims, and the goals of speed."""

from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.files import write_text
from bnrepro.report.cells import cell, interval, number, spread

EMBEDDED = {"digits", "shapes"}  # stand in for the paper's data: results/README.md alone shows them


def refresh(readme: Path, claims: pd.DataFrame, goals: list[dict[str, Any]]) -> None:
    """Write the tables anew where ``readme`` is there and has their marks."""
    text = before = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    for name, table in (("claims", _claims(claims)), ("speed", _goals(goals))):
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        first, found, rest = text.partition(begin)
        _, ended, last = rest.partition(end)
        text = f"{first}{begin}\n{table}\n{end}{last}" if found and ended else text
    if text != before:
        write_text(readme, text)


def _goals(goals: list[dict[str, Any]]) -> str:
    lines = ["| case | goal | measured (range) | | processor |", "|---|---|---|---|---|"]
    for row in goals:
        unit = " s" if row["unit"] == "s" else ""
        measured = f"{number(row['median'])}{unit} ({spread(row)})"
        cells = [cell(row["case"]), f"{cell(row['variant'])} {row['goal']}{unit}", measured, row["met"], row["device"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _claims(claims: pd.DataFrame) -> str:
    ours = claims[~claims["data"].isin(EMBEDDED)]
    run, rest = ours[ours["verdict"] != "not run"], ours[ours["verdict"] == "not run"]
    lines = ["| claim | of | paper | ours (95 % interval) | seeds | verdict | data |", "|---|---|---|---|---|---|---|"]
    for row in run.to_dict("records"):
        spread = f" ({interval(row)})" if row["seeds"] > 1 else ""
        cells = [f"`{row['id']}`", cell(row["statement"]), number(row["paper"]), number(row["ours"]) + spread]
        lines.append("| " + " | ".join([*cells, str(row["seeds"]), row["verdict"], row["data"]]) + " |")
    if len(rest):
        lines += ["", f"Not run: {', '.join(f'`{name}`' for name in rest['id'].unique())}."]
    return "\n".join(lines)

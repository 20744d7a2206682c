"""The table of claims in README.md, between its two marks: what was run, and the names of what was not."""

from pathlib import Path

import pandas as pd

from bnrepro.files import write_text
from bnrepro.report.cells import cell, interval, number

BEGIN, END = "<!-- claims -->", "<!-- /claims -->"
EMBEDDED = {"digits", "shapes"}  # stand in for the paper's data: results/README.md alone shows them


def refresh(readme: Path, claims: pd.DataFrame) -> None:
    """Write the table anew where ``readme`` is there and has the marks."""
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        write_text(readme, f"{before}{BEGIN}\n{_table(claims)}\n{END}{after}")


def _table(claims: pd.DataFrame) -> str:
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

"""What the pages say about speed, from results/bench.csv and bench.json."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro.files import write_bytes
from bnrepro.report import bench_figures
from bnrepro.report.style import png
from bnrepro.tables import BENCH, MADE_BY, read

PROFILED, SPENT = "where a step's time goes: ", "where the seconds go: "  # in the names of cases
FIGURES = {
    "bench_speeds": (
        bench_figures.speeds,
        "Speed of one core, the others idle: the median of the rounds, in which all variants take turns, and their "
        "range. Blue: ours. What runs with two threads counts half its speed. All, the peers too, keep to the "
        "framework's deterministic kernels.",
    ),
    "bench_growth": (
        bench_figures.growth,
        "How speed grows, and its range over the rounds; the MNIST network is the one with BN. Dotted: the smallest "
        "amount whose speed is within a twentieth of the highest, where it is not the first nor the last. Replicas and "
        "the images of a mini-batch, share what a step costs however small it is (between operations, in the table of "
        "where a step's time goes); where more replicas are slower, their matrix products alone show how much of that "
        "is theirs. A wider network has more to do for an image; a step does not depend on how many images there are. "
        "Processes share the cores.",
    ),
    "bench_memory": (
        bench_figures.memory,
        "The memory that training takes besides the images and the framework's own code: what a process was once seen "
        "to need at most, and what a dry run computes (parameters, gradients, the optimiser's state, what the backward "
        "pass needs).",
    ),
}


def bench(results: Path) -> dict[str, Any] | None:
    """Return what the pages show, its figures drawn; None where nothing was measured."""
    if not (results / BENCH).exists():
        return None
    table = read(results / BENCH)
    figures = []
    for name, (draw, caption) in FIGURES.items():
        figure = draw(table)
        if figure is None:
            continue
        image = png(figure)
        write_bytes(results / f"{name}.png", image)
        figures.append({"path": f"{name}.png", "image": image, "caption": caption})
    return {
        "made_by": _made_by(json.loads((results / MADE_BY).read_text(encoding="utf-8"))),
        "goals": _rows(table[table["goal"].notna()]),
        "growth": _growth(table[table["case"].str.contains(bench_figures.GROWING)]),
        "spent": [row | {"case": row["case"].replace(SPENT, "")} for row in _rows(table[_named(table, SPENT)])],
        "profile": _profile(table[_named(table, PROFILED)]),
        "others": _rows(table[table["goal"].isna() & table["ratio_to_peer"].isna()]),
        "figures": figures,
    }


def _named(table: pd.DataFrame, words: str) -> "pd.Series[bool]":
    return table["case"].str.contains(words, regex=False)  # behind "GPU: ", where that was measured


def _growth(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return for each thing that is varied its speeds, with the memory that they take, and where they saturate."""
    found = []
    for case, rows in table.groupby("case", sort=False):
        of_memory = rows["unit"].str.startswith(bench_figures.MEMORY)
        speeds, kept = rows[~of_memory], rows[rows["unit"] == f"{bench_figures.MEMORY}, measured"]
        memory = dict(zip(kept["variant"], kept["median"], strict=True))
        points = [
            f"{row.variant}: {row.median:,.0f}"
            + (f" ({memory[row.variant]:,.0f} MiB)" if row.variant in memory else "")
            for row in speeds.itertuples()
        ]
        point = bench_figures.saturates(speeds)
        words = "–" if point is None else f"{point:,g}"
        unit = str(speeds["unit"].iloc[0])
        found.append({"case": str(case), "points": "; ".join(points), "unit": unit, "saturates": words})
    return found


def _profile(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return where the time of a step of each network goes: a row for each kind of operation, a column a network."""
    shares = table[table["unit"] == "share"].assign(case=table["case"].str.removeprefix(PROFILED))
    if shares.empty:
        return None
    by_case = shares.pivot(index="variant", columns="case", values="median")[list(shares["case"].unique())]
    by_case = by_case.loc[by_case.max(axis=1).sort_values(ascending=False).index]
    cells = by_case.astype(object).where(by_case.notna(), None)
    return {"cases": list(cells), "rows": [[kind, *row] for kind, row in zip(cells.index, cells.values, strict=True)]}


def _made_by(parts: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return, by what measured them, the names of the parts."""
    found: dict[str, str] = {}
    for part, by in parts.items():
        changed = " with changes" if by["dirty"] else ""
        commit = f"at commit {by['commit'][:10]}" if by["commit"] else "at a commit that is not known"
        words = f"on {by['device']} ({by['cores']} cores), torch {by['versions']['torch']}, {commit}"
        found[words + changed] = ", ".join([*([found[words + changed]] if words + changed in found else []), part])
    return found


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows; a goal's ``met`` in words."""
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return [row | {"met": _met(row)} for row in rows]


def _met(row: dict[str, Any]) -> str:
    """Say whether a goal is met, by the median; and where rounds disagree, that they do."""
    if pd.isna(row["goal"]):
        return ""
    word = "met" if row["met"] == "yes" else "missed"
    return f"{word}, not in every round" if row["low"] < float(row["goal"].split()[1]) < row["high"] else word

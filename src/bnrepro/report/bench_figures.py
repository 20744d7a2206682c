"""How fast it is, drawn from results/bench.csv: speeds beside the peers' and the floor, and how they grow."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from bnrepro.report.style import COLOURS, GREY, canvas, label

OURS = COLOURS["mlp_bn"]
PART = "mini-batches alone"  # of a step: thirty times as fast, which would hide the others
MEMORY = "MiB"  # in the names of its units
GROWING = " over "  # in the names of cases where something is varied
NEAR_BEST = 0.95  # of the highest speed: where growth has saturated


def speeds(table: pd.DataFrame) -> Figure | None:
    """Draw each variant's speed as a bar with its range, a panel for each case; None without peers."""
    with_peers = table[table["ratio_to_peer"].notna() & ~table["variant"].str.contains(PART)]
    if with_peers.empty:
        return None
    cases = list(with_peers["case"].unique())
    bars = [int((with_peers["case"] == case).sum()) for case in cases]
    figure, axes = canvas(7.2, 0.6 * len(cases) + 0.17 * sum(bars), 1)
    axes[0].remove()
    panels = figure.subplots(len(cases), 1, squeeze=False, height_ratios=bars).ravel()
    for ax, case in zip(panels, cases, strict=True):
        _bars(ax, with_peers[with_peers["case"] == case])
        label(ax, case, with_peers.loc[with_peers["case"] == case, "unit"].iloc[0])
    return figure


def _bars(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows.iloc[::-1]
    colours = [OURS if name.startswith("ours") else GREY for name in rows["variant"]]
    ends = [rows["median"] - rows["low"], rows["high"] - rows["median"]]
    ax.barh(rows["variant"], rows["median"], xerr=ends, color=colours, height=0.7, error_kw={"linewidth": 0.8})
    for place, (speed, high) in enumerate(zip(rows["median"], rows["high"], strict=True)):
        ax.text(high, place, f"  {speed:,.0f}", va="center", fontsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=7.5)
    ax.margins(x=0.12)


def growth(table: pd.DataFrame) -> Figure | None:
    """Draw speed over what is varied, and from where on more of it gains nothing; None where nothing is."""
    return _panels(table[~table["unit"].str.startswith(MEMORY)], _speed)


def memory(table: pd.DataFrame) -> Figure | None:
    """Draw the memory that is measured, and that is computed, over what is varied; None where nothing is measured."""
    measured = table.loc[table["unit"] == f"{MEMORY}, measured", "case"]
    return _panels(table[table["case"].isin(measured) & table["unit"].str.startswith(MEMORY)], _memory)


def _panels(table: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None]) -> Figure | None:
    varied = table[table["case"].str.contains(GROWING)]
    if varied.empty:
        return None
    cases = list(varied["case"].unique())
    figure, axes = canvas(7.2, 2.6 * -(-len(cases) // 2), 1)
    axes[0].remove()
    grid = figure.subplots(-(-len(cases) // 2), 2, squeeze=False).ravel()
    for ax, case in zip(grid, cases, strict=False):
        rows = varied[varied["case"] == case]
        draw(ax, rows)
        x = sorted(set(amounts(rows)))
        ax.set_xscale("log")
        ax.set_xticks(x, [f"{value:g}" for value in x], fontsize=7.5)
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=7.5)
        network, _, what = case.partition(GROWING)
        label(ax, network, what, rows["unit"].iloc[0].partition(",")[0])
    for ax in grid[len(cases) :]:
        ax.remove()
    return figure


def _speed(ax: Axes, rows: pd.DataFrame) -> None:
    ends = [rows["median"] - rows["low"], rows["high"] - rows["median"]]
    ax.errorbar(amounts(rows), rows["median"], ends, fmt="o-", color=OURS, markersize=3.5, linewidth=1.2)
    if (point := saturates(rows)) is not None:
        ax.axvline(point, color=GREY, linewidth=0.8, linestyle=":")
    ax.set_ylim(0)


def _memory(ax: Axes, rows: pd.DataFrame) -> None:
    for how, colour, style in (("measured", OURS, "o-"), ("computed", GREY, "s--")):
        of = rows[rows["unit"] == f"{MEMORY}, {how}"]
        ax.plot(amounts(of), of["median"], style, color=colour, markersize=3.5, linewidth=1.2, label=how)
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.legend(fontsize=7.5, frameon=False)


def amounts(rows: pd.DataFrame) -> list[float]:
    """Return how much of what is varied each row has: the number in its variant's name."""
    found: Any = rows["variant"].str.replace(",", "").str.extract(r"([\d.]+)")[0]
    return [float(amount) for amount in found]


def saturates(rows: pd.DataFrame) -> float | None:
    """Return the smallest amount whose speed is within a twentieth of the highest; None where it grows on, or never."""
    speed = pd.Series(rows["median"].to_numpy(), index=amounts(rows)).sort_index()
    point = float(speed.index[speed >= NEAR_BEST * speed.max()][0])
    return point if speed.index[0] < point < speed.index[-1] else None

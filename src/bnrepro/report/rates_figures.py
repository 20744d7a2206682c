"""The figures of the learning rates and initial scales at which a network trains."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnrepro.claims.rates import INCEPTION, MLP, NEAR, SCALES, fails, largest, within
from bnrepro.report.style import COLOURS, canvas, label, mean_and_band, setting

NAMES = {"mlp": "without BN", "mlp_bn": "with BN", "inception": "Inception", "bn_baseline": "BN-Baseline"}


def higher_lr(table: pd.DataFrame) -> Figure:
    """Draw held-out accuracy of the MNIST network over learning rates, a panel for each initial scale."""
    scales = sorted(table["init_std"].unique())
    figure, axes = canvas(7.2, 2.9, len(scales), sharey=True)
    for ax, scale in zip(axes, scales, strict=True):
        _over(ax, table[table["init_std"] == scale], "lr", MLP)
        label(ax, f"W~N(0, {scale:g}²)", "learning rate")
    return _finished(figure, axes, table, "Learning rates")


def higher_lr_inception(table: pd.DataFrame) -> Figure:
    """Draw held-out accuracy of Inception over learning rates."""
    figure, (ax,) = canvas(4.8, 3.1)
    _over(ax, table, "lr", INCEPTION)
    label(ax, "", "learning rate")
    return _finished(figure, [ax], table, "Learning rates")


def initial_scale(table: pd.DataFrame) -> Figure:
    """Draw held-out accuracy of the MNIST network over initial scales."""
    figure, (ax,) = canvas(4.8, 3.1)
    _over(ax, table, "init_std", MLP)
    figure_1 = next(std for std, reading in SCALES.items() if not reading)
    ax.axvline(figure_1, color="grey", linewidth=0.8, linestyle=":", zorder=0)
    ax.text(figure_1, 0.02, " Figure 1", fontsize=7.5, color="dimgrey")
    label(ax, "", "initial standard deviation of W")
    return _finished(figure, [ax], table, f"Initial scales, learning rate {table['lr'].iloc[0]:g}")


def _over(ax: Axes, table: pd.DataFrame, x: str, pair: tuple[str, str]) -> None:
    """Draw mean and interval of both networks' last accuracy; crosses are seeds that diverged or are at chance.

    Above it stand each network's ranges, a line for a seed, and triangles at the largest settings that train.
    """
    for number, (network, colour) in enumerate(zip(pair, COLOURS.values(), strict=True)):
        rows = table[table["network"] == network]
        by_seed = rows.pivot(index=x, columns="seed", values="final").sort_index().fillna(0.0)
        mean, low, high = mean_and_band(by_seed)
        ax.fill_between(by_seed.index, low.clip(0), high.clip(max=1), color=colour, alpha=0.2, linewidth=0)
        ax.plot(by_seed.index, mean, "o-", color=colour, markersize=3.5, linewidth=1.2, label=NAMES[network])
        failed = rows[fails(rows)]
        ax.plot(failed[x], failed["final"], "x", color=colour, markersize=5, markeredgewidth=1.2)
        trains, ends = largest(table, network, x), within(table, network, x).dropna()
        for seed, heights in zip(trains.index, _heights(number, len(trains)), strict=True):
            if seed in ends.index:
                ax.plot(ends.loc[seed], [heights] * 2, "-", color=colour, linewidth=1.1, solid_capstyle="butt")
                ax.plot(trains[seed], heights, "<", color=colour, markersize=3.2, markeredgewidth=0)
    ax.set_xscale("log")
    ax.set_ylim(0, 1.3)
    ax.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])


def _heights(number: int, seeds: int) -> list[float]:
    """Return where the lines of a network's seeds stand, above the accuracies."""
    return [1.06 + 0.12 * number + 0.09 * seed / seeds for seed in range(seeds)]


def _finished(figure: Figure, axes: list[Axes], table: pd.DataFrame, title: str) -> Figure:
    axes[0].set_ylabel("last held-out accuracy", fontsize=9)
    axes[0].plot([], [], "x", color="black", markersize=5, label="diverged or at chance (a seed)")
    axes[0].plot([], [], "-", color="black", linewidth=1.1, label=f"range within {NEAR:g} of the best (a seed)")
    axes[0].plot([], [], "<", color="black", markersize=3.2, markeredgewidth=0, label="largest that trains (a seed)")
    columns = 3 if len(axes) > 1 else 2
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize=7.5, frameon=False
    )
    figure.suptitle(f"{title}: {setting(table)}\nmean and 95 % t interval", fontsize=9, x=0.01, ha="left")
    return figure

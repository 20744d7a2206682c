"""The figures of Section 4.2: from tables to pictures."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bnrepro import paper
from bnrepro.claims.ablations import CHANGES, PRINTED, READINGS, SEVERAL, SINGLE, effect
from bnrepro.claims.fig2 import INCEPTION, curves, maximum, steps_to_maximum
from bnrepro.claims.fig2_readings import INITS, with_figure_2
from bnrepro.claims.verdict import estimate
from bnrepro.report.style import COLOURS, GREY, canvas, label, setting

STYLE = {  # name, colour (Okabe & Ito), line
    "inception": ("Inception", COLOURS["mlp"], "-"),
    "bn_baseline": ("BN-Baseline", COLOURS["mlp_bn"], "-"),
    "bn_x5": ("BN-x5", "#009E73", "-"),
    "bn_x30": ("BN-x30", "#CC79A7", "-"),
    "bn_x5_sigmoid": ("BN-x5-Sigmoid", "#56B4E9", "-"),
    "inception_x5": ("Inception at x5", "#E69F00", "--"),
    "inception_sigmoid": ("Inception, sigmoid", GREY, "--"),
}
BANDS = ("inception", "bn_baseline")  # the pair that differs in BN alone


def figure_2(accuracy: pd.DataFrame) -> Figure:
    """Draw Fig. 2: test accuracy over training, where each network reaches Inception's maximum, the paper's beside."""
    figure, (ours, printed) = canvas(7.2, 3.9, 2, width_ratios=[2.6, 1])
    level = maximum(accuracy, INCEPTION).mean()
    for network, (name, colour, line) in STYLE.items():
        by_seed = curves(accuracy, network)
        if by_seed.empty:
            continue
        ours.plot(by_seed.index, by_seed, line, color=colour, linewidth=0.6, alpha=0.5)
        ours.plot(by_seed.index, by_seed.mean(axis=1), line, color=colour, linewidth=1.5, label=name)
        reached = steps_to_maximum(accuracy, network)
        if len(reached) and reached.notna().all():
            ours.plot(reached.mean(), level, "D", color=colour, markeredgecolor="white", markersize=6, zorder=5)
    ours.axhline(level, color="black", linewidth=0.7, linestyle=(0, (4, 2)))
    ours.set_ylim(bottom=0)
    label(ours, "ours; diamonds: steps to Inception's maximum", "training steps", "test accuracy")
    for printed_network, rows in paper.figure_2().groupby("network", sort=False):
        _, colour, line = STYLE[str(printed_network)]
        printed.plot(rows["step"] / 1e6, rows["validation_accuracy"], line, color=colour, linewidth=1.1)
    printed.axhline(paper.INCEPTION[INCEPTION][1], color="black", linewidth=0.7, linestyle=(0, (4, 2)))
    printed.set_ylim(0.4, 0.8)
    label(printed, "the paper's, ImageNet", "million steps")
    _legend(figure, ours, columns=4)
    figure.suptitle(f"Figure 2: {setting(accuracy)}; thick the mean, thin each seed", fontsize=9, x=0.01, ha="left")
    return figure


def equal_decay(table: pd.DataFrame, accuracy: pd.DataFrame) -> Figure:
    """Draw Fig. 2 with BN-x5, BN-x30 and BN-x5-Sigmoid from the reading in which all rates decay alike."""
    return figure_2(with_figure_2(table, accuracy))


def base_rate(table: pd.DataFrame) -> Figure:
    """Draw held-out accuracy of Inception without BN over learning rates: the mean, and a mark for each seed."""
    figure, (ax,) = canvas(4.8, 2.9)
    for column, name, marker in (("held_out_last", "at the end", "o"), ("held_out_best", "best", "^")):
        mean = table.groupby("lr")[column].mean()
        colour = COLOURS["mlp"] if column == "held_out_last" else GREY
        ax.plot(mean.index, mean, "-", color=colour, linewidth=1.3, label=f"{name}: mean")
        ax.plot(table["lr"], table[column], marker, color=colour, markersize=3.5, alpha=0.7, label=f"{name}: each seed")
    ax.set_xscale("log")
    ax.set_xticks(sorted(table["lr"].unique()))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.minorticks_off()
    ax.legend(fontsize=7.5, frameon=False)
    label(ax, "", "learning rate of Inception without BN", "held-out accuracy")
    figure.suptitle(f"The base rate: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def initial_weights(he: pd.DataFrame, others: pd.DataFrame) -> Figure:
    """Draw test accuracy with and without BN for each scheme of initial weights, he of the same scale, side by side."""
    schemes = {"he": he[he["scale"].isin(others["scale"])]}
    schemes |= {init: others[others["init"] == init] for init in reversed(INITS)}
    schemes = {init: accuracy for init, accuracy in schemes.items() if len(accuracy)}
    figure, axes = canvas(7.2, 2.9, len(schemes), sharey=True)
    for ax, (init, accuracy) in zip(axes, schemes.items(), strict=True):
        for network in BANDS:
            name, colour, line = STYLE[network]
            by_seed = curves(accuracy, network)
            mean, low, high = _mean_and_range(by_seed)
            ax.fill_between(by_seed.index, low, high, color=colour, alpha=0.2, linewidth=0)
            ax.plot(by_seed.index, mean, line, color=colour, linewidth=1.3, label=name)
        label(ax, init, "training steps")
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("test accuracy", fontsize=9)
    _legend(figure, axes[0], columns=2)
    figure.suptitle(f"Initial weights: {setting(others)}; mean and range of the seeds", fontsize=9, x=0.01, ha="left")
    return figure


def blocks(table: pd.DataFrame) -> Figure:
    """Draw percentiles of the inputs of some blocks' nonlinearities over training, with and without BN."""
    order = list(table["layer"].unique())
    chosen = [order[i] for i in np.unique(np.linspace(0, len(order) - 1, 4).round().astype(int))]
    figure, axes = canvas(7.2, 2.9, len(chosen))
    for ax, layer in zip(axes, chosen, strict=True):
        for network in BANDS:
            _band(ax, table[(table["layer"] == layer) & (table["network"] == network)], network)
        label(ax, f"block {layer}" if layer != "stem" else layer, "steps")
    axes[0].set_ylabel("input of the ReLUs", fontsize=9)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7.5, frameon=False
    )
    figure.suptitle(f"Distributions in Inception: {_of_first_seed(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def _mean_and_range(by_seed: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return the mean, lowest and highest over seeds: of three, a t interval would cover the other curves."""
    return by_seed.mean(axis=1), by_seed.min(axis=1), by_seed.max(axis=1)


def _legend(figure: Figure, ax: Axes, columns: int) -> None:
    handles = ax.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, fontsize=7.5, frameon=False)


def _band(ax: Axes, rows: pd.DataFrame, network: str) -> None:
    name, colour, _ = STYLE[network]
    wide = rows.pivot(index="step", columns="percentile", values="value")
    if not wide.empty:
        ax.fill_between(wide.index, wide[15], wide[85], color=colour, alpha=0.2, linewidth=0)
        ax.plot(wide.index, wide[50], color=colour, linewidth=1.3, label=f"{name}: median, 15 to 85 %")


def _of_first_seed(table: pd.DataFrame) -> str:
    data, scale = table["data"].iloc[0], table["scale"].iloc[0]
    return f"{data}, scale {scale}, seed {table['seed'].iloc[0]}"


def drift(table: pd.DataFrame) -> Figure:
    """Draw the stability measure of Fig. 1b,c over the depth of the network."""
    figure, axes = canvas(7.2, 3.1, 2)
    order = list(table["layer"].unique())
    for ax, measure in zip(axes, ("median_drift", "spread_drift"), strict=True):
        for network, (name, colour, line) in STYLE.items():
            rows = table[table["network"] == network]
            by_seed = rows.pivot(index="layer", columns="seed", values=measure)
            if by_seed.empty or by_seed.isna().to_numpy().any():
                continue
            mean, low, high = _mean_and_range(by_seed.loc[order])
            ax.fill_between(range(len(order)), low, high, color=colour, alpha=0.15, linewidth=0)
            ax.plot(range(len(order)), mean, line, color=colour, linewidth=1.2, label=name)
        ax.set_xticks(range(len(order)), order, fontsize=7, rotation=45)
        ax.set_yscale("log")
        label(ax, f"drift of the {measure.removesuffix('_drift')}", "block", "range / mean spread")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7.5, frameon=False
    )
    figure.suptitle(
        f"Stability over depth: {setting(table)}; mean and range of the seeds", fontsize=9, x=0.01, ha="left"
    )
    return figure


def ablations(table: pd.DataFrame) -> Figure:
    """Draw what each of the seven changes does to the maximum accuracy: a forest plot, mean and interval."""
    figure, axes = canvas(7.2, 3.0, 2, sharey=True)
    places = np.arange(len(CHANGES))[::-1]
    for ax, (reading, words) in zip(axes, READINGS.items(), strict=True):
        estimates = [estimate(effect(table, change, reading)) for change in CHANGES]
        for place, e in zip(places, estimates, strict=True):
            ax.plot([e.low, e.high], [place, place], color=COLOURS["mlp_bn"], linewidth=1.6)
            ax.plot(e.value, place, "s", color=COLOURS["mlp_bn"], markersize=5)
        ax.axvline(0, color="black", linewidth=0.7, linestyle=(0, (4, 2)))
        ax.xaxis.set_major_locator(MaxNLocator(5))
        label(ax, words, "effect on the maximum accuracy")
    axes[0].set_yticks(places, list(CHANGES))
    figure.suptitle(f"The changes of Sec. 4.2.1, one by one: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def ensemble(table: pd.DataFrame) -> Figure:
    """Draw the top-1 and the top-5 error of each member and of the ensemble, from one crop and from several."""
    figure, axes = canvas(7.2, 2.9, 2)
    names = list(table["network"].unique())
    for ax, top in zip(axes, PRINTED, strict=True):
        for crops, colour, marker, aside in (
            (SINGLE, COLOURS["mlp"], "o", -0.1),
            (SEVERAL, COLOURS["mlp_bn"], "s", 0.1),
        ):
            for place, name in enumerate(names, start=1):
                e = estimate(table[(table["network"] == name) & (table["crops"] == crops)][top])
                text = f"{crops} crop{'s' if crops > 1 else ''}" if place == 1 else None
                ax.plot([place + aside] * 2, [e.low, e.high], color=colour, linewidth=1.6)
                ax.plot(place + aside, e.value, marker, color=colour, markersize=4.5, label=text)
        ax.set_xticks(range(1, len(names) + 1), [name.replace("ensemble_", "") for name in names], fontsize=8)
        label(ax, "", "network", f"top-{top.removeprefix('top')} error")
    axes[0].legend(fontsize=7.5, frameon=False)
    figure.suptitle(f"Figure 4: {setting(table)}; mean and 95 % t interval", fontsize=9, x=0.01, ha="left")
    return figure

"""The figures: from tables to pictures."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from bnrepro import paper
from bnrepro.claims.fig1 import chosen_rate, printed_drift
from bnrepro.curves import last_layer
from bnrepro.report.style import COLOURS, DARK, GREY, NAMES, PAPER, canvas, label, mean_and_band, setting
from bnrepro.tables import calibration, first_evaluation
from bnrepro.tables.fig1 import SETTINGS

THOUSANDS = FuncFormatter(lambda x, _: f"{x / 1000:g}K")


def figure_1a(accuracy: pd.DataFrame) -> Figure:
    """Fig. 1a: test accuracy over training, mean and band over seeds, over the paper's printed curves."""
    figure, (whole, zoom) = canvas(7.2, 3.3, 2)
    on_mnist = (accuracy["data"] == "mnist").all()
    how = {"mlp": " (fitted)", "mlp_bn": " (predicted)"} if on_mnist else {"mlp": "", "mlp_bn": ""}
    for ax in (whole, zoom):
        for network, rows in accuracy.groupby("network"):
            by_seed = rows.pivot(index="step", columns="seed", values="accuracy").sort_index()
            mean, low, high = mean_and_band(by_seed)
            colour = COLOURS[str(network)]
            ax.fill_between(by_seed.index, low, high, color=colour, alpha=0.25, linewidth=0)
            ax.plot(by_seed.index, mean, color=colour, linewidth=1.4, label=f"{NAMES[str(network)]}{how[str(network)]}")
            if on_mnist:
                first = first_evaluation(str(network), by_seed.mean(axis=1))
                at = [*([first] if first else []), *paper.EVALUATIONS[str(network)]]
                there = np.interp(at, by_seed.index, mean)
                read = "read at the print's evaluations" if network == "mlp" else None
                ax.plot(
                    at, there, ":o", color=colour, linewidth=0.8, markersize=3.5, markerfacecolor="white", label=read
                )
        for network, printed in paper.figure_1a().groupby("network"):
            name = f"the paper's {NAMES[str(network)]}" + ("" if on_mnist else " (on MNIST)")
            style = {**PAPER, "color": DARK[str(network)]}
            ax.plot(printed["step"], printed["test_accuracy"], **style, label=name)
        ax.xaxis.set_major_formatter(THOUSANDS)
        ax.set_xlim(left=0)
    whole.set_ylim(0, 1.02)
    zoom.set_ylim(0.9, 1)
    label(whole, "the whole range", "training steps", "test accuracy")
    label(zoom, "above 0.9", "training steps", "test accuracy")
    zoom.legend(fontsize=7.5, frameon=False, loc="lower right")
    figure.suptitle(
        f"Figure 1a: {setting(accuracy)}; mean and 95 % t interval of the mean", fontsize=9, x=0.01, ha="left"
    )
    return figure


def figure_1bc(percentiles: pd.DataFrame) -> Figure:
    """Fig. 1b,c: percentiles of the typical sigmoid's input, first seed as the paper draws them, other seeds grey."""
    figure, axes = canvas(7.2, 3.3, 2, sharey=True)
    first = percentiles[percentiles["seed"] == percentiles["seed"].min()]
    printed = paper.figure_1bc()
    for ax, network, letter in zip(axes, NAMES, "bc", strict=True):
        others = percentiles[(percentiles["network"] == network) & ~percentiles["seed"].isin(first["seed"])]
        for _, rows in others.groupby(["seed", "percentile"]):
            ax.plot(rows["fraction"], rows["value"], color=GREY, linewidth=0.4, alpha=0.4)
        ours, theirs = first[first["network"] == network], printed[printed["network"] == network]
        for percentile, rows in ours.groupby("percentile"):
            width = 1.8 if percentile == 50 else 1.1
            ax.plot(rows["fraction"], rows["value"], color=COLOURS[network], linewidth=width)
            if len(rows):
                text = f"{percentile}th"
                ax.annotate(
                    text, (1, rows["value"].iloc[-1]), (3, 0), textcoords="offset points", fontsize=7, va="center"
                )
        for _, rows in theirs.groupby("percentile"):
            ax.plot(rows["fraction_of_training"], rows["input_value"], **PAPER)
        unit = f", unit {ours['unit'].iloc[0]}" if len(ours) else ""
        label(ax, f"({letter}) {NAMES[network]}{unit}", "share of training")
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xlim(0, 1)
    axes[0].set_ylabel("input of the sigmoid", fontsize=9)
    data = setting(first.drop(columns="seed"))
    text = f"Figure 1b,c: {data}, seed {first['seed'].iloc[0]}; solid: ours, dashed: the paper's (MNIST)"
    figure.suptitle(text, fontsize=9, x=0.01, ha="left")
    return figure


def drift(drifts: pd.DataFrame) -> Figure:
    """Show the drift of every sigmoid of the last hidden layer, both measures, beside the paper's one sigmoid."""
    figure, axes = canvas(7.2, 2.4, 2)
    last = last_layer(drifts)
    for ax, measure in zip(axes, ("median", "spread"), strict=True):
        column = f"{measure}_drift"
        bins = np.linspace(0, float(last[column].quantile(0.995)) * 1.02 + 1e-9, 60).tolist()
        for network, rows in last.groupby("network"):
            colour = COLOURS[str(network)]
            ax.hist(rows[column], bins=bins, density=True, color=colour, alpha=0.55, label=NAMES[str(network)])
            ax.axvline(float(printed_drift(str(network)).of(column)[0]), color=colour, linestyle=(0, (4, 2)))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        label(ax, "", f"drift of the {measure}, in mean spreads", "density of sigmoids" if measure == "median" else "")
    axes[1].legend(fontsize=7.5, frameon=False)
    text = f"Last hidden layer, every sigmoid: {setting(last)}; dashed: the paper's sigmoid (MNIST)"
    figure.suptitle(text, fontsize=9, x=0.01, ha="left")
    return figure


def calibration_grid(curves: pd.DataFrame) -> Figure:
    """Show the whole grid: distance of the network without BN from its printed curve, one map an encoding."""
    grid = calibration(curves)
    encodings = sorted(grid["encoding"].unique())
    figure, axes = canvas(7.2, 3.3, len(encodings), sharey=True)
    best = grid.iloc[0]
    low, high = float(np.log10(grid["rms"].min())), float(np.log10(grid["rms"].max()))
    for ax, encoding in zip(axes, encodings, strict=True):
        table = grid[grid["encoding"] == encoding].pivot(index="init_std", columns="lr", values="rms").sort_index()
        ax.imshow(np.log10(table), cmap="cividis", vmin=low, vmax=high, aspect="auto", origin="lower")
        for (y, x), value in np.ndenumerate(table.to_numpy()):
            dark = np.log10(value) < (low + high) / 2
            ax.text(x, y, f"{value:.3f}", ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
        if best["encoding"] == encoding:
            x, y = table.columns.get_loc(best["lr"]), table.index.get_loc(best["init_std"])
            ax.plot(x, y, "s", markersize=27, markerfacecolor="none", markeredgecolor=COLOURS["mlp"], markeredgewidth=2)
        ax.set_xticks(range(table.shape[1]), [f"{lr:g}" for lr in table.columns])
        ax.set_yticks(range(table.shape[0]), [f"{std:g}" for std in table.index])
        ax.spines[:].set_visible(False)
        label(ax, f"pixels {encoding}", "learning rate")
    axes[0].set_ylabel("initial standard deviation of W", fontsize=9)
    text = f"Calibration without BN: {setting(curves)}; RMS distance from the printed curve"
    figure.suptitle(text, fontsize=9, x=0.01, ha="left")
    return figure


def calibrated(curves: pd.DataFrame) -> str:
    """Say which settings are nearest to the printed curve, and how near, by each measure."""
    grid = calibration(curves)

    def nearest(measure: str, count: int) -> str:
        rows = grid.sort_values(measure, kind="stable").head(count).to_dict("records")
        texts = [f"{r['encoding']} {r['init_std']:g}, {r['lr']:g}: {r[measure]:.4f}" for r in rows]
        return "; ".join(texts)

    return (
        f"The nearest (encoding, initial standard deviation, learning rate: distance) are {nearest('rms', 3)}; of the "
        f"first of these the print's first evaluation is taken at step {grid['first_evaluation'].iloc[0]:,}. With that "
        f"at the left end of the printed line: {nearest('from_left_end', 3)}. From the first bend on alone: "
        f"{nearest('from_first_bend', 5)}. At every point: {nearest('point_by_point', 2)}."
    )


def calibration_curves(curves: pd.DataFrame) -> Figure:
    """Show the mean curve of every setting in grey, the nearest one in colour, over the printed curve."""
    figure, (whole, zoom) = canvas(7.2, 3.2, 2)
    best = tuple(calibration(curves)[SETTINGS].iloc[0])
    printed = paper.figure_1a()
    printed = printed[printed["network"] == "mlp"]
    for ax in (whole, zoom):
        for key, rows in curves.groupby(SETTINGS):
            if key != best:
                ax.plot(rows["step"], rows["accuracy"], color=GREY, linewidth=0.5, alpha=0.5)
        chosen = curves[(curves[SETTINGS] == pd.Series(dict(zip(SETTINGS, best, strict=True)))).all(axis=1)]
        name = f"nearest: {best[0]}, W~N(0, {best[1]:g}²), rate {best[2]:g}"
        ax.plot(chosen["step"], chosen["accuracy"], color=COLOURS["mlp"], linewidth=1.6, label=name)
        ax.plot([], [], color=GREY, linewidth=0.5, label="the other settings")
        ax.plot(printed["step"], printed["test_accuracy"], **PAPER, label="the paper's curve")
        ax.xaxis.set_major_formatter(THOUSANDS)
        ax.set_xlim(left=0)
    zoom.set_ylim(0.9, 0.985)
    label(whole, "the whole range", "training steps", "test accuracy")
    label(zoom, "above 0.9", "training steps")
    figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    text = f"Calibration without BN: {setting(curves)}, mean over the seeds"
    figure.suptitle(text, fontsize=9, x=0.01, ha="left")
    return figure


def tuned(table: pd.DataFrame) -> Figure:
    """Show final accuracy over the learning rate, held-out and test, and the rate that held-out data choose."""
    figure, axes = canvas(7.2, 3.0, 2)
    for network, rows in table.groupby("network"):
        colour = COLOURS[str(network)]
        for split, marker, style in (("held_out", "o", ":"), ("test", "s", "-")):
            by_seed = rows.pivot(index="lr", columns="seed", values=f"{split}_accuracy").sort_index()
            mean, low, high = mean_and_band(by_seed)
            name = f"{NAMES[str(network)]}, {'held-out' if split == 'held_out' else 'test'}"
            for ax in axes:
                within = np.clip(low, 0, 1), np.clip(high, 0, 1)  # an accuracy lies there
                ax.fill_between(by_seed.index, *within, color=colour, alpha=0.2, linewidth=0)
                ax.plot(
                    by_seed.index, mean, style, marker=marker, markersize=3.5, color=colour, linewidth=1.2, label=name
                )
                if split == "test":
                    points = by_seed.stack()
                    ax.plot(points.index.get_level_values("lr"), points, ".", color=colour, markersize=2, alpha=0.5)
        for ax in axes:
            ax.axvline(chosen_rate(table, str(network)), color=colour, linewidth=0.8, alpha=0.6)
    for ax, limits, title in zip(axes, ((0, 1.02), (0.95, 0.985)), ("the whole range", "from 0.95"), strict=True):
        ax.set_xscale("log")
        rates = sorted(table["lr"].unique())
        ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
        ax.minorticks_off()
        ax.set_ylim(*limits)
        label(ax, title, "learning rate", "final accuracy" if ax is axes[0] else "")
    axes[0].legend(fontsize=7.5, frameon=False, loc="lower left")
    text = f"Each network at its own rate: {setting(table)}; vertical lines: the rates that held-out data choose"
    figure.suptitle(text, fontsize=9, x=0.01, ha="left")
    return figure

"""The figures of Sections 2 and 3: from tables to pictures."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnrepro.claims.exact import FITTED_WIDTHS, exponents
from bnrepro.claims.theory import bias_norm
from bnrepro.report.style import COLOURS, GREY, band, canvas, label, setting

ARMS = {
    "batch": ("BN", COLOURS["mlp_bn"]),
    "centre_detached": ("mean outside the gradient", "#E69F00"),
    "centre_scale_detached": ("mean and variance outside", "#CC79A7"),
    "none": ("no normalisation", GREY),
}


def naive_drift(table: pd.DataFrame) -> Figure:
    """Show Section 2's example, and bias norm and loss of the network with statistics outside the gradient."""
    figure, (example, bias, loss) = canvas(7.2, 3.0, 3)
    first = table[(table["arm"] == "example") & (table["seed"] == table["seed"].min())]
    for quantity, colour, name in (("bias", COLOURS["mlp"], "b"), ("loss", GREY, "loss")):
        rows = first[first["quantity"] == quantity]
        example.plot(rows["step"], rows["value"], color=colour, linewidth=1.4, label=name)
    label(example, "Section 2's example", "steps", "b, and the loss")
    example.legend(fontsize=7, frameon=False)
    network = table[table["arm"] != "example"]
    slowest = network["lr"].min()
    factors = (network["lr"] / slowest).round().astype(int)
    for factor, style in zip(sorted(factors.unique()), ("-", ":", "--", "-."), strict=False):
        for arm, (name, colour) in ARMS.items():
            rows = network[(network["arm"] == arm) & (factors == factor) & (network["quantity"] == "loss")]
            text = f"{name}, rate {factor * slowest:g}"
            band(bias, bias_norm(table, arm, factor).iloc[1:], colour, style, text)
            band(loss, rows.pivot(index="step", columns="seed", values="value"), colour, style)
    for ax, title, y in ((bias, "network of Fig. 1", "norm of the biases"), (loss, "its training", "training loss")):
        ax.set_yscale("log")
        label(ax, title, "steps", y)
    figure.legend(*bias.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    figure.suptitle(f"Statistics outside the gradient: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def whitening_cost(table: pd.DataFrame) -> Figure:
    """Show the time of a training step of BN and of whitening, and of inference with BN apart and folded."""
    figure, (training, inference) = canvas(7.2, 2.9, 2)
    pairs = {"whitening": ("full whitening", COLOURS["mlp"]), "batch": ("BN", COLOURS["mlp_bn"])}
    for quantity, (name, colour) in pairs.items():
        k = exponents(table, quantity).mean()
        _times(training, table, quantity, colour, f"{name}, ∝ width$^{{{k:.2f}}}$ from {FITTED_WIDTHS}")
        times = table[(table["quantity"] == quantity) & (table["width"] >= FITTED_WIDTHS)]
        median = times.groupby("width")["value"].median()
        widths = median.index.to_numpy(dtype=float)
        level = np.exp(np.log(median).mean() - k * np.log(widths).mean())
        training.plot(widths, level * widths**k, ":", color="black", linewidth=1.0)
    for quantity, name, colour in (("unfolded", "linear layer, then BN", GREY), ("folded", "BN folded in", "#009E73")):
        _times(inference, table, quantity, colour, name)
    label(training, f"a layer's training step, {table['batch'].iloc[0]} examples", "width", "seconds")
    label(inference, "inference", "width")
    for ax in (training, inference):
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.legend(fontsize=7.5, frameon=False)
    figure.suptitle("Time of normalising: median and range over rounds", fontsize=9, x=0.01, ha="left")
    return figure


def _times(ax: Axes, table: pd.DataFrame, quantity: str, colour: str, name: str) -> None:
    times = table[table["quantity"] == quantity].pivot(index="width", columns="round", values="value")
    ax.fill_between(times.index, times.min(axis=1), times.max(axis=1), color=colour, alpha=0.2, linewidth=0)
    ax.plot(times.index, times.median(axis=1), "o-", markersize=3, color=colour, linewidth=1.3, label=name)


def scale_invariance(table: pd.DataFrame) -> Figure:
    """Show by how much BN((aW)u) differs from BN(Wu), over a, for three values of ε."""
    figure, (ax,) = canvas(4.8, 2.8)
    rows = table[table["quantity"] == "scale-invariance:curve"]
    for (eps, part), colour in zip(rows.groupby("eps"), ("black", COLOURS["mlp_bn"], COLOURS["mlp"]), strict=False):
        by_trial = part.pivot(index="a", columns="trial", values="value").clip(lower=1e-17)
        name = f"ε = {eps:g}"
        ax.fill_between(by_trial.index, by_trial.min(axis=1), by_trial.max(axis=1), color=colour, alpha=0.2)
        ax.plot(by_trial.index, by_trial.median(axis=1), color=colour, linewidth=1.3, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.legend(fontsize=7.5, frameon=False)
    label(ax, "BN((aW)u) against BN(Wu)", "a", "largest relative change")
    return figure


def population(table: pd.DataFrame) -> Figure:
    """Show held-out accuracy with exact and moving statistics, over training and over batch sizes."""
    figure, (training, sizes) = canvas(7.2, 3.0, 2)
    chosen = [size for size in (4, 60, 256) if size in set(table["batch_size"])]
    for size, colour in zip(chosen, (COLOURS["mlp"], COLOURS["mlp_bn"], "#009E73"), strict=False):
        for name, style in (("exact", "-"), ("moving", ":")):
            rows = table[(table["batch_size"] == size) & (table["population"] == name)]
            by_seed = rows.pivot(index="step", columns="seed", values="accuracy")
            band(training, by_seed, colour, style, f"{name}, batch {size}")
    training.set_xscale("log")
    training.legend(fontsize=7, frameon=False)
    label(training, "over training", "steps", "held-out accuracy")
    last = table[table["step"] == table["step"].max()]
    pair = last.pivot(index=["batch_size", "seed"], columns="population", values="accuracy")
    gap = (pair["moving"] - pair["exact"]).unstack("seed")
    sizes.axhline(0, color="black", linewidth=0.7)
    band(sizes, gap, COLOURS["mlp_bn"], "o-")
    sizes.set_xscale("log", base=2)
    label(sizes, f"at step {table['step'].max()}", "batch size", "moving minus exact")
    figure.suptitle(f"Population statistics: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure

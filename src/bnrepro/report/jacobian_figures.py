"""The figures of Section 3.3's conjecture: singular values of the layer Jacobians, and the gradient's growth."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnrepro.claims.jacobian import gradient_factor
from bnrepro.report.style import COLOURS, NAMES, band, canvas, label, setting

LATER_THEORY = np.pi / (np.pi - 1)  # Yang et al. 2019, arXiv 1902.08129
SERIES = {  # network and reading
    ("mlp", "raw"): ("without BN, its own Jacobian", "#E69F00"),
    ("mlp", "normalised"): ("without BN, normalised", COLOURS["mlp"]),
    ("mlp_bn", "normalised"): ("with BN, normalised", COLOURS["mlp_bn"]),
}
TITLES = {"sigmoid": "sigmoid", "relu": "ReLU"}


def jacobian(table: pd.DataFrame) -> Figure:
    """Show the singular values of the layer Jacobians, and the gradient's growth through the deepest network."""
    figure, (*spectra, growth) = canvas(7.6, 4.0, 3)
    for ax, (nonlinearity, title) in zip(spectra, TITLES.items(), strict=True):
        _spectra(ax, table[table["nonlinearity"] == nonlinearity])
        label(ax, title, "depth; steps", "singular value" if ax is spectra[0] else "")
    _growth(growth, table)
    boxes = [Line2D([], [], color=colour, linewidth=3.2, label=name) for name, colour in SERIES.values()]
    lines, names = growth.get_legend_handles_labels()
    handles = [*boxes, *lines]
    figure.legend(
        handles,
        [*(name for name, _ in SERIES.values()), *names],
        fontsize=7,
        frameon=False,
        ncols=3,
        loc="outside lower center",
    )
    figure.suptitle(f"Layer Jacobians: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def _spectra(ax: Axes, table: pd.DataFrame) -> None:
    """Draw a box (quartiles) with whiskers (5 to 95 %) for each depth, step (first and last), network and reading."""
    places, names = [], []
    for place, (depth, of_depth) in enumerate(table.groupby("depth")):
        last = of_depth["step"].max()
        for when, step in enumerate((0, last)):
            at = of_depth[(of_depth["step"] == step) & (of_depth["layer"] == 0)]
            for which, ((network, reading), (_, colour)) in enumerate(SERIES.items()):
                rows = at[(at["network"] == network) & (at["reading"] == reading)]
                _box(ax, 3 * place + 1.3 * when + 0.38 * which, rows, colour)
        places.append(3 * place + 1.0)
        names.append(f"{depth}\n0 | {last}")
    ax.axhline(1, color="black", linewidth=0.7, linestyle=(0, (4, 2)))
    ax.set_yscale("log")
    ax.set_ylim(0.01, 5)  # half of a ReLU's singular values are 0
    ax.set_xticks(places, names)


def _box(ax: Axes, x: float, rows: pd.DataFrame, colour: str) -> None:
    """Draw the mean over seeds of each quantile; a dagger where the Jacobian of a seed does not exist."""
    if rows["value"].isna().any():
        ax.annotate("†", (x, 0.012), color=colour, fontsize=8, ha="center")
        return
    q = rows.groupby("quantity")["value"].mean()
    ax.plot([x, x], [q["q05"], q["q95"]], color=colour, linewidth=0.9)
    ax.plot([x, x], [q["q25"], q["q75"]], color=colour, linewidth=3.2, solid_capstyle="butt")
    ax.plot(x, q["q50"], "_", color="white", markersize=3.2)


def _growth(ax: Axes, table: pd.DataFrame) -> None:
    """Draw the squared norm of the gradient over the layers, and the factor per layer."""
    deepest = table["depth"].max()
    rows = table[(table["quantity"] == "gradient") & (table["depth"] == deepest) & (table["step"] == 0)]
    for (network, nonlinearity), part in rows.groupby(["network", "nonlinearity"]):
        by_seed = part.pivot(index="layer", columns="seed", values="value")
        factor = gradient_factor(table, str(network), str(nonlinearity)).mean()
        name = f"gradient, {TITLES[str(nonlinearity)]}, {NAMES[str(network)]}: ×{factor:.3g}"
        style = "-" if nonlinearity == "relu" else ":"
        mean = (by_seed / by_seed.loc[deepest]).mean(axis=1).replace(0.0, np.nan)  # beyond float32
        ax.plot(mean.index, mean, style, color=COLOURS[str(network)], linewidth=1.3, label=name)
    layers = np.arange(1, deepest + 1)
    theory = LATER_THEORY ** (deepest - layers)
    ax.plot(layers, theory, color="black", linewidth=0.8, linestyle=(0, (4, 2)), label=f"×{LATER_THEORY:.3f}")
    ax.set_yscale("log")
    ax.set_ylim(bottom=1e-24)
    label(ax, f"at start, depth {deepest}", "layer", "|∂ℓ/∂y|², of the last layer's")


def along_training(table: pd.DataFrame) -> Figure:
    """Show the share of singular values near 1 at the stages of training, for each depth."""
    figure, axes = canvas(7.2, 3.4, 2, sharey=True)
    for ax, (nonlinearity, title) in zip(axes, TITLES.items(), strict=True):
        rows = table[(table["nonlinearity"] == nonlinearity) & (table["quantity"] == "near_1")]
        for (depth, part), style in zip(rows.groupby("depth"), ("o-", "s--", "^:", "d-."), strict=False):
            share = part["step"] / part["step"].max()
            place = (3 + np.log10(share.where(share > 0))).fillna(0.0)  # start, 1 %, 10 %, end: 0, 1, 2, 3
            for (network, reading), (name, colour) in SERIES.items():
                one = part.assign(place=place)[(part["network"] == network) & (part["reading"] == reading)]
                by_seed = one.pivot(index="place", columns="seed", values="value").dropna()
                band(ax, by_seed, colour, style, f"{name}, depth {depth}")
        ax.set_xticks(range(4), ["0", "1 %", "10 %", "100 %"])
        label(ax, title, "share of training", "share within [1/2, 2]" if ax is axes[0] else "")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, fontsize=7, frameon=False, ncols=3, loc="outside lower center")
    figure.suptitle(f"Singular values near 1: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure

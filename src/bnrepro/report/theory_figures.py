"""The figures of Sections 2 and 3: from tables to pictures."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnrepro.claims.exact import FITTED_WIDTHS, exponents
from bnrepro.claims.theory import bias_norm, gradient_factor
from bnrepro.report.style import COLOURS, GREY, NAMES, canvas, label, mean_and_band, setting

ARMS = {
    "batch": ("BN", COLOURS["mlp_bn"]),
    "centre_detached": ("mean outside the gradient", "#E69F00"),
    "centre_scale_detached": ("mean and variance outside", "#CC79A7"),
}
LATER_THEORY = np.pi / (np.pi - 1)  # Yang et al. 2019, arXiv 1902.08129


def _band(ax: Axes, by_seed: pd.DataFrame, colour: str, style: str = "-", name: str | None = None) -> None:
    mean, low, high = mean_and_band(by_seed)
    ax.fill_between(by_seed.index, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(by_seed.index, mean, style, markersize=3, color=colour, linewidth=1.3, label=name)


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
            _band(bias, bias_norm(table, arm, factor).iloc[1:], colour, style, text)
            _band(loss, rows.pivot(index="step", columns="seed", values="value"), colour, style)
    for ax, title, y in ((bias, "network of Fig. 1", "norm of the biases"), (loss, "its training", "training loss")):
        ax.set_yscale("log")
        label(ax, title, "steps", y)
    figure.legend(*bias.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    figure.suptitle(f"Statistics outside the gradient: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def jacobian(table: pd.DataFrame) -> Figure:
    """Show the singular values of the layer Jacobians, and the gradient's growth through 50 layers."""
    figure, (sigmoid, relu, growth) = canvas(7.2, 3.7, 3)
    for ax, nonlinearity in ((sigmoid, "sigmoid"), (relu, "relu")):
        _spectra(ax, table[table["nonlinearity"] == nonlinearity])
        name = "sigmoid" if nonlinearity == "sigmoid" else "ReLU"
        label(ax, name, "depth, at start | end", "singular value" if ax is sigmoid else "")
    deepest = table["depth"].max()
    rows = table[(table["quantity"] == "gradient") & (table["depth"] == deepest) & (table["step"] == 0)]
    for (network, nonlinearity), part in rows.groupby(["network", "nonlinearity"]):
        by_seed = part.pivot(index="layer", columns="seed", values="value")
        factor = gradient_factor(table, str(network), str(nonlinearity)).mean()
        name = f"{'ReLU' if nonlinearity == 'relu' else 'sigmoid'}, {NAMES[str(network)]}: ×{factor:.3g}"
        style = "-" if nonlinearity == "relu" else ":"
        mean = (by_seed / by_seed.loc[deepest]).mean(axis=1).replace(0.0, np.nan)  # beyond float32
        growth.plot(mean.index, mean, style, color=COLOURS[str(network)], linewidth=1.3, label=name)
    layers = np.arange(1, deepest + 1)
    theory = LATER_THEORY ** (deepest - layers)
    growth.plot(layers, theory, color="black", linewidth=0.8, linestyle=(0, (4, 2)), label=f"×{LATER_THEORY:.3f}")
    growth.set_yscale("log")
    growth.set_ylim(bottom=1e-24)
    handles = growth.get_legend_handles_labels()
    title = "gradients: factor per layer; singular values: the same colours"
    figure.legend(
        *handles, fontsize=7, frameon=False, title=title, title_fontsize=7, loc="outside lower center", ncols=3
    )
    label(growth, f"at start, depth {deepest}", "layer", "|∂ℓ/∂y|², of the last layer's")
    figure.suptitle(f"Layer Jacobians: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure


def _spectra(ax: Axes, table: pd.DataFrame) -> None:
    """Draw a box (quartiles) with whiskers (5 to 95 %) for each depth, network, and start or end of training."""
    places, names = [], []
    for place, depth in enumerate(sorted(table["depth"].unique())):
        of_depth = table[table["depth"] == depth]
        for when, step in enumerate((0, of_depth["step"].max())):
            for which, network in enumerate(NAMES):
                rows = of_depth[(of_depth["network"] == network) & (of_depth["step"] == step)]
                q = rows.groupby("quantity")["value"].mean()
                x = 3 * place + 1.2 * when + 0.45 * which
                colour = COLOURS[network]
                ax.plot([x, x], [q["q05"], q["q95"]], color=colour, linewidth=0.9)
                ax.plot([x, x], [q["q25"], q["q75"]], color=colour, linewidth=4.5, solid_capstyle="butt")
                ax.plot(x, q["q50"], "_", color="white", markersize=4.5)
        places.append(3 * place + 0.8)
        names.append(str(depth))
    ax.axhline(1, color="black", linewidth=0.7, linestyle=(0, (4, 2)))
    ax.set_yscale("log")
    ax.set_ylim(0.01, 5)  # half of a ReLU's singular values are 0
    ax.set_xticks(places, names)


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
    label(training, "a layer's training step, 60 examples", "width", "seconds")
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
            _band(training, by_seed, colour, style, f"{name}, batch {size}")
    training.set_xscale("log")
    training.legend(fontsize=7, frameon=False)
    label(training, "over training", "steps", "held-out accuracy")
    last = table[table["step"] == table["step"].max()]
    pair = last.pivot(index=["batch_size", "seed"], columns="population", values="accuracy")
    gap = (pair["moving"] - pair["exact"]).unstack("seed")
    sizes.axhline(0, color="black", linewidth=0.7)
    _band(sizes, gap, COLOURS["mlp_bn"], "o-")
    sizes.set_xscale("log", base=2)
    label(sizes, f"at step {table['step'].max()}", "batch size", "moving minus exact")
    figure.suptitle(f"Population statistics: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure

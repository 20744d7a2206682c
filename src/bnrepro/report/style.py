"""How every figure looks, and how one becomes a file."""

import io
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from bnrepro.claims.verdict import CONFIDENCE
from bnrepro.stability import Floats

COLOURS = {"mlp": "#D55E00", "mlp_bn": "#0072B2"}  # Okabe & Ito's vermilion and blue: safe for colour-blind readers
DARK = {"mlp": "#7A3600", "mlp_bn": "#00365A"}  # for the paper's curves beside ours
NAMES = {"mlp": "without BN", "mlp_bn": "with BN"}
PAPER: dict[str, Any] = {"color": "black", "linewidth": 1.0, "linestyle": (0, (4, 2))}
GREY = "#777777"


def canvas(width: float, height: float, columns: int = 1, **layout: Any) -> tuple[Figure, list[Axes]]:
    """Make a figure of ``width`` x ``height`` inches with a row of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **layout)
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    return figure, list(axes[0])


def label(ax: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Write an axes' title and axis labels."""
    ax.set_title(title, fontsize=9, loc="left")
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)


def setting(table: pd.DataFrame) -> str:
    """Name the data, scale and number of seeds that a figure shows."""
    data, scale = table["data"].iloc[0], table["scale"].iloc[0]
    seeds = f", {table['seed'].nunique()} seeds" if "seed" in table else ""
    return f"{'MNIST' if data == 'mnist' else data}, scale {scale}{seeds}"


def mean_and_band(by_seed: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return the mean over seeds (columns) and the ends of its 95 % Student t interval, for each row."""
    values = by_seed.to_numpy(dtype=float)
    mean, n = values.mean(axis=1), values.shape[1]
    if n < 2:
        return mean, mean, mean
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def band(ax: Axes, by_seed: pd.DataFrame, colour: str, style: str = "-", name: str | None = None) -> None:
    """Draw the mean over seeds (columns) over the index, and its 95 % Student t interval."""
    mean, low, high = mean_and_band(by_seed)
    ax.fill_between(by_seed.index, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(by_seed.index, mean, style, markersize=3, color=colour, linewidth=1.3, label=name)


def png(figure: Figure) -> bytes:
    """Render a figure in 256 colours, a third of the size; the same tables give the same bytes."""
    small = io.BytesIO()
    figure.set_dpi(150)
    drawn = FigureCanvasAgg(figure)
    drawn.draw()  # type: ignore[no-untyped-call]  # once; savefig does it twice, the first time for the layout
    image = Image.fromarray(np.asarray(drawn.buffer_rgba()))  # type: ignore[no-untyped-call]
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()

"""The figure of the training images and their distortions."""

import base64
import io

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bnrepro.report.style import setting


def distortions(table: pd.DataFrame) -> Figure:
    """Draw a column for each image and a row for each draw of each version."""
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    rows = list(table[["version", "draw"]].drop_duplicates().itertuples(index=False, name=None))
    columns = table["example"].unique()
    figure.set_size_inches(0.7 * len(columns) + 1.2, 0.7 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    keys = zip(table["version"], table["draw"], table["example"], strict=True)
    of = dict(zip(keys, table["png"], strict=True))
    for line, (version, draw) in zip(axes, rows, strict=True):
        for ax, example in zip(line, columns, strict=True):
            ax.imshow(Image.open(io.BytesIO(base64.b64decode(of[version, draw, example]))), interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
        if draw == 0:
            line[0].set_ylabel(version, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
    figure.suptitle(f"Training images and their distortions: {setting(table)}", fontsize=9, x=0.01, ha="left")
    return figure

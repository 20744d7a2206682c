"""results/README.md and results/report.html: two views of the same sections."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from bnrepro import paper
from bnrepro.claims.fig1 import chosen_rate
from bnrepro.errors import BadInput
from bnrepro.files import write_atomically, write_text
from bnrepro.report import figures, theory_figures
from bnrepro.report.style import NAMES, png
from bnrepro.tables import Tables, read, read_all

TITLES = {
    "mnist": "MNIST",
    "random": "Random numbers: the exact statements",
    "digits": "digits (8x8 pixels, not the paper's data)",
}


@dataclass(frozen=True)
class Picture:
    """A figure, the tables that it needs, and what a reader must know to read it."""

    name: str
    tables: tuple[str, ...]
    draw: Callable[..., Figure]
    caption: str


TRAINED = [
    Picture(
        "fig1a",
        ("fig1_accuracy",),
        figures.figure_1a,
        "Test accuracy of the network with and without BN over training (Fig. 1a): mean over the seeds, the 95 % "
        "Student t interval of the mean as a band, the paper's printed curves dashed. For the claims, curves are "
        "smoothed by a running mean of the last five evaluations, which delays a crossing by two of them.",
    ),
    Picture(
        "fig1bc",
        ("fig1_percentiles",),
        figures.figure_1bc,
        "The 15th, 50th and 85th percentile of the input of one typical sigmoid of the last hidden layer over "
        "training (Fig. 1b,c). Typical is the unit whose median drifts as much as the median of its layer. With BN "
        "the inputs are normalised by the statistics of the examples watched. The paper's unit is one of another "
        "network.",
    ),
    Picture(
        "fig1_drift",
        ("fig1_drift",),
        figures.drift,
        "How far the median and the spread (85th minus 15th percentile) of every last-hidden-layer sigmoid's input "
        "move over training: their range over 100 points of training, divided by the mean spread. All seeds together; "
        "the axes leave out the most extreme half per cent. Dashed: the same measure on the printed sigmoids.",
    ),
    Picture(
        "fig1_calibrate_grid",
        ("fig1_calibrate",),
        figures.calibration_grid,
        "The settings that the paper does not give: root mean square distance between the mean test accuracy of the "
        "network without BN and its printed curve. The square marks the nearest setting, which Figure 1 uses. "
        "Three seeds: the distance of such a mean curve varies by about 0.001 with the choice of seeds, and settings "
        "along the diagonal are nearly as near, so the learning rate is known to about a factor of two. "
        "Darker is nearer, on a logarithmic scale.",
    ),
    Picture(
        "fig1_calibrate_curves",
        ("fig1_calibrate", "fig1_calibrate_curves"),
        figures.calibration_curves,
        "The curves behind the grid.",
    ),
    Picture(
        "fig1_tuned",
        ("fig1_tuned",),
        figures.tuned,
        "Final accuracy at each learning rate, on training images kept aside (dotted) and on the test set "
        "(solid): mean and 95 % Student t interval over the seeds. Each network's rate is chosen on the images kept "
        "aside; the test set is read there. Only the rate is chosen: the initial scale stays that of Figure 1.",
    ),
    Picture(
        "theory_naive_drift",
        ("theory_naive_drift",),
        theory_figures.naive_drift,
        "Section 2's mistake. Left: a layer that adds b to its input and subtracts the mean, the mean kept outside the "
        "gradient; b grows by the same amount at every step and the loss does not change (first seed). Middle and "
        "right: the same in the network of Fig. 1, norm of all hidden layers' biases and training loss, mean and 95 % "
        "interval over seeds. In the arm BN a bias is kept before BN: what it has is rounding.",
    ),
    Picture(
        "theory_jacobian",
        ("theory_jacobian",),
        theory_figures.jacobian,
        "Section 3.3's conjecture. Left and middle: singular values of the Jacobian from one layer's normalised "
        "activation to the next one's at single examples, the mini-batch's statistics held; quartiles (bars) and 5 to "
        "95 % (lines), mean over layers and seeds; red without BN, blue with BN. Half of a ReLU's values are 0 and lie "
        "below the axis; of a square Gaussian matrix 69 % are within [1/2, 2]. Right: squared norm of the gradient "
        "with respect to the nonlinearity's input, relative to the last layer's, and the factor per layer towards the "
        "input; dashed π/(π-1), which later theory finds for wide ReLU layers with BN (Yang et al. 2019, "
        "arXiv 1902.08129).",
    ),
    Picture(
        "theory_population",
        ("theory_population",),
        theory_figures.population,
        "Algorithm 2's exact population statistics, over 200 training mini-batches, against moving averages with the "
        "weight 0.1 for the newest mini-batch. Early in training the averages still hold their initial values and "
        "mislead.",
    ),
]
RANDOM = [
    Picture(
        "theory_scale_invariance",
        ("theory_exact",),
        theory_figures.scale_invariance,
        "Section 3.3: with ε = 0 the scale a of the weights changes nothing but rounding; with ε above 0 it does where "
        "the variance of aWu comes near ε. Median and range over random weights and inputs.",
    ),
    Picture(
        "theory_whitening_cost",
        ("theory_whitening_cost",),
        theory_figures.whitening_cost,
        "What Sec. 2 gives as the reason against full whitening. Left: forward and backward pass of the layer alone. "
        "Right: Algorithm 2's last line, BN at inference folded into the linear layer before it.",
    ),
]


def build(results: Path) -> None:
    """Write figures, README.md and report.html of every data set that has tables.

    Raises:
        BadInput: there are no results, or a table is damaged.
    """
    if not (results / "claims.csv").exists():
        raise BadInput(f"{results} holds no results yet; run make reproduce")
    claims, runs = read(results / "claims.csv"), read(results / "runs.csv")
    sections = [_section(results, data, claims, runs) for data in TITLES if (results / data).is_dir()]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bnrepro.report", "."),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_cell, number=_number, embed=_embed, interval=_interval)
    content = {"sections": sections, "citation": paper.CITATION, "dirty": bool(runs["dirty"].any())}
    write_text(results / "README.md", environment.get_template("readme.md.j2").render(content))
    write_text(results / "report.html", environment.get_template("page.html.j2").render(content))


def _section(results: Path, data: str, claims: pd.DataFrame, runs: pd.DataFrame) -> dict[str, Any]:
    """Collect what the pages say about one data set, and write its figures."""
    tables = read_all(results / data)
    ours, made = claims[claims["data"] == data], runs[runs["data"] == data]
    pictures = [_picture(results, data, picture, tables) for picture in (RANDOM if data == "random" else TRAINED)]
    return {
        "data": data,
        "title": TITLES[data],
        "claims": ours.to_dict("records"),
        "counts": ours["verdict"].value_counts().to_dict(),
        "pictures": pictures,
        "settings": _settings(made),
        "errors": ours[ours["id"].str.startswith("fig1a-curve")].set_index("id").to_dict("index"),
        "chosen": _chosen(tables),
        "runs": made.to_dict("records"),
    }


def _picture(results: Path, data: str, picture: Picture, tables: Tables) -> dict[str, Any]:
    path = results / data / "figures" / f"{picture.name}.png"
    if not all(name in tables for name in picture.tables):
        path.unlink(missing_ok=True)
        return {"name": picture.name, "caption": picture.caption, "path": None}
    image = png(picture.draw(*(tables[name] for name in picture.tables)))
    write_atomically(path, lambda aside: aside.write_bytes(image))
    relative = path.relative_to(results).as_posix()
    return {"name": picture.name, "caption": picture.caption, "path": relative, "image": image}


def _settings(runs: pd.DataFrame) -> dict[str, Any] | None:
    """Return the settings of Figure 1's runs."""
    rows = runs[(runs["experiment"] == "fig1") & (runs["network"] == "mlp")]
    return None if rows.empty else dict(rows.iloc[0])


def _chosen(tables: Tables) -> list[dict[str, Any]]:
    """Return the learning rate that held-out data choose for each network, and the accuracies there."""
    if "fig1_tuned" not in tables:
        return []
    table = tables["fig1_tuned"]
    rows = []
    for network, name in NAMES.items():
        lr = chosen_rate(table, network)
        at = table[(table["network"] == network) & (table["lr"] == lr)]
        accuracies = {split: float(at[f"{split}_accuracy"].mean()) for split in ("held_out", "test")}
        rates = table.loc[table["network"] == network, "lr"]
        rows.append({"network": name, "lr": lr, "edge": lr in (rates.min(), rates.max()), **accuracies})
    return rows


def _number(value: Any) -> str:
    """Write a number with the digits that it deserves; nothing where there is none."""
    if value is None or pd.isna(value):
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:#.3g}".rstrip(".")


def _interval(row: dict[str, Any]) -> str:
    return "–" if pd.isna(row["low"]) else f"{_number(row['low'])} to {_number(row['high'])}"


def _cell(value: Any) -> str:
    """Make a value safe for a cell of a Markdown table."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _embed(image: bytes) -> Markup:
    return Markup("data:image/png;base64,") + base64.b64encode(image).decode()

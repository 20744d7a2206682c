"""results/README.md and results/report.html: two views of the same sections."""

import base64
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from bnrepro import paper
from bnrepro.claims.fig1 import chosen_rate
from bnrepro.errors import BadInput
from bnrepro.files import write_bytes, write_text
from bnrepro.report import readme
from bnrepro.report.bench import bench
from bnrepro.report.cells import cell, count, interval, number, percent, spread
from bnrepro.report.exact_statements import exact_statements
from bnrepro.report.fig3 import base_rate, figure_3, inherited_rate, small_inception
from bnrepro.report.inception_pictures import INCEPTION
from bnrepro.report.pictures import RANDOM, TRAINED, Picture
from bnrepro.report.spent import spent
from bnrepro.report.style import NAMES, png
from bnrepro.tables import HANDWRITTEN, Tables, experiment_of, fingerprint, present, read, read_all

TITLES = {
    "mnist": "MNIST",
    "random": "Random numbers and counts: the exact statements, the appendix's table",
    "digits": "digits (8x8 pixels, not the paper's data)",
    "cifar10": "CIFAR-10: the Inception networks",
    "cifar10_jpeg": "CIFAR-10 as JPEG (not the original pixels): the Inception networks",
    "shapes": "shapes (drawn by the program, not photographs): the Inception networks",
}


def build(results: Path) -> None:
    """Write figures, README.md and report.html of every data set that has tables, and the table in README.md beside.

    Raises:
        BadInput: there are no results, or a table is damaged.
    """
    if not (results / "claims.csv").exists():
        raise BadInput(f"{results} holds no results yet; run make reproduce")
    claims, runs = read(results / "claims.csv"), read(results / "runs.csv")
    sections = [_section(results, data, claims, runs) for data in present(results)]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bnrepro.report", "."),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cell=cell, number=number, embed=_embed, interval=interval, count=count, percent=percent, spread=spread
    )
    content: dict[str, Any] = {
        "sections": sections,
        "citation": paper.CITATION,
        "dirty": bool(runs["dirty"].any()),
        "fingerprint": fingerprint(results),
        "bench": bench(results),
    }
    measured = content["bench"]["goals"] if content["bench"] else []
    readme.refresh(results.absolute().parent / "README.md", claims, measured)
    write_text(results / "report.html", environment.get_template("page.html.j2").render(content))
    write_text(results / "README.md", environment.get_template("readme.md.j2").render(content))  # last: all is made


def _section(results: Path, data: str, claims: pd.DataFrame, runs: pd.DataFrame) -> dict[str, Any]:
    """Collect what the pages say about one data set, and write its figures."""
    tables = read_all(results / data)
    ours, made = claims[claims["data"] == data], runs[runs["data"] == data]
    pictures = [_picture(results, data, picture, tables, ours) for picture in _pictures_of(data)]
    return {
        "data": data,
        "title": TITLES.get(data, data),
        "choice": _choice(data),
        "claims": ours.to_dict("records"),
        "counts": ours["verdict"].value_counts().to_dict(),
        "pictures": pictures,
        "settings": _settings(made),
        "errors": ours[ours["id"].str.startswith("fig1a-curve")].set_index("id").to_dict("index"),
        "chosen": _chosen(tables),
        "statements": exact_statements(ours),
        "figure_3": figure_3(tables),
        "base_rate": base_rate(tables),
        "inherited_rate": inherited_rate(tables),
        "small_inception": small_inception(tables),
        "spent": spent(made),
        "runs": made.to_dict("records"),
    }


def _choice(data: str) -> str:
    """Return what ``make reproduce`` needs to run on these data; the random studies need none."""
    if data == "random":
        return ""
    return f" {'DATA' if data in HANDWRITTEN else 'IMAGES'}={data}"


def _pictures_of(data: str) -> list[Picture]:
    if data == "random":
        return RANDOM
    return TRAINED if data in HANDWRITTEN else INCEPTION


def _picture(results: Path, data: str, picture: Picture, tables: Tables, claims: pd.DataFrame) -> dict[str, Any]:
    path = results / data / "figures" / f"{picture.name}.png"
    if not all(name in tables for name in picture.tables):
        path.unlink(missing_ok=True)
        missing = next(name for name in picture.tables if name not in tables)
        return {"name": picture.name, "experiment": experiment_of(missing), "path": None}
    needed = [tables[name] for name in picture.tables]
    image = png(picture.draw(*needed))
    write_bytes(path, image)
    relative = path.relative_to(results).as_posix()
    judged = claims[claims["id"].map(picture.judged_by).astype(bool) & (claims["verdict"] != "not run")]
    return {
        "name": picture.name,
        "caption": f"{picture.caption} {picture.found(*needed)}" if picture.found else picture.caption,
        "path": relative,
        "image": image,
        "judged": judged.to_dict("records"),
    }


def _settings(runs: pd.DataFrame) -> dict[str, Any] | None:
    """Return the settings of Figure 1's runs on MNIST, which were fitted."""
    rows = runs[(runs["experiment"] == "fig1") & (runs["network"] == "mlp") & (runs["data"] == "mnist")]
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


def _embed(image: bytes) -> Markup:
    return Markup("data:image/png;base64,") + base64.b64encode(image).decode()

"""The report on tables made by hand: what stands in it, and that it needs nothing but the tables."""

import hashlib
import html.parser
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnrepro import paper, results, tables
from bnrepro.errors import BadInput
from bnrepro.report import build, fig2_figures, fig3, figures
from bnrepro.report.inception_pictures import INCEPTION
from bnrepro.report.pictures import TRAINED
from bnrepro.report.style import GREY, mean_and_band

STEPS = np.arange(500, 50_001, 500)
NETWORKS = ("mlp", "mlp_bn")


def accuracy(data: str, scale: str = "quick") -> pd.DataFrame:
    """Return the paper's own curves, shifted a little for each seed."""
    printed = paper.figure_1a()
    pieces = []
    for network in NETWORKS:
        curve = printed[printed["network"] == network]
        values = np.interp(STEPS, curve["step"], curve["test_accuracy"])
        for seed in range(3):
            columns = {"network": network, "seed": seed, "step": STEPS, "accuracy": values + seed / 1000}
            pieces.append(pd.DataFrame(columns))
    return pd.concat(pieces, ignore_index=True).assign(data=data, scale=scale)


def percentiles(data: str) -> pd.DataFrame:
    printed = paper.figure_1bc().rename(columns={"fraction_of_training": "fraction", "input_value": "value"})
    labels = {"data": data, "scale": "quick", "seed": 0, "layer": "hidden3", "unit": 7}
    return printed.assign(step=(printed["fraction"] * 50_000).round().astype(int), **labels)


def drifts(data: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    keys = pd.MultiIndex.from_product([NETWORKS, range(3), range(20)], names=["network", "seed", "unit"]).to_frame()
    drawn = rng.uniform(0.1, 1, (len(keys), 2))
    values = {"median_drift": drawn[:, 0], "spread_drift": drawn[:, 1]}
    return keys.reset_index(drop=True).assign(data=data, scale="quick", layer="hidden3", **values)


def a_run(data: str, command: str) -> pd.DataFrame:
    row = {
        **{"data": data, "scale": "quick", "experiment": "fig1", "run": "mlp", "network": "mlp", "encoding": "binary"},
        **{"threshold": 0.5, "held_out": 0, "init_std": 0.05, "lr": 0.1, "batch_size": 60, "steps": 50_000},
        **{"seeds": "0 1 2", "status": "finished", "diverged": "", "seconds": 10.0, "command": command},
        **{"commit": "0123456789abcdef", "dirty": False, "device": "a CPU", "threads": 1, "python": "3.11"},
        **{"torch": "2.15.0", "data_sha256": "00"},
    }
    return pd.DataFrame([row])


def sign(folder: Path) -> None:
    """Write SHA256SUMS, as sha256sum does."""
    paths = [*sorted(folder.glob("*/*.csv")), folder / "runs.csv"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in paths]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Results of Figure 1 alone, on both data sets, with a hostile command among the runs."""
    for data in ("mnist", "digits"):
        tables.write(tmp_path / data / "fig1_accuracy.csv", accuracy(data))
        tables.write(tmp_path / data / "fig1_percentiles.csv", percentiles(data))
        tables.write(tmp_path / data / "fig1_drift.csv", drifts(data))
    commands = {"mnist": "train.py name=<script>alert(1)</script>", "digits": "train.py a|b"}
    runs = [a_run(data, command) for data, command in commands.items()]
    tables.write(tmp_path / "runs.csv", pd.concat(runs, ignore_index=True))
    sign(tmp_path)
    results.refresh(tmp_path)
    return tmp_path


def test_what_was_spent_stands_above_the_runs(made: Path) -> None:
    older = tables.read(made / "runs.csv").query("data == 'digits'")
    rates = older.assign(experiment="higher_lr", study="training", seeds="0 1", replicas=26, steps=10_000, width=0.25)
    study = older.assign(experiment="theory", study="exact", seconds=3600.0)
    in_parts = rates.assign(seeds="2", replicas=13, train_examples=0, test_examples=5000, width=0.5)
    whole = tables.read(made / "runs.csv")
    tables.write(made / "runs.csv", pd.concat([whole, rates, in_parts, study], ignore_index=True))
    sign(made)
    results.refresh(made)
    rows = [line.replace(" ", "") for line in (made / "README.md").read_text().splitlines()]
    assert "|fig1,quick|1|3|–|–|60|50,000|–|–|9,000,000|0.0|" in rows
    assert f"|higher_lr,quick|1|3|0.25,0.5|–|60|10,000|all|5,000|{39 * 60 * 10_000:,}|0.0|" in rows
    assert "|theory,quick|1|3|–|–|–|–|–|–|–|1.0|" in rows


class Page(html.parser.HTMLParser):
    """Collects what a browser would load, the tags, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value for key, value in attrs if key in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_self_contained_and_escapes_names(made: Path) -> None:
    page = Page((made / "report.html").read_text())
    assert [load for load in page.loads if load.startswith("#")] == ["#mnist", "#digits"]  # within the page
    loaded = [load for load in page.loads if not load.startswith("#")]
    assert len(loaded) == 6
    assert all(load.startswith("data:image/png;base64,") for load in loaded)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    readme = (made / "README.md").read_text()
    assert "<script>" not in readme
    assert "a\\|b" in readme


def test_every_claim_stands_in_both_pages_with_its_verdict(made: Path) -> None:
    claims = tables.read(made / "claims.csv")
    text, readme = Page((made / "report.html").read_text()).text, (made / "README.md").read_text()
    assert set(claims["data"]) == {"mnist", "digits"}
    for claim in claims.itertuples():
        assert str(claim.id) in text
        said = "Not run: " if claim.verdict == "not run" else f"**{claim.verdict}**"
        assert any(f"`{claim.id}`" in line and said in line for line in readme.splitlines())
    assert "not run" in set(claims["verdict"])  # the tuned comparison


def test_the_pages_give_the_numbers_of_the_table(made: Path) -> None:
    claims = tables.read(made / "claims.csv").query("verdict != 'not run'")
    lines = (made / "README.md").read_text().splitlines()
    for claim in claims.itertuples():
        (line,) = [line for line in lines if f"`{claim.id}`" in line and f"| {claim.data}, " in line]
        cells = [cell.strip() for cell in line.split("|")]
        low, _, high = ("-inf to inf" if cells[5] == "–" else cells[5]).partition(" to ")
        for written, value in ((cells[4], claim.ours), (low, claim.low), (high, claim.high)):
            assert float(written) == pytest.approx(value, rel=5e-3, abs=5e-5)


def test_the_band_is_students_interval_of_the_mean() -> None:
    by_seed = pd.DataFrame([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]])
    mean, low, high = mean_and_band(by_seed)
    interval = stats.ttest_1samp([1.0, 2.0, 3.0], 0).confidence_interval(0.95)
    assert (mean[0], low[0], high[0]) == pytest.approx((2.0, interval.low, interval.high))
    assert (mean[1], low[1], high[1]) == (4.0, 4.0, 4.0)


def test_the_grid_marks_the_nearest_setting() -> None:
    printed = paper.figure_1a().query("network == 'mlp'")
    settings = [("binary", 0.05, 0.1, 0.02), ("grey", 0.05, 0.1, 0.03), ("grey", 0.05, 0.2, 0.01)]
    curves = pd.concat(
        pd.DataFrame({"step": printed["step"], "accuracy": printed["test_accuracy"] + shift}).assign(
            encoding=encoding, init_std=std, lr=lr, data="mnist", scale="cpu"
        )
        for encoding, std, lr, shift in settings
    )
    figure = figures.calibration_grid(curves)
    marks = [[tuple(line.get_xydata()[0]) for line in ax.get_lines()] for ax in figure.axes]
    assert marks == [[], [(1.0, 0.0)]]  # in the grey map, at the second rate


def test_the_tuned_figure_marks_the_rates_that_held_out_data_choose() -> None:
    rows = [
        {"network": network, "lr": lr, "seed": seed, "held_out_accuracy": held_out, "test_accuracy": 1 - held_out}
        for network, accuracies in (("mlp", (0.9, 0.8)), ("mlp_bn", (0.8, 0.9)))
        for lr, held_out in zip((0.1, 1.0), accuracies, strict=True)
        for seed in range(3)
    ]
    figure = figures.tuned(pd.DataFrame(rows).assign(data="mnist", scale="cpu"))
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2 and line.get_ydata()[1] == 1]
    assert sorted(float(line.get_xdata()[0]) for line in lines) == [0.1, 1.0]


def test_figure_1bc_draws_each_networks_own_printed_bands() -> None:
    figure = figures.figure_1bc(percentiles("mnist"))
    for ax, network in zip(figure.axes, NETWORKS, strict=True):
        rows = paper.figure_1bc()
        printed = rows[(rows["network"] == network) & (rows["percentile"] == 85)]["input_value"].to_numpy()
        drawn = [line for line in ax.get_lines() if line.get_color() != GREY]
        assert sum(np.array_equal(line.get_ydata(), printed) for line in drawn) == 2  # ours here, and theirs


def test_what_was_not_run_is_said(made: Path) -> None:
    readme = (made / "README.md").read_text()
    for data in ("mnist", "digits"):
        command = f"make reproduce SCALE=cpu EXPERIMENT=fig1_tuned DATA={data}"
        assert f"fig1_tuned was not run on {data}; `{command}` runs it" in readme
    assert not (made / "mnist/figures/fig1_tuned.png").exists()


def test_pictures_of_the_readme_exist(made: Path) -> None:
    paths = [
        line.split("](")[1][:-1] for line in (made / "README.md").read_text().splitlines() if line.startswith("![")
    ]
    assert len(paths) == 6
    assert all((made / path).stat().st_size > 10_000 for path in paths)


def test_the_same_tables_give_the_same_bytes(made: Path) -> None:
    def contents() -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for path in made.rglob("*")
            if path.is_file() and path.name not in ("holder.json", ".pending")
        }

    before = contents()
    results.refresh(made)
    assert contents() == before


def test_figure_1a_draws_the_mean_and_the_printed_curves() -> None:
    table = accuracy("digits")
    figure = figures.figure_1a(table)
    lines = figure.axes[0].get_lines()
    mean = table[table["network"] == "mlp_bn"].groupby("step")["accuracy"].mean()
    assert any(len(line.get_ydata()) == len(mean) and np.allclose(line.get_ydata(), mean) for line in lines)
    printed = paper.figure_1a().query("network == 'mlp'")["test_accuracy"]
    assert any(np.array_equal(line.get_ydata(), printed) for line in lines)
    assert figure.get_suptitle().startswith("Figure 1a: digits")


@pytest.mark.parametrize(("draw", "table"), [(figures.figure_1bc, percentiles), (figures.drift, drifts)])
def test_pictures_on_digits_say_digits(draw: object, table: object) -> None:
    assert callable(draw)
    assert callable(table)
    assert "digits, scale quick" in draw(table("digits")).get_suptitle()


def test_without_results_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run make reproduce"):
        build(tmp_path)


def test_an_inherited_rate_is_said_and_a_measured_one_is_not() -> None:
    ends = pd.DataFrame({"scale": ["quick"], "lr": [0.02], "multiple": [1.0]})
    rates = pd.DataFrame({"scale": "quick", "lr": [0.01, 0.02, 0.02], "held_out_last": [0.5, 0.6, 0.7]})
    assert fig3.inherited_rate({}) == ""
    assert fig3.inherited_rate({"fig2_ends": ends, "fig2_base_rate": rates}) == ""
    other = rates.assign(held_out_last=[0.9, 0.6, 0.7])
    said = "Figure 2's base rate here, 0.02, is inherited: the best of this data at scale quick"
    assert fig3.inherited_rate({"fig2_ends": ends, "fig2_base_rate": other}) == f"{said} is 0.01."
    elsewhere = {"fig2_ends": ends, "fig2_base_rate": rates.assign(scale="cpu")}
    assert fig3.inherited_rate(elsewhere) == fig3.inherited_rate({"fig2_ends": ends}) == f"{said} was not measured."


def test_the_small_inception_stands_beside_its_published_numbers() -> None:
    table = pd.DataFrame({"network": "small_inception_bn", "seed": range(3), "accuracy": [0.84, 0.85, 0.86]})
    (row,) = fig3.small_inception({"small_inception": table})
    assert (row["network"], row["value"], row["theirs"]) == ("with BN", pytest.approx(0.85), 0.8575)


@pytest.mark.parametrize(("data", "choice"), [("shapes", " IMAGES=shapes"), ("digits", " DATA=digits"), ("random", "")])
def test_a_remedy_names_the_data_that_it_is_for(data: str, choice: str, tmp_path: Path) -> None:
    tables.write(tmp_path / data / "other.csv", pd.DataFrame({"scale": ["cpu"]}))
    tables.write(tmp_path / "runs.csv", a_run(data, "command"))
    sign(tmp_path)
    results.refresh(tmp_path)
    for page in ("README.md", "report.html"):
        remedies = re.findall(r"make reproduce SCALE=cpu EXPERIMENT=\w+([^`<]*)", (tmp_path / page).read_text())
        assert set(remedies) == {choice}


def test_initial_weights_are_compared_at_one_scale() -> None:
    rows = [{"network": n, "seed": 0, "step": s, "accuracy": 0.5} for n in ("inception", "bn_baseline") for s in (1, 2)]
    he = pd.DataFrame(rows).assign(data="shapes", scale="cpu")
    others = pd.concat([he.assign(init=init) for init in ("xavier", "gaussian")])
    for scale, drawn in (("cpu", ["he", "xavier", "gaussian"]), ("quick", ["xavier", "gaussian"])):
        figure = fig2_figures.initial_weights(he.assign(scale=scale), others)
        assert [ax.get_title(loc="left") for ax in figure.axes] == drawn


def test_a_missing_table_names_its_experiment() -> None:
    named = {"fig2_drift": "fig2", "fig2_paper_rates_accuracy": "fig2_paper_rates", "theory_jacobian": "theory"}
    assert {table: tables.experiment_of(table) for table in named} == named
    drawn = [name for picture in (*TRAINED, *INCEPTION) for name in picture.tables]
    assert {tables.experiment_of(name) for name in drawn} <= set(tables.BUILDERS)

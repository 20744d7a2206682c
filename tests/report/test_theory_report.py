"""What the report says of Sections 2 and 3, on tables made by hand."""

import itertools

import numpy as np
import pandas as pd

from bnrepro.claims import about, judge
from bnrepro.report import jacobian_figures, theory_findings
from bnrepro.report.exact_statements import DRAWN, exact_statements
from bnrepro.report.jacobian_figures import SERIES


def test_every_exact_statement_has_a_sentence_with_its_numbers() -> None:
    ids = [claim.id for claim in about("random") if claim.table == "theory_exact"]
    assert set(ids) - set(DRAWN) == {"alg2-affine", "scale-invariance"}  # which have figures
    rows = [(name, trial, 3e-14 if name == "conv-shared" and trial == 1 else 2e-16) for name in ids for trial in (0, 1)]
    table = pd.DataFrame(rows, columns=["quantity", "trial", "value"]).assign(scale="cpu")
    claims = judge(about("random"), {"theory_exact": table}, "random")
    said = {statement["id"]: statement["sentence"] for statement in exact_statements(claims)}
    assert list(said) == [name for name in ids if name in DRAWN]
    assert "Worst residual 3.0e-14 in 2 trials; threshold: largest relative error below 1e-10" in said["conv-shared"]
    assert said["conv-shared"].endswith("; reproduced.")
    assert "Mean 2.0e-16" in said["batch-coupling:training"]
    assert exact_statements(judge(about("random"), {}, "random")) == []


def spectra() -> pd.DataFrame:
    rows = []
    quantities = ("near_1", "mean_square", "q05", "q25", "q50", "q75", "q95")
    for (network, reading), g, step, seed in itertools.product(SERIES, ("sigmoid", "relu"), (0, 3, 30, 300), (0, 1)):
        collapsed = (network, reading, g, seed) == ("mlp", "normalised", "sigmoid", 1)
        for number, quantity in enumerate(quantities):
            value = np.nan if collapsed else 0.3 + 0.1 * number
            rows.append((network, g, 3, reading, seed, step, 0, quantity, value))
        if reading == "normalised":
            rows += [(network, g, 3, np.nan, seed, step, layer, "gradient", 0.5**layer) for layer in (1, 2, 3)]
    columns = ["network", "nonlinearity", "depth", "reading", "seed", "step", "layer", "quantity", "value"]
    return pd.DataFrame(rows, columns=columns).assign(data="mnist", scale="cpu")


def test_no_box_stands_where_a_jacobian_does_not_exist_and_the_steps_are_said() -> None:
    figure = jacobian_figures.jacobian(spectra())
    sigmoid, relu, growth = figure.axes
    assert [text.get_text() for text in sigmoid.texts] == ["†", "†"]  # at the start and in the end
    assert not relu.texts
    assert len(relu.lines) - len(sigmoid.lines) == 2 * 3
    assert [label.get_text() for label in relu.get_xticklabels()] == ["3\n0 | 300"]
    assert len(growth.lines) == 5


def test_shares_are_drawn_at_every_stage() -> None:
    sigmoid, relu = jacobian_figures.along_training(spectra()).axes
    assert [len(line.get_xdata()) for line in relu.lines] == [4, 4, 4]
    np.testing.assert_allclose(relu.lines[0].get_xdata(), [0, 1, 2, 3])
    assert sigmoid.get_lines()[2].get_color() == SERIES["mlp_bn", "normalised"][1]


def test_the_captions_numbers_are_the_tables() -> None:
    rows = [
        (60, step, population, seed, 0.9 - gap * (population == "moving"), 0.3 + gap * (population == "moving"))
        for step, gap in ((1, 0.25), (13, 0.125))
        for population in ("exact", "moving")
        for seed in range(3)
    ]
    table = pd.DataFrame(rows, columns=["batch_size", "step", "population", "seed", "accuracy", "loss"])
    said = theory_findings.population(table)
    assert "at batch 60, accuracy (loss): -0.2500 (0.2500) at step 1, -0.1250 (0.1250) at step 13" in said
    assert "at step 13, mean and interval: -0.1250 (-0.1250 to -0.1250) at batch 60" in said


def test_what_scaling_does_is_said_at_each_rate() -> None:
    rows = []
    norms = {"centre_detached": (2.0, 4.0), "centre_scale_detached": (6.0, 1.0), "none": (1.0, 8.0), "batch": (0, 0)}
    for (arm, ends), (which, lr), seed in itertools.product(norms.items(), enumerate((0.07, 0.7)), range(3)):
        rows.append((arm, lr, seed, 100, "hidden1", "bias", ends[which]))
        rows += [(arm, lr, seed, 0, "", "loss", 2.5), (arm, lr, seed, 100, "", "loss", 1.25 + which)]
    table = pd.DataFrame(rows, columns=["arm", "lr", "seed", "step", "layer", "quantity", "value"])
    said = theory_findings.drift(table)
    assert "the biases end 3.00 times as large at rate 0.07, 0.2500 times as large at rate 0.7 as without" in said
    assert "they end 2.00 times at rate 0.07, 0.5000 times at rate 0.7 as large as without normalisation" in said
    assert "at rate 0.7 at 2.25 with the mean outside" in said

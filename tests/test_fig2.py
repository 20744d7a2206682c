"""Every network of Figure 2 in a small real run on shapes, from the run to tables, claims and report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bnrepro import checkpoint, data, report, results, tables
from bnrepro.compose import grid
from bnrepro.config import RunConfig
from bnrepro.predictions import predictions
from bnrepro.probes import population
from bnrepro.record import Record, to_parquet
from bnrepro.run import run
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import load

EXPERIMENTS = ("fig2", "fig2_base_rate", "fig2_equal_decay", "fig2_init", "fig2_paper_rates", "fig2_samples")
NETWORKS = grid(["experiment=fig2", "scale=smoke", "data=shapes"])


def run_small(root: Path, overrides: list[str]) -> Record:
    few = ["data.train_images=320", "data.test_images=40", "data.train_examples=0", "data.test_examples=0", "steps=6"]
    small = ["probes.evaluate_every=2", "probes.activation_examples=16", f"runs_root={root}", "runtime.device=cpu"]
    has_bn = any(override.startswith("network=bn_") for override in overrides)
    return run(load([*overrides, *few, *small, *(["norm.population_batches=2"] if has_bn else [])]))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    root = tmp_path_factory.mktemp("fig2") / "runs"
    jobs = list(NETWORKS)
    for experiment, settings in {
        "fig2_base_rate": ["seeds=[0]", "data.held_out=40", "optim.lr=0.001,0.01"],
        "fig2_paper_rates": ["network=inception,bn_baseline"],
        "fig2_equal_decay": ["network=bn_x5,bn_x30,bn_x5_sigmoid"],
        "fig2_init": [],
        "fig2_samples": [],
    }.items():
        jobs += grid([f"experiment={experiment}", "scale=smoke", "data=shapes", *settings])
    return [run_small(root, job) for job in jobs]


def config(*overrides: str) -> RunConfig:
    base = ["network=inception", "data=shapes", "data.train_images=100", "data.test_images=30", "model.width=0.125"]
    return load([*base, "scale=smoke", "runtime.device=cpu", *overrides])


def start(settings: RunConfig) -> tuple[State, data.Dataset]:
    dataset = data.load(settings.data, Path("nowhere"), settings.augment.crop)
    return initial(settings, dataset, torch.device("cpu")), dataset


def test_the_networks_differ_in_what_the_paper_says() -> None:
    made = {job[-1]: load(job) for job in NETWORKS}
    inception, baseline, x5, x30, sigmoid, at_x5, without = made.values()
    assert replace(baseline, network="", norm=inception.norm, name="") == replace(inception, network="", name="")
    assert (x5.optim.initial, x30.optim.initial) == (5 * inception.optim.lr, 30 * inception.optim.lr)
    assert (x5.model.dropout, x5.model.lrn, x5.augment.shuffle) == (0.0, False, "full")  # type: ignore[attr-defined]
    assert (baseline.model.dropout, baseline.model.lrn, baseline.augment.shuffle) == (0.4, True, "shard")  # type: ignore[attr-defined]
    assert x5.optim.l2 == pytest.approx(inception.optim.l2 / 5)
    assert x5.optim.decay_speed == 6 * inception.optim.decay_speed
    assert x5.augment.photometric < inception.augment.photometric
    assert replace(x30, network="", name="", optim=x5.optim) == replace(x5, network="", name="")
    assert sigmoid.model == replace(x5.model, nonlinearity="sigmoid")  # type: ignore[type-var]
    assert at_x5.optim.initial == 5 * inception.optim.initial
    assert without.model == replace(inception.model, nonlinearity="sigmoid")  # type: ignore[type-var]


@pytest.mark.parametrize("change", ["lr", "dropout", "l2", "decay", "lrn", "shuffle", "photometric"])
def test_an_ablation_changes_one_thing_to_what_the_other_network_has(change: str) -> None:
    baseline, x5 = (load([f"network={name}", "data=shapes"]) for name in ("bn_baseline", "bn_x5"))
    added, taken = (load([f"network={name}_{change}", "data=shapes"]) for name in ("bn_baseline_with", "bn_x5_without"))
    for ours, base, other in ((added, baseline, x5), (taken, x5, baseline)):
        changed = {
            (part, key): value
            for part in ("model", "optim", "augment", "norm", "data")
            for key, value in vars(getattr(ours, part)).items()
            if value != getattr(getattr(base, part), key)
        }
        assert len(changed) == 1
        ((part, key), value), *_ = changed.items()
        assert value == getattr(getattr(other, part), key)


def test_the_learning_rate_halves_as_it_says_and_biases_are_not_decayed() -> None:
    state, _ = start(config("optim.half_life=0.5", "optim.decay_speed=2", "steps=8", "optim.l2=0.1"))
    rates = []
    for _ in range(4):
        rates.append(state.optimiser.lr)
        advance(state)
    np.testing.assert_allclose(rates, 0.0015 * 2.0 ** (-np.arange(4) / 2))
    weights, others = state.optimiser.groups
    assert (weights.l2, others.l2) == (0.1, 0.0)
    assert all(p.dim() > 1 for p in weights.parameters)
    assert all(p.dim() == 1 for p in others.parameters)
    assert len(weights.parameters) + len(others.parameters) == len(list(state.model.parameters()))


def test_momentum_and_l2_are_the_textbooks() -> None:
    settings = config("optim.momentum=0.9", "optim.l2=0.1", "optim.half_life=0", "model.dropout=0")
    state, _ = start(settings)
    weight = state.model.weights()["3a"][0]
    w, v = weight.detach().clone(), torch.zeros_like(weight)
    for _ in range(3):
        advance(state)
        assert weight.grad is not None
        v = 0.9 * v + (weight.grad + 0.1 * w)
        w = w - 0.0015 * v
        torch.testing.assert_close(weight.detach(), w)


@pytest.mark.parametrize("network", ["inception", "bn_x30"])
def test_a_resumed_network_goes_on_bit_for_bit(network: str, tmp_path: Path) -> None:
    settings = config(f"network={network}", "batch_size=16", "augment.shuffle=shard")  # with dropout and distortions
    undisturbed, _ = start(settings)
    resumed, _ = start(settings)
    for step in range(9):
        advance(undisturbed)
        if step < 4:
            advance(resumed)
    checkpoint.save(tmp_path / "checkpoint.pt", settings, resumed, checkpoint.Progress(to_parquet(pd.DataFrame()), 0.0))
    fresh, _ = start(settings)
    checkpoint.restore(tmp_path / "checkpoint.pt", settings, fresh)
    for _ in range(5):
        advance(fresh)
    for (name, a), b in zip(undisturbed.model.state_dict().items(), fresh.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_probes_change_nothing_in_a_network_with_dropout(tmp_path: Path) -> None:
    watched, unwatched = ["probes.activation_steps=3", "probes.evaluate_every=1"], ["probes.activation_steps=0"]
    ends = []
    for name, probed in (("a", watched), ("b", unwatched)):
        settings = config("steps=3", f"runs_root={tmp_path / name}", *probed)
        state, _ = start(settings)
        checkpoint.restore(run(settings).checkpoint, settings, state)
        ends.append(state.model.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize("row", ["4d", "4e"])  # with a 1x1 branch, and without
def test_percentiles_of_a_block_are_those_of_its_inputs(row: str) -> None:
    settings = config("network=bn_baseline", "augment.flip=false")
    state, dataset = start(settings)
    from bnrepro.probes import NonlinearityInputs

    rows = {(m.layer, m.metric): m.values for m in NonlinearityInputs(dataset.test, frozenset()).measure(state)}
    seen: list[torch.Tensor] = []
    block = state.model.blocks[row]  # type: ignore[union-attr, index]
    for branch in list(block.children())[-1].branches:  # type: ignore[union-attr]
        last = [m for m in branch.modules() if isinstance(m, torch.nn.ReLU)][-1:]
        for nonlinearity in last:
            nonlinearity.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    state.model.train()
    state.model.dropout.p = 0  # type: ignore[union-attr]
    state.model(dataset.test.inputs.unsqueeze(0))
    x = torch.cat([s.detach().transpose(0, 1).flatten(1) for s in seen]).numpy()
    for p in (15, 50, 85):
        np.testing.assert_allclose(rows[row, f"block_input_p{p}"].numpy(), [np.percentile(x, p)], atol=1e-4)
        per_map = rows[row, f"input_p{p}"][0].numpy()
        assert len(per_map) == 16
        np.testing.assert_allclose(per_map[0], np.percentile(x[0], p), atol=1e-4)
        np.testing.assert_allclose(per_map[-1], np.percentile(x[-1], p), atol=1e-4)


def test_predictions_are_the_networks_and_their_mean_over_18_crops() -> None:
    settings = config("network=bn_x5", "augment.pad=2", "probes.predictions=true")
    state, dataset = start(settings)
    table = predictions(settings, dataset, state)
    images = dataset.test.inputs
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    views = [padded[:, :, i : i + 32, j : j + 32] for i in (0, 2, 4) for j in (0, 2, 4)]
    with population(settings, dataset).of(state.model), torch.no_grad():
        expected = state.model(images.unsqueeze(0))[0].softmax(dim=1)
        both = [state.model(v.unsqueeze(0))[0].softmax(dim=1) for view in views for v in (view, view.flip(-1))]
    single = table[table["crops"] == 1].pivot(index="example", columns="class", values="probability")
    np.testing.assert_allclose(single, expected, atol=1e-5)
    several = table[table["crops"] == 18].pivot(index="example", columns="class", values="probability")
    np.testing.assert_allclose(several, torch.stack(both).mean(dim=0), atol=1e-5)
    assert table.groupby("example")["label"].first().tolist() == dataset.test.labels.tolist()


def test_every_network_goes_from_its_run_to_the_report(records: list[Record], tmp_path: Path) -> None:
    for experiment in EXPERIMENTS:
        of_it = [record for record in records if record.config["experiment"] == experiment]
        results.add(tmp_path, experiment, of_it, ["command"] * len(of_it))
    results.refresh(tmp_path)
    accuracy = tables.read(tmp_path / "shapes/fig2_accuracy.csv")
    assert accuracy["network"].unique().tolist() == [job[-1].removeprefix("network=") for job in NETWORKS]
    one = records[0].read_metrics().query("split == 'test' and metric == 'accuracy'")
    ours = accuracy[accuracy["network"] == "inception"]
    np.testing.assert_allclose(ours["accuracy"], one["value"])
    assert set(accuracy["classes"]) == {10}
    drift = tables.read(tmp_path / "shapes/fig2_drift.csv")
    order = ["stem", "3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    assert drift.query("network == 'bn_x5'")["layer"].tolist() == order
    norms = tables.read(tmp_path / "shapes/fig2_norms.csv").query("network == 'bn_x5'")
    assert norms["layer"].unique().tolist() == [*order, "output"]
    steps = sorted(records[0].read_metrics().query("metric == 'weight_norm'")["step"].unique())
    assert norms["step"].unique().tolist() == steps  # a short run: all of them
    (last,) = norms.query("layer == '5b' and step == 6").to_dict("records")
    (bn_x5,) = [r for r in records if (r.config["experiment"], r.config["network"]) == ("fig2", "bn_x5")]
    (expected,) = bn_x5.read_metrics().query("layer == '5b' and step == 6 and metric == 'gradient_norm'")["value"]
    assert last["gradient_norm"] == pytest.approx(expected, rel=1e-5)
    claims = tables.read(tmp_path / "claims.csv")
    run = claims[claims["seeds"] > 0]
    assert {"max-order:bn-x5", "x5-diverges-without-bn"} <= set(run["id"])
    other = claims["id"].str.match("abl-|multicrop|ensemble|small-inception|higher-lr")
    two_networks = claims["id"].str.endswith(":paper-rates")  # all that this module trains at these rates
    other |= two_networks & ~claims["id"].str.match("bn-half-steps|max-order:bn-baseline")
    assert set(claims.loc[other, "verdict"]) == {"not run"}
    assert set(claims.loc[~other, "verdict"]) == {"inconclusive"}  # one seed is no evidence
    for name in ("fig2", "fig2_blocks", "fig2_drift", *EXPERIMENTS[1:]):
        assert (tmp_path / f"shapes/figures/{name}.png").stat().st_size > 10_000
    assert "x5-speedup" in (tmp_path / "report.html").read_text()
    report.build(tmp_path)


def test_base_rates_are_read_on_held_out_images(records: list[Record]) -> None:
    of_it = [record for record in records if record.config["experiment"] == "fig2_base_rate"]
    table = tables.fig2_base_rate(of_it)["fig2_base_rate"]
    held_out = of_it[1].read_metrics().query("split == 'held_out' and metric == 'accuracy'")["value"]
    row = table[table["lr"] == 0.01]
    assert row["held_out_last"].item() == held_out.iloc[-1]
    assert row["held_out_best"].item() == held_out.max()


def test_a_run_that_diverges_ends_as_such_with_its_step(tmp_path: Path) -> None:
    settings = config("optim.lr=1e20", "steps=5", f"runs_root={tmp_path}", "probes.activation_steps=2")
    record = run(settings)
    assert record.status["status"] == "diverged"
    ends = tables.fig2([record])["fig2_ends"]
    assert isinstance(ends, pd.DataFrame)
    assert 1 <= ends["diverged_at"].item() <= 5
    assert run(settings).status == record.status

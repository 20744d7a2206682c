"""The studies of Sections 2 and 3 against independent computations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from bnrepro import data
from bnrepro.claims import exact as claims_of_exact
from bnrepro.config import RunConfig, WhiteningCostConfig
from bnrepro.data import Dataset, Examples
from bnrepro.errors import BadInput
from bnrepro.evaluate import evaluate
from bnrepro.models import MLP
from bnrepro.norm import BatchNorm, batch_norm, exact_population
from bnrepro.run import run
from bnrepro.state import initial
from bnrepro.theory import draw, drift, exact, jacobian, population, whitening_cost
from bnrepro.train import advance
from conftest import Make


def loaded(config: RunConfig) -> Dataset:
    return data.load(config.data, Path(config.data_root))


def test_every_exact_statement_holds_and_a_wrong_one_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exact.measure(trials=5)
    assert table[table["quantity"].str.startswith("batch-coupling:training")]["value"].min() > 0.05
    worst = table.groupby("quantity")["value"].max().drop(["batch-coupling:training", "scale-invariance:curve"])
    assert worst.drop("alg1-backward:differences").max() < 1e-12
    assert worst["alg1-backward:differences"] < 1e-7

    def biased_twice(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float) -> tuple[torch.Tensor, ...]:
        m = x.numel() // gamma.numel()
        y, mean, variance = batch_norm(x, gamma * ((m - 1) / m) ** 0.5, beta, eps)  # the unbiased variance
        return y, mean, variance

    monkeypatch.setattr(draw, "batch_norm", biased_twice)
    monkeypatch.setattr(exact, "batch_norm", biased_twice)
    wrong = exact.measure(trials=5).groupby("quantity")["value"].max()
    for name in (
        "alg1-moments",
        "alg1-moments:eps",
        "alg1-identity",
        "alg1-backward:framework",
        "alg1-backward:autograd",
    ):
        assert wrong[name] > 1e-3, name


def test_a_parameter_less_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutShift(BatchNorm):
        def __init__(self, shape: tuple[int, ...], eps: float, momentum: float) -> None:
            super().__init__(shape, eps, momentum)
            self.bias.requires_grad_(False)
            self.register_parameter("bias", None)

    monkeypatch.setattr(exact, "BatchNorm", WithoutShift)
    assert exact.two_parameters(exact.Draw(torch.Generator().manual_seed(0))) > 0


def test_an_examples_output_varies_with_its_mates_as_first_order_theory_says() -> None:
    assert exact.COUPLED == claims_of_exact.COUPLED
    draws = [exact.Draw(torch.Generator().manual_seed(seed)) for seed in range(60)]
    measured = np.mean([exact.coupling_training(draw) for draw in draws])
    x = np.random.default_rng(0).standard_normal(200_000)
    expected = np.mean(np.sqrt((1 + x**2 / 2) / 60))
    assert claims_of_exact.coupling_expected() == pytest.approx(expected, rel=2e-3)
    assert measured == pytest.approx(expected, rel=0.08)


def test_epsilon_breaks_scale_invariance_where_the_weights_are_small() -> None:
    table = exact.measure(trials=3)
    curve = table[table["quantity"] == "scale-invariance:curve"].groupby(["eps", "a"])["value"].max()
    assert curve[0.0].max() < 1e-13
    smallest, largest = curve[1e-5].index.min(), curve[1e-5].index.max()
    assert curve[1e-5][smallest] > 100 * curve[1e-5][largest] > 1e-9


def test_the_bias_of_the_example_follows_its_closed_form() -> None:
    table = drift.example(seed=3)
    bias = table[table["quantity"] == "bias"].set_index("step")["value"]
    per_step = bias.diff().iloc[1:] / np.diff(bias.index)
    np.testing.assert_allclose(per_step, per_step.iloc[0], rtol=1e-9)
    assert abs(bias.iloc[-1]) > 50
    assert table.loc[table["quantity"] == "loss", "value"].std() < 1e-12
    assert table.loc[table["quantity"] == "error", "value"].max() < 1e-10


def test_in_the_network_the_bias_drifts_only_outside_the_gradient(small: Make) -> None:
    config = small("experiment=theory", "study=naive_drift", "steps=40")
    table = drift.measure(config, config.study, loaded(config), torch.device("cpu"))  # type: ignore[arg-type]
    last = table[(table["step"] == 40) & (table["quantity"] == "bias") & (table["lr"] == 0.14)]
    norms = last.groupby("arm")["value"].max()
    assert norms["batch"] < 1e-6
    assert norms[["centre_detached", "centre_scale_detached"]].min() > 1e-3
    assert set(table["lr"].round(6)) == {0.14, 1.4, drift.EXAMPLE_LR}
    assert set(table["arm"]) == {"example", "batch", "centre_detached", "centre_scale_detached", "none"}


@pytest.mark.parametrize("arm", ["centre_detached", "centre_scale_detached", "none"])
def test_each_arm_of_the_drift_is_what_its_name_says_at_its_rate(small: Make, arm: str) -> None:
    """The first loss and the first step of the biases, by hand: no normalisation has a gradient."""
    config = small("experiment=theory", "study=naive_drift", "steps=1", "seeds=[3]")
    dataset = loaded(config)
    table = drift.measure(config, config.study, dataset, torch.device("cpu"))  # type: ignore[arg-type]
    rows = table[table["arm"] == arm]
    state = initial(replace(config, norm=drift.arms(config)[arm]), dataset, torch.device("cpu"))
    batch, model = state.sampler.next(), state.model
    assert isinstance(model, MLP)

    def loss(examples: Examples) -> torch.Tensor:
        images = examples.images.reshape(-1, 64)
        u = images
        for linear in model.linears:
            x = u @ linear.weight[0] + linear.bias[0]  # type: ignore[index,operator]
            if arm != "none":
                x = x - x.mean(dim=0).detach()
            if arm == "centre_scale_detached":
                x = x / torch.sqrt(x.square().mean(dim=0).detach() + 1e-5)
            u = torch.sigmoid(x)
        return functional.cross_entropy(u @ model.output.weight[0] + model.output.bias[0], examples.labels.flatten())  # type: ignore[index]

    watched = loss(dataset.train[: drift.WATCHED])
    first = rows[(rows["quantity"] == "loss") & (rows["step"] == 0)]["value"]
    np.testing.assert_allclose(first, watched.item(), rtol=1e-5)
    loss(batch).backward()
    for lr in (0.14, 1.4):
        for layer, linear in model.layers().items():
            if layer != "output":
                at = (rows["layer"] == layer) & (rows["quantity"] == "bias") & (rows["step"] == 1)
                moved = rows[at & np.isclose(rows["lr"], lr)]["value"].item()
                assert moved == pytest.approx(lr * float(linear.bias.grad.norm()), rel=1e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
@pytest.mark.parametrize("nonlinearity", ["sigmoid", "relu"])
def test_jacobians_are_those_of_autograd(small: Make, network: str, nonlinearity: str) -> None:
    config = small(f"network={network}", f"model.nonlinearity={nonlinearity}", "model.hidden=[6,5]", "seeds=[0,1]")
    dataset = loaded(config)
    state = initial(config, dataset, torch.device("cpu"))
    state.model.double()
    with torch.no_grad():
        for norm in state.model.norms or []:
            norm.weight.uniform_(0.5, 2)  # type: ignore[union-attr,operator]
    watched = replace(dataset.train[:32], images=dataset.train.images[:32].double())
    inputs, before = jacobian.run_network(state, watched, 2)
    y, x_next = inputs[0].detach(), before[1].detach()
    weight = state.model.linears[1].weight.detach()  # type: ignore[union-attr]
    g = state.model.nonlinearities[0]
    J = jacobian.jacobians(g, y, x_next, weight, examples=3)
    assert J.shape == (2, 3, 5, 6)
    raw = jacobian.raw_jacobians(g, y, weight, examples=3)
    mean, deviation = y.mean(dim=1), y.std(dim=1, correction=0)
    mean_next, deviation_next = x_next.mean(dim=1), x_next.std(dim=1, correction=0)

    for r in range(2):

        def layer(x_hat: torch.Tensor, r: int = r) -> torch.Tensor:
            x = g(x_hat * deviation[r] + mean[r]) @ weight[r]
            return (x - mean_next[r]) / deviation_next[r]

        for example in range(3):
            x_hat = (y[r, example] - mean[r]) / deviation[r]
            torch.testing.assert_close(J[r, example], torch.autograd.functional.jacobian(layer, x_hat))
            own = torch.autograd.functional.jacobian(lambda at, r=r: g(at) @ weight[r], y[r, example])
            torch.testing.assert_close(raw[r, example], own)


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
def test_the_singular_values_of_all_layers_are_taken_together(small: Make, network: str) -> None:
    config = small(f"network={network}", "model.nonlinearity=relu", "model.hidden=[6,5,7]", "seeds=[0,1]")
    dataset = loaded(config)
    state = initial(config, dataset, torch.device("cpu"))
    table = jacobian.look(state, [0, 1], dataset.train[:32], examples=3)
    inputs, before = jacobian.run_network(state, dataset.train[:32], 2)
    assert set(table["reading"]) == {"", "normalised", "raw"} - ({"raw"} if network == "mlp_bn" else set())
    for reading in set(table["reading"]) - {""}:
        rows = table[table["reading"] == reading]
        assert set(rows["layer"]) == {0}
        for r in range(2):
            found = []
            for i in range(2):
                y, x = inputs[i][r].detach().numpy(), before[i + 1][r].detach().numpy()
                weight = state.model.linears[i + 1].weight[r].detach().numpy()  # type: ignore[union-attr,index]
                for example in range(3):
                    J = weight.T * (y[example] > 0)
                    if reading == "normalised":
                        J = J * y.std(axis=0) / x.std(axis=0)[:, None]
                    found.append(np.linalg.svd(J, compute_uv=False))
            values = np.concatenate(found)
            of_seed = rows[rows["seed"] == r].set_index("quantity")["value"]
            assert of_seed["near_1"] == pytest.approx(np.mean((values >= 0.5) & (values <= 2)))
            assert of_seed["mean_square"] == pytest.approx(np.mean(values**2), rel=1e-4)
            assert of_seed["q75"] == pytest.approx(np.quantile(values, 0.75), rel=1e-4)


def test_near_1_is_within_a_factor_of_2() -> None:
    values = torch.tensor([0.26, 0.49, 0.51, 1.0, 1.9, 2.1, 3.9, 5.0], dtype=torch.float64)
    found = jacobian.spectrum(values)
    assert found["near_1"] == 3 / 8
    assert found["mean_square"] == pytest.approx(float(values.square().mean()))
    assert (found["q05"], found["q50"]) == pytest.approx((float(np.quantile(values, 0.05)), 1.45))
    assert all(np.isnan(value) for value in jacobian.spectrum(values * float("nan")).values())


def test_a_layer_that_does_not_vary_leaves_the_own_jacobian_alone(small: Make) -> None:
    config = small("network=mlp", "model.hidden=[6,5,7]", "seeds=[0,1]")
    dataset = loaded(config)
    state = initial(config, dataset, torch.device("cpu"))
    with torch.no_grad():
        state.model.linears[1].weight[1] = 0  # type: ignore[union-attr,operator,index]
    table = jacobian.look(state, [0, 1], dataset.train[:32], examples=3)
    values = table[table["quantity"] == "near_1"].set_index(["reading", "seed"])["value"]
    assert values.isna().to_dict() == {
        ("normalised", 0): False,
        ("normalised", 1): True,
        ("raw", 0): False,
        ("raw", 1): False,
    }


def test_gradients_go_through_the_mini_batchs_statistics(small: Make) -> None:
    config = small("network=mlp_bn", "model.hidden=[6,5]", "seeds=[0]")
    dataset = loaded(config)
    state = initial(config, dataset, torch.device("cpu"))
    table = jacobian.look(state, [0], dataset.train[:32], examples=2)
    inputs, _ = jacobian.run_network(state, dataset.train[:32], 1)
    z = inputs[1].detach()[0].requires_grad_()
    logits = torch.sigmoid(z) @ state.model.output.weight[0] + state.model.output.bias[0]  # type: ignore[index]
    (expected,) = torch.autograd.grad(functional.cross_entropy(logits, dataset.train.labels[:32]), z)
    measured = table[(table["quantity"] == "gradient") & (table["layer"] == 2)]["value"].item()
    assert measured == pytest.approx(float(expected.square().sum()), rel=1e-5)


def test_whitening_cost_finds_the_rank(small: Make) -> None:
    study = WhiteningCostConfig("whitening_cost", widths=[4, 16], rounds=3)
    table = whitening_cost.measure(study, batch=8, device=torch.device("cpu"))
    ranks = table[table["quantity"] == "rank"].set_index("width")["value"]
    assert ranks.to_dict() == {4: 4, 16: 7}
    assert (table["value"] > 0).all()
    assert set(table["batch"]) == {8}
    folded = whitening_cost.inference(torch.randn(8, 16))
    torch.testing.assert_close(folded["folded"](), folded["unfolded"]())
    assert table.groupby("quantity").size()[["batch", "whitening", "folded", "unfolded"]].tolist() == [6] * 4


@pytest.mark.parametrize("impl", ["fused", "paper"])
def test_a_study_leaves_a_record_and_is_not_done_twice(
    small: Make, impl: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("experiment=theory", "study=population", "steps=5", "study.batch_sizes=[4]", f"norm.impl={impl}")
    record = run(small(*overrides))
    table = record.read_metrics()
    assert set(table["population"]) == {"exact", "moving"}
    assert record.ended
    run(small(*overrides))
    assert "nothing to do" in capsys.readouterr().out
    pd.testing.assert_frame_equal(record.read_metrics(), table)


def test_exact_and_moving_statistics_are_not_mistaken_for_each_other(small: Make) -> None:
    config = small("experiment=theory", "study=population", "steps=8", "study.batch_sizes=[16]", "seeds=[0,1]")
    dataset = loaded(config)
    table = population.measure(config, config.study, dataset, torch.device("cpu"))  # type: ignore[arg-type]
    state = initial(replace(config, batch_size=16), dataset, torch.device("cpu"))
    for _ in range(8):
        advance(state)
    accuracy, loss = evaluate(state.model, dataset.held_out, 2)  # by the averages, as they stand
    last = table[table["step"] == 8].set_index(["population", "seed"])
    np.testing.assert_allclose(last.loc["moving", "loss"], loss, rtol=1e-6)
    np.testing.assert_allclose(last.loc["moving", "accuracy"], accuracy)
    whole = dataset.train.inputs.expand(2, *dataset.train.inputs.shape)
    with exact_population(state.model, [whole]):
        _, expected = evaluate(state.model, dataset.held_out, 2)  # of all training examples at once
    np.testing.assert_allclose(last.loc["exact", "loss"], expected, rtol=0.02)
    assert (abs(last.loc["moving", "loss"] - expected.numpy()) > 0.02 * expected.numpy()).all()


def test_the_population_study_needs_held_out_examples(small: Make) -> None:
    with pytest.raises(BadInput, match=r"data\.held_out is 0"):
        run(small("experiment=theory", "study=population", "data.held_out=0"))


def test_written_out_and_fused_bn_train_to_the_same_weights(small: Make) -> None:
    states = []
    for impl in ("fused", "paper"):
        config = small("network=mlp_bn", f"norm.impl={impl}", "optim.lr=0.1")
        state = initial(config, loaded(config), torch.device("cpu"))
        for _ in range(200):
            advance(state)
        states.append(state.model.state_dict())
    assert not torch.equal(states[0]["linears.0.weight"], states[1]["linears.0.weight"])  # two ways, not one
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=2e-3, atol=2e-4)


def test_exact_population_statistics_are_used_where_asked(small: Make) -> None:
    overrides = ("network=mlp_bn", "steps=3", "probes.evaluate_every=3", "norm.population_batches=20")
    exact_run, moving_run = (run(small(*overrides, f"norm.population={name}")) for name in ("exact", "moving"))
    accuracy = [
        record.read_metrics().query("metric == 'accuracy' and split == 'test'")["value"].mean()
        for record in (exact_run, moving_run)
    ]
    assert accuracy[0] > accuracy[1] + 0.02  # after three steps the moving averages still hold their first values

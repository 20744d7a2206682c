"""The studies of Sections 2 and 3 against independent computations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from bnrepro import data
from bnrepro.config import RunConfig, WhiteningCostConfig
from bnrepro.data import Dataset
from bnrepro.errors import BadInput
from bnrepro.norm import batch_norm
from bnrepro.run import run
from bnrepro.state import initial
from bnrepro.theory import drift, exact, jacobian, whitening_cost
from bnrepro.train import advance
from conftest import Make


def loaded(config: RunConfig) -> Dataset:
    return data.load(config.data, Path(config.data_root))


def test_every_exact_statement_holds_and_a_wrong_one_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    table = exact.measure(trials=5)
    worst = table.groupby("quantity")["value"].max().drop(["batch-coupling:training", "scale-invariance:curve"])
    assert worst.drop("alg1-backward:differences").max() < 1e-12
    assert worst["alg1-backward:differences"] < 1e-7

    def biased_twice(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float) -> tuple[torch.Tensor, ...]:
        m = x.numel() // gamma.numel()
        y, mean, variance = batch_norm(x, gamma * ((m - 1) / m) ** 0.5, beta, eps)  # the unbiased variance
        return y, mean, variance

    monkeypatch.setattr(exact, "batch_norm", biased_twice)
    wrong = exact.measure(trials=5).groupby("quantity")["value"].max()
    for name in ("alg1-moments", "alg1-identity", "alg1-backward:framework", "alg1-backward:autograd"):
        assert wrong[name] > 1e-3, name


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
    mean, deviation = y.mean(dim=1), y.std(dim=1, correction=0)
    mean_next, deviation_next = x_next.mean(dim=1), x_next.std(dim=1, correction=0)

    for r in range(2):

        def layer(x_hat: torch.Tensor, r: int = r) -> torch.Tensor:
            x = g(x_hat * deviation[r] + mean[r]) @ weight[r]
            return (x - mean_next[r]) / deviation_next[r]

        for example in range(3):
            x_hat = (y[r, example] - mean[r]) / deviation[r]
            torch.testing.assert_close(J[r, example], torch.autograd.functional.jacobian(layer, x_hat))


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

"""The step written out against autograd's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bnrepro import data
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.probes import Norms
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import load

CPU = torch.device("cpu")


def settings(*overrides: str) -> RunConfig:
    return load(["data=digits", "seeds=[0,1,2,3,4,5,6]", "batch_size=30", "runtime.device=cpu", *overrides])


def both(config: RunConfig) -> tuple[State, State]:
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop)
    by_autograd = replace(config, runtime=replace(config.runtime, step="autograd"))
    states = initial(config, dataset, CPU), initial(by_autograd, dataset, CPU)
    for state in states:
        state.model.double()
        state.loss = state.loss.double()
        if state.optimiser.rates is not None:
            state.optimiser.rates = state.optimiser.rates.double()
        state.sampler.train = replace(state.sampler.train, images=state.sampler.train.images.double())
    assert states[0].written_out
    assert not states[1].written_out
    states[0].written_out = type(states[0].written_out)(states[0].model)  # of the parameters in double precision
    return states


@pytest.mark.parametrize("nonlinearity", ["sigmoid", "relu"])
@pytest.mark.parametrize(
    "overrides",
    [
        ["network=mlp"],
        ["network=mlp_bn"],
        ["network=mlp_bn", "norm.bias=true", "norm.eps=0.1", "norm.momentum=0.3"],
        ["network=mlp_bn", "optim.rates=[0.01,1]"],
        ["network=mlp", "model.hidden=[20]"],
    ],
    ids=" ".join,
)
def test_thirty_steps_are_autograds(overrides: list[str], nonlinearity: str) -> None:
    written_out, by_autograd = both(settings(*overrides, f"model.nonlinearity={nonlinearity}", "model.init_std=0.3"))
    for _ in range(30):
        advance(written_out)
        advance(by_autograd)
        torch.testing.assert_close(written_out.loss, by_autograd.loss, rtol=1e-10, atol=1e-12)
    for (name, ours), (_, theirs) in zip(
        written_out.model.state_dict().items(), by_autograd.model.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")
    norms = [Norms(frozenset({30})).measure(state) for state in (written_out, by_autograd)]
    for ours, theirs in zip(*norms, strict=True):
        torch.testing.assert_close(ours.values, theirs.values)


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
def test_the_same_replicas_diverge_at_any_rate(network: str) -> None:
    """In single precision, where the rate must not multiply what goes on down the network."""
    rates = "optim.rates=[1e-38,1e-30,1,100,1e10,1e15,1e20,1e25,1e30]"
    config = settings(f"network={network}", rates, "seeds=[0,1]")
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop)
    by_autograd = replace(config, runtime=replace(config.runtime, step="autograd"))
    ours, theirs = initial(config, dataset, CPU), initial(by_autograd, dataset, CPU)
    for _ in range(20):
        advance(ours)
        advance(theirs)
    assert ours.diverged_at.tolist() == theirs.diverged_at.tolist()
    for mine, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        if mine.grad is not None:  # of the two lowest rates: from the same weights still, to rounding
            lowest = [0, 1, 9, 10]
            torch.testing.assert_close(mine.grad[lowest], other.grad[lowest], rtol=1e-3, atol=1e-6)  # type: ignore[index]


def test_asking_for_gradients_changes_nothing() -> None:
    asked, unasked = both(settings("network=mlp_bn"))[0], both(settings("network=mlp_bn"))[0]
    for _ in range(5):
        advance(asked, gradients=True)
        advance(unasked, gradients=False)
    assert all(weight.grad is not None for layer in asked.model.weights().values() for weight in layer)
    assert all(weight.grad is None for layer in unasked.model.weights().values() for weight in layer)
    for ours, theirs in zip(asked.model.parameters(), unasked.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
def test_a_replica_that_diverges_leaves_the_others_alone(network: str) -> None:
    healthy, poisoned = both(settings(f"network={network}"))[0], both(settings(f"network={network}"))[0]
    with torch.no_grad():
        next(iter(poisoned.model.parameters()))[1, 0, 0] = torch.nan
    for _ in range(3):
        advance(healthy)
        advance(poisoned)
    assert poisoned.diverged_at.tolist() == [0, 1, 0, 0, 0, 0, 0]
    others = [0, 2, 3, 4, 5, 6]
    for ours, theirs in zip(poisoned.model.parameters(), healthy.model.parameters(), strict=True):
        assert torch.equal(ours[others], theirs[others])


def test_a_seed_does_not_depend_on_the_others() -> None:
    whole, alone = both(settings("network=mlp_bn"))[0], both(settings("network=mlp_bn", "seeds=[6]"))[0]
    for _ in range(5):
        advance(whole)
        advance(alone)
    for ours, theirs in zip(whole.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(ours[-1], theirs[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "overrides",
    [
        ["network=mlp_whitening"],
        ["network=mlp_bn", "norm.impl=paper"],
        ["network=mlp", "optim.momentum=0.9"],
        ["network=mlp", "optim.l2=0.1"],
        ["network=mlp", "optim.half_life=0.5"],
        ["network=bn_baseline", "data=shapes", "seeds=[0]"],
        ["network=mlp_bn", "study=population"],
    ],
    ids=" ".join,
)
def test_what_has_no_step_written_out_takes_autograds(overrides: list[str]) -> None:
    assert settings(*overrides).runtime.step == "autograd"
    with pytest.raises(BadInput, match=r"runtime.step is 'written_out'.*auto or autograd here"):
        settings(*overrides, "runtime.step=written_out")

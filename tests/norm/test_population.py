"""Algorithm 2: exact population statistics, and folding."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnrepro.norm import BatchNorm, DetachedNorm, Whitening, batch_statistics, exact_population, fold


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("m", [2, 3])
def test_over_all_mini_batches_of_a_population_the_moments_are_the_populations(m: int) -> None:
    population = torch.randn(5, 4, dtype=torch.float64, generator=generator())
    every = [population[list(index)] for index in itertools.product(range(5), repeat=m)]
    norm = BatchNorm((4,), eps=1e-5, momentum=0.1).double()
    with exact_population(norm, every):
        torch.testing.assert_close(norm.running_mean, population.mean(dim=0))
        torch.testing.assert_close(norm.running_var, population.var(dim=0, correction=0))


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 9), st.integers(1, 6), st.integers(0, 2**31), st.floats(-50, 50), st.sampled_from([0.01, 1, 40]))
def test_the_moments_are_means_over_the_mini_batches(
    m: int, count: int, seed: int, offset: float, scale: float
) -> None:
    g = torch.Generator().manual_seed(seed)
    batches = [offset + scale * torch.randn(m, 3, dtype=torch.float64, generator=g) for _ in range(count)]
    norm = BatchNorm((3,), eps=1e-5, momentum=0.1).double()
    with exact_population(norm, batches):
        biased = np.mean([batch.numpy().var(axis=0) for batch in batches], axis=0)
        np.testing.assert_allclose(norm.running_mean, np.mean([b.numpy().mean(axis=0) for b in batches], axis=0))
        np.testing.assert_allclose(norm.running_var, m / (m - 1) * biased, rtol=1e-7)
        inputs = torch.cat(batches)
        alone = torch.cat([norm(example.unsqueeze(0)) for example in inputs])
        torch.testing.assert_close(norm(inputs), alone, rtol=1e-12, atol=1e-12)  # mates do not matter in inference


@pytest.mark.parametrize("foreign", [nn.BatchNorm1d(3), nn.SyncBatchNorm(3)])
def test_the_frameworks_own_norms_are_refused_and_nothing_changes(foreign: nn.Module) -> None:
    model = nn.Sequential(BatchNorm((3,), 1e-5, 0.1), foreign)
    name = type(foreign).__name__
    with pytest.raises(ValueError, match=f"framework's {name}"), exact_population(model, [torch.randn(4, 3)]):
        pass
    assert model[0].running_mean.eq(0).all()
    assert model.training


def network() -> nn.Sequential:
    layers = [nn.Conv2d(3, 6, 3), BatchNorm((6,), 1e-5, 0.1), nn.ReLU(), nn.Conv2d(6, 4, 3), BatchNorm((4,), 1e-5, 0.1)]
    return nn.Sequential(*layers).double()


def test_all_layers_are_estimated_and_then_stand_as_before() -> None:
    model = network()
    g = generator()
    batches = [(1 + i) * torch.randn(8, 3, 6, 6, dtype=torch.float64, generator=g) + 3 * i for i in range(3)]
    model(batches[0])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    seen = [(first := model[0](batch), model[3](model[2](model[1](first)))) for batch in batches]
    model.load_state_dict(before)
    with exact_population(model, batches):
        assert not model.training
        for norm, inputs in zip((model[1], model[4]), zip(*seen, strict=True), strict=True):
            means = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(dim=0)
            variances = torch.stack([x.var((0, 2, 3), correction=1) for x in inputs]).mean(dim=0)
            torch.testing.assert_close(norm.running_mean, means)
            torch.testing.assert_close(norm.running_var, variances)
    assert model.training
    assert model[4].momentum == 0.1
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_no_mini_batches_are_refused_and_nothing_changes() -> None:
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="over no mini-batch"), exact_population(model, []):
        pass
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model[1].momentum == 0.1


@pytest.mark.parametrize("norm", [DetachedNorm((4,), 1e-5, 0.1, scale=True), Whitening((4,), 1e-5, 0.1)])
def test_the_other_norms_take_population_statistics_too(norm: nn.Module) -> None:
    norm, g = norm.double(), generator()
    batches = [torch.randn(50, 4, dtype=torch.float64, generator=g) * 3 + 5 for _ in range(20)]
    with exact_population(norm, batches):
        y = norm(torch.cat(batches))
        torch.testing.assert_close(norm.running_mean, torch.cat(batches).mean(dim=0))
        mean_covariance = torch.stack([torch.cov(batch.T) for batch in batches]).mean(dim=0)
        expected = mean_covariance if isinstance(norm, Whitening) else mean_covariance.diagonal()
        torch.testing.assert_close(norm.running_spread(), expected)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(4, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.std(dim=0), torch.ones(4, dtype=torch.float64), atol=0.03, rtol=0)


def trained(norm: BatchNorm) -> BatchNorm:
    g = generator()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(norm.shape, generator=g))
        norm.running_var.copy_(torch.rand(norm.shape, generator=g) + 0.1)
    return norm.double().eval()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31), st.sampled_from([0.01, 1.0, 50.0]))
def test_folding_changes_no_output_whatever_the_moments(inputs: int, outputs: int, seed: int, scale: float) -> None:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=g)

    norm = BatchNorm((outputs,), 1e-5, 0.1).double().eval()
    with torch.no_grad():
        for tensor, values in zip(norm.state_dict().values(), (1, 1, scale, scale), strict=True):
            tensor.copy_(values * draw(outputs))
        norm.running_var.abs_()
    u, weight, bias = 10 * scale + draw(5, inputs), scale * draw(outputs, inputs), 10 * draw(outputs)
    expected = norm(nn.functional.linear(u, weight, bias))
    ours = nn.functional.linear(u, *fold(norm, weight, bias))
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", ["linear", "convolution"])
def test_a_folded_layer_does_what_layer_and_norm_did(layer: str, bias: bool) -> None:
    before = (nn.Linear(3, 6, bias=bias) if layer == "linear" else nn.Conv2d(3, 6, 3, bias=bias)).double()
    x = torch.randn(5, 3, *(() if layer == "linear" else (7, 7)), dtype=torch.float64, generator=generator())
    norm = trained(BatchNorm((6,), 1e-5, 0.1))
    expected = norm(before(x))
    weight, folded_bias = fold(norm, before.weight, before.bias)
    apply = nn.functional.linear if layer == "linear" else nn.functional.conv2d
    torch.testing.assert_close(apply(x, weight, folded_bias), expected)


def test_a_folded_stack_does_what_layers_and_norms_did() -> None:
    weight, bias = torch.randn(2, 3, 6, dtype=torch.float64), torch.randn(2, 1, 6, dtype=torch.float64)
    u = torch.randn(2, 5, 3, dtype=torch.float64)
    norm = trained(BatchNorm((2, 6), 1e-5, 0.1))
    folded_weight, folded_bias = fold(norm, weight, bias)
    torch.testing.assert_close(u @ folded_weight + folded_bias, norm(u @ weight + bias))


def test_a_layer_of_another_width_is_not_folded() -> None:
    with pytest.raises(ValueError, match=r"weight has shape \(7, 3\): BN over \(6,\) wants \(C, inputs\) or"):
        fold(BatchNorm((6,), 1e-5, 0.1), torch.zeros(7, 3))


def test_what_is_no_affine_map_of_each_activation_is_not_folded() -> None:
    with pytest.raises(ValueError, match="a Whitening does not fold"):
        fold(Whitening((3,), 1e-3, 0.1), torch.zeros(3, 4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the bias has shape \(1,\): BN over \(3,\) wants \(3,\)"):
        fold(BatchNorm((3,), 1e-5, 0.1), torch.zeros(3, 4), torch.zeros(1))
    with pytest.raises(ValueError, match=r"the bias has shape \(3, 3\): BN over \(3, 3\) wants \(3, 1, 3\)"):
        fold(BatchNorm((3, 3), 1e-5, 0.1), torch.zeros(3, 4, 3), torch.zeros(3, 3))


def test_exact_statistics_do_not_depend_on_what_the_averages_were() -> None:
    bn = BatchNorm((3,), 1e-5, 0.1)
    batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    bn(batch * float("nan"))
    with exact_population(bn, [batch]):
        torch.testing.assert_close(bn.running_mean, batch.mean(dim=0))
        torch.testing.assert_close(bn.running_var, batch.var(dim=0))
    assert bn.running_mean.isnan().all()
    with pytest.raises(ValueError, match=r"shapes \(8, 3\) and \(4, 3\)"), exact_population(bn, [batch, batch[:4]]):
        pass


def test_exact_statistics_leave_every_mode_as_it_was() -> None:
    frozen = BatchNorm((3,), 1e-5, 0.1)
    network = nn.Sequential(nn.Linear(3, 3), frozen, nn.Dropout(0.5))
    frozen.eval()
    with batch_statistics(network), exact_population(network, [torch.randn(8, 3)]):
        assert not frozen.running_mean.eq(0).all()
    assert (network.training, frozen.training, frozen.tracking, network[2].training) == (True, False, True, True)

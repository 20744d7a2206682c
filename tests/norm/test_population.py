"""Algorithm 2: exact population statistics, and folding."""

import itertools

import pytest
import torch
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


def network() -> nn.Sequential:
    layers = [nn.Conv2d(3, 6, 3), BatchNorm((6,), 1e-5, 0.1), nn.ReLU(), nn.Conv2d(6, 4, 3), BatchNorm((4,), 1e-5, 0.1)]
    return nn.Sequential(*layers).double()


def test_all_layers_are_estimated_and_then_stand_as_before() -> None:
    model = network()
    batches = [torch.randn(8, 3, 6, 6, dtype=torch.float64, generator=generator()) + i for i in range(3)]
    model(batches[0])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inputs_of_last = [model[3](model[2](model[1](model[0](batch)))) for batch in batches]
    model.load_state_dict(before)
    with exact_population(model, batches):
        assert not model.training
        means = torch.stack([x.mean((0, 2, 3)) for x in inputs_of_last]).mean(dim=0)
        variances = torch.stack([x.var((0, 2, 3), correction=1) for x in inputs_of_last]).mean(dim=0)
        torch.testing.assert_close(model[4].running_mean, means)
        torch.testing.assert_close(model[4].running_var, variances)
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
    norm = norm.double()
    batches = [torch.randn(50, 4, dtype=torch.float64, generator=generator()) * 3 + 5 for _ in range(20)]
    with exact_population(norm, batches):
        y = norm(torch.cat(batches))
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(4, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.std(dim=0), torch.ones(4, dtype=torch.float64), atol=0.03, rtol=0)


def trained(norm: BatchNorm) -> BatchNorm:
    g = generator()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(norm.shape, generator=g))
        norm.running_var.copy_(torch.rand(norm.shape, generator=g) + 0.1)
    return norm.double().eval()


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

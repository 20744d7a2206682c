"""The stack against one ordinary network per replica."""

import pytest
import torch
from torch import nn

from bnrepro import norm
from bnrepro.models import MLP
from conftest import load

WIDTHS = [12, 6, 5, 4]
SEEDS = [0, 3, 7]


def stack(network: str, seeds: list[int]) -> MLP:
    config = load([f"network={network}", "data=digits"])
    return MLP(WIDTHS, norm.build(config.norm, len(seeds)), 0.5, "sigmoid", seeds)


def ordinary(model: MLP, r: int) -> nn.Sequential:
    """Build the r-th replica from the framework's own layers."""
    parts: list[nn.Module] = []
    for layer, linear in enumerate([*model.linears, model.output]):
        weight = linear.weight[r]
        peer = nn.Linear(*weight.shape, bias=linear.bias is not None)
        with torch.no_grad():
            peer.weight.copy_(weight.T)
            if linear.bias is not None:
                peer.bias.copy_(linear.bias[r, 0])
        parts.append(peer)
        if layer < len(model.linears):
            if model.norms is not None:
                parts.append(nn.BatchNorm1d(weight.shape[1]))
            parts.append(nn.Sigmoid())
    return nn.Sequential(*parts)


@pytest.mark.parametrize("network", ["mlp", "mlp_bn"])
@pytest.mark.parametrize("training", [True, False])
def test_each_replica_is_the_ordinary_network(network: str, training: bool) -> None:
    model = stack(network, SEEDS).train(training)
    images = torch.rand(len(SEEDS), 9, WIDTHS[0], generator=torch.Generator().manual_seed(1))
    logits = model(images)
    logits.square().sum().backward()
    for r in range(len(SEEDS)):
        peer = ordinary(model, r).train(training)
        expected = peer(images[r])
        expected.square().sum().backward()
        torch.testing.assert_close(logits[r], expected)
        torch.testing.assert_close(model.linears[0].weight.grad[r].T, peer[0].weight.grad)


def test_weights_are_a_seeds_own_and_both_networks_share_them() -> None:
    alone, beside, with_bn = stack("mlp", [3]), stack("mlp", SEEDS), stack("mlp_bn", SEEDS)
    for a, b, c in zip(alone.layers().values(), beside.layers().values(), with_bn.layers().values(), strict=True):
        assert torch.equal(a.weight[0], b.weight[1])
        assert torch.equal(b.weight, c.weight)
        assert not torch.equal(b.weight[0], b.weight[1])


def test_weights_are_gaussian_with_the_given_scale() -> None:
    model = MLP([784, 100, 10], None, 0.05, "sigmoid", [0, 1])
    weight = model.linears[0].weight
    n = weight[0].numel()
    for r in range(2):
        assert abs(weight[r].mean().item()) < 5 * 0.05 / n**0.5
        assert weight[r].std().item() == pytest.approx(0.05, rel=5 / (2 * n) ** 0.5)
    assert torch.count_nonzero(model.linears[0].bias) == 0


def test_a_layer_before_bn_has_no_bias() -> None:
    model = stack("mlp_bn", SEEDS)
    assert all(linear.bias is None for linear in model.linears)
    assert model.output.bias is not None

"""BN against the framework's own module, one per replica."""

import pytest
import torch
from torch import nn

from bnrepro.norm import BatchNorm, batch_statistics

R, B, C = 3, 7, 5


def stack_and_peers(momentum: float = 0.1) -> tuple[BatchNorm, list[nn.BatchNorm1d]]:
    generator = torch.Generator().manual_seed(0)
    stack = BatchNorm((R, C), eps=1e-5, momentum=momentum).double()
    peers = [nn.BatchNorm1d(C, eps=1e-5, momentum=momentum).double() for _ in range(R)]
    with torch.no_grad():
        stack.weight.copy_(torch.randn(R, C, generator=generator))
        stack.bias.copy_(torch.randn(R, C, generator=generator))
        for r, peer in enumerate(peers):
            peer.weight.copy_(stack.weight[r])
            peer.bias.copy_(stack.bias[r])
    return stack, peers


def inputs(seed: int) -> torch.Tensor:
    return 2 + 3 * torch.randn(R, B, C, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_values_gradients_and_running_statistics_are_the_frameworks() -> None:
    stack, peers = stack_and_peers()
    for seed in range(3):
        x = inputs(seed).requires_grad_()
        y = stack(x)
        y.pow(3).sum().backward()
        for r, peer in enumerate(peers):
            x_r = inputs(seed)[r].requires_grad_()
            y_r = peer(x_r)
            y_r.pow(3).sum().backward()
            torch.testing.assert_close(y[r], y_r)
            torch.testing.assert_close(x.grad[r], x_r.grad)
            torch.testing.assert_close(stack.weight.grad[r], peer.weight.grad)
            torch.testing.assert_close(stack.bias.grad[r], peer.bias.grad)
            torch.testing.assert_close(stack.running_mean[r], peer.running_mean)
            torch.testing.assert_close(stack.running_var[r], peer.running_var)
    stack.eval()
    y = stack(inputs(9))
    for r, peer in enumerate(peers):
        torch.testing.assert_close(y[r], peer.eval()(inputs(9)[r]))


def test_algorithm_1_by_hand() -> None:
    stack, _ = stack_and_peers()
    x = inputs(0)
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, correction=0)
    expected = stack.weight.unsqueeze(1) * (x - mean) / (variance + 1e-5).sqrt() + stack.bias.unsqueeze(1)
    torch.testing.assert_close(stack(x), expected)


def test_algorithm_2_uses_the_unbiased_variance() -> None:
    stack, _ = stack_and_peers(momentum=1.0)  # the moving average is the last mini-batch's
    x = inputs(0)
    stack(x)
    torch.testing.assert_close(stack.running_var, x.var(dim=1, correction=1))


def test_batch_statistics_normalise_as_in_training_and_move_nothing() -> None:
    stack, _ = stack_and_peers()
    expected = stack(inputs(1))
    before = {key: value.clone() for key, value in stack.state_dict().items()}
    stack.eval()
    with batch_statistics(stack):
        seen = stack(inputs(1))
    torch.testing.assert_close(seen, expected, rtol=0, atol=0)
    assert not stack.training
    assert all(torch.equal(value, before[key]) for key, value in stack.state_dict().items())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_replicas_do_not_touch_each_other(bad: float) -> None:
    stack, _ = stack_and_peers()
    x, poisoned = inputs(0), inputs(0)
    poisoned[1, 2, 3] = bad
    healthy, beside = stack(x), stack(poisoned)
    for r in (0, 2):
        torch.testing.assert_close(healthy[r], beside[r], rtol=0, atol=0)

"""BN against the framework's own module, one per replica."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bnrepro.norm import BatchNorm, DetachedNorm, Whitening, batch_statistics

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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("written_out", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_every_kind_of_number_is_normalised_as_the_framework_does(
    dtype: torch.dtype, written_out: bool, training: bool
) -> None:
    ours, theirs = BatchNorm((C,), 1e-5, 0.1, written_out), nn.BatchNorm1d(C, eps=1e-5, momentum=0.1)
    if dtype == torch.float64:
        ours, theirs = ours.double(), theirs.double()
    x = inputs(0)[0].to(dtype)
    results = []
    for norm in (ours, theirs):
        norm(x)
        u = x.clone().requires_grad_()
        y = norm.train(training)(u)
        y.backward(inputs(1)[0].to(dtype))
        results.append((y, u.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var))
    tolerance = {torch.bfloat16: 3e-2, torch.float16: 4e-3, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for mine, other in zip(*results, strict=True):
        assert mine.dtype == other.dtype
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "make",
    [BatchNorm, Whitening, lambda *settings: DetachedNorm(*settings, scale=False)],
    ids=["bn", "whitening", "detached"],
)
@pytest.mark.parametrize(
    ("shape", "eps", "momentum", "words"),
    [
        ((3,), 0.0, 0.1, "ε is 0.0: it must be finite and above 0"),
        ((3,), -1e-5, 0.1, "ε is -1e-05"),
        ((3,), float("nan"), 0.1, "ε is nan"),
        ((3,), float("inf"), 0.1, "ε is inf"),
        ((3,), 1e-5, 0.0, "momentum is 0.0: the weight of the newest mini-batch is above 0"),
        ((3,), 1e-5, 1.5, "momentum is 1.5"),
        ((3,), 1e-5, float("nan"), "momentum is nan"),
        ((2, 3, 4), 1e-5, 0.1, r"activations is \(2, 3, 4\): it must be \(C,\), or \(R, C\)"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    make: Callable[..., nn.Module], shape: tuple[int, ...], eps: float, momentum: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make(shape, eps, momentum)


def test_a_printed_module_names_its_settings() -> None:
    assert repr(BatchNorm((3,), 1e-5, 0.1)) == (
        "BatchNorm((3,), eps=1e-05, momentum=0.1, written_out=False, synchronised=False)"
    )
    assert repr(DetachedNorm((2, 3), 1e-5, 0.1, scale=True)) == (
        "DetachedNorm((2, 3), eps=1e-05, momentum=0.1, scale=True)"
    )
    assert repr(Whitening((3,), 1e-3, 0.1)) == "Whitening((3,), eps=0.001, momentum=0.1)"


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

"""Full whitening and Section 2's mistake."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnrepro.norm import DetachedNorm, Whitening
from bnrepro.norm.whitening import inverse_square_root, moments


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(20, 5), (2, 20, 5)])
def test_whitened_activations_have_unit_covariance(shape: tuple[int, ...]) -> None:
    x = normal(*shape) @ normal(5, 5) + 3
    norm = Whitening((*shape[:-2], 5), eps=1e-12, momentum=0.1).double()
    mean, covariance = moments(norm(x))
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-9, rtol=0)
    torch.testing.assert_close(covariance, torch.eye(5, dtype=torch.float64).expand_as(covariance), atol=1e-8, rtol=0)


@pytest.mark.parametrize("batch", [12, 3])  # the smaller one has a singular covariance with equal eigenvalues
def test_the_derivative_is_that_of_central_differences(batch: int) -> None:
    norm = Whitening((5,), eps=0.05, momentum=0.1).double()
    assert torch.autograd.gradcheck(norm, normal(batch, 5).requires_grad_())


def test_the_inverse_square_root_of_equal_eigenvalues_has_a_derivative() -> None:
    covariance = (2 * torch.eye(4, dtype=torch.float64)).requires_grad_()
    root = inverse_square_root(covariance, 0.25)
    torch.testing.assert_close(root.detach(), torch.eye(4, dtype=torch.float64) / 1.5)
    root.diagonal().sum().backward()
    torch.testing.assert_close(covariance.grad, -0.5 * 2.25**-1.5 * torch.eye(4, dtype=torch.float64))


@st.composite
def batches(draws: st.DrawFn) -> torch.Tensor:
    """Draw a mini-batch (B, C), smaller than the layer or not, its units of different means, scales and correlated."""
    batch, width, seed = draws(st.integers(2, 8)), draws(st.integers(1, 5)), draws(st.integers(0, 2**31))
    offset, scale = draws(st.floats(-30, 30)), draws(st.sampled_from([0.03, 1.0, 20.0]))
    g = torch.Generator().manual_seed(seed)
    x, mix = (torch.randn(n, width, dtype=torch.float64, generator=g) for n in (batch, width))
    return offset + scale * x @ mix


@settings(deadline=None, max_examples=25)
@given(batches(), st.sampled_from([0.02, 1.0]))
def test_the_derivative_is_that_of_central_differences_for_all_inputs(x: torch.Tensor, share: float) -> None:
    eps = share * max(float(x.var(dim=0).mean()), 1e-3)
    step = 1e-6 * float(x.std())
    norm = Whitening((x.shape[1],), eps=eps, momentum=0.1).double()
    assert torch.autograd.gradcheck(norm, x.requires_grad_(), eps=step, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_a_replica_that_is_not_finite_leaves_the_others_alone(bad: float, width: int) -> None:
    x = normal(3, 9, width).float()
    poisoned = x.clone()
    poisoned[1, 2, 0] = bad
    results = []
    for values in (x, poisoned):
        norm, u = Whitening((3, width), eps=1e-3, momentum=0.1), values.clone().requires_grad_()
        y = norm(u)
        y.pow(3).sum().backward()
        results.append((y, u.grad, norm.weight.grad, norm.running_mean, norm.running_cov, norm.eval()(x)))
    for healthy, beside in zip(*results, strict=True):
        assert torch.equal(healthy[[0, 2]], beside[[0, 2]])
        assert not beside[1].isfinite().all()
    assert results[1][0][1].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, training: bool) -> None:
    x = (3 * normal(20, 5) + 2).to(dtype)
    for norm in (Whitening((5,), 1e-3, 0.5), DetachedNorm((5,), 1e-3, 0.5, scale=True)):
        norm(x.float())
        y, expected = norm.train(training)(x), norm(x.float())
        assert y.dtype == dtype
        torch.testing.assert_close(y, expected.to(dtype), atol=1e-1, rtol=1e-1)
        if training:
            assert torch.equal(y, copy.deepcopy(norm)(x.float()).to(dtype))


def test_the_averages_of_whitening_are_unbiased_and_nothing_else_is_kept() -> None:
    norm = Whitening((5,), eps=1e-3, momentum=1.0).double()
    x = normal(4, 5) * 3 - 7
    norm(x)
    assert [name for name, _ in norm.named_buffers()] == ["running_mean", "running_cov"]
    torch.testing.assert_close(norm.running_mean, x.mean(dim=0))
    torch.testing.assert_close(norm.running_cov, torch.cov(x.T))  # the framework divides by m - 1


def test_what_has_no_inverse_square_root_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ε is 0\.0: it must be finite and above 0"):
        inverse_square_root(torch.eye(3), 0.0)
    with pytest.raises(ValueError, match="ε is nan"):
        inverse_square_root(torch.eye(3), float("nan"))
    with pytest.raises(ValueError, match=r"shape \(3, 2\): it must be square"):
        inverse_square_root(torch.ones(3, 2), 1e-3)
    with pytest.raises(ValueError, match=r"shape \(3,\): it must be square"):
        inverse_square_root(torch.ones(3), 1e-3)


def test_whitening_takes_no_maps() -> None:
    with pytest.raises(ValueError, match="takes no feature maps"):
        Whitening((5,), eps=1e-3, momentum=0.1)(torch.zeros(4, 5, 2, 2))


@pytest.mark.parametrize("scale", [False, True])
def test_outside_the_gradient_the_bias_has_one_and_inside_it_has_none(scale: bool) -> None:
    u, target = normal(20, 5), normal(20, 5) + 1
    norm = DetachedNorm((5,), eps=1e-5, momentum=0.1, scale=scale).double()
    bias = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    x_hat = norm(u + bias)
    deviation = u.std(dim=0, correction=0) if scale else torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(x_hat, (u - u.mean(dim=0)) / deviation, atol=1e-4, rtol=1e-4)
    (x_hat - target).square().sum().backward()
    expected = -2 * target.sum(dim=0) / deviation  # the mean of x̂ is 0
    torch.testing.assert_close(bias.grad, expected, atol=1e-4, rtol=1e-4)

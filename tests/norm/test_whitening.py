"""Full whitening and Section 2's mistake."""

import pytest
import torch

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
    root = inverse_square_root(covariance, 0.0)
    root.diagonal().sum().backward()
    torch.testing.assert_close(covariance.grad, -0.5 * 2**-1.5 * torch.eye(4, dtype=torch.float64))


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

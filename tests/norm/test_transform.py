"""Algorithm 1 written out: against central differences, autograd and the framework."""

import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bnrepro.norm import BatchNorm, DetachedNorm, Whitening, batch_norm
from bnrepro.norm.transform import expand, mini_batch_dims

Draw = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
SHAPES = {  # of the input, of γ
    "units": ((7, 5), (5,)),
    "maps": ((3, 5, 4, 2), (5,)),
    "stack of units": ((2, 7, 5), (2, 5)),
    "stack of maps": ((2, 3, 5, 4, 2), (2, 5)),
}


def draw(shape: tuple[int, ...], features: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> Draw:
    g = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(shape, generator=g, dtype=torch.float64) - 1
    gamma, beta = torch.randn(2, *features, generator=g, dtype=torch.float64)
    return x.to(dtype), gamma.to(dtype), beta.to(dtype)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_the_six_gradients_are_those_of_central_differences(name: str, eps: float) -> None:
    inputs = [tensor.requires_grad_() for tensor in draw(*SHAPES[name])]
    assert torch.autograd.gradcheck(lambda x, g, b: batch_norm(x, g, b, eps)[0], inputs)


def framework(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float) -> torch.Tensor:
    """Apply the framework's BN to each replica of a stack, or to the one network there is."""
    if gamma.dim() == 1:
        return functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
    return torch.stack([framework(*replica, eps) for replica in zip(x, gamma, beta, strict=True)])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_the_frameworks(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x, gamma, beta = draw((4, 6, 5, 3), (6,), dtype=dtype)
    x = x.contiguous(memory_format=layout)
    half = dtype in (torch.float16, torch.bfloat16)
    gamma, beta = (gamma.float(), beta.float()) if half else (gamma, beta)
    upstream = draw(x.shape, (6,), seed=1, dtype=dtype)[0]
    results = []
    for normalise in (lambda *inputs: batch_norm(*inputs, 1e-5)[0], lambda *inputs: framework(*inputs, 1e-5)):
        inputs = [tensor.detach().clone(memory_format=torch.preserve_format) for tensor in (x, gamma, beta)]
        y = normalise(*(tensor.requires_grad_() for tensor in inputs))
        y.backward(upstream)
        results.append([y, *(tensor.grad for tensor in inputs)])
    assert results[0][0].is_contiguous(memory_format=layout)
    tolerance = {torch.bfloat16: 2e-2, torch.float16: 3e-3, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@st.composite
def cases(draws: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int, float]:
    batch, features = draws(st.integers(2, 9)), draws(st.integers(1, 6))
    spatial = draws(st.sampled_from([(), (1, 1), (3, 2), (4, 4)]))
    stack = draws(st.sampled_from([(), (1,), (3,)]))
    eps = draws(st.sampled_from([1e-8, 1e-5, 1e-2]))
    return (*stack, batch, features, *spatial), (*stack, features), draws(st.integers(0, 2**31)), eps


@settings(deadline=None, max_examples=60)
@given(cases())
def test_any_shape_agrees_with_the_framework(case: tuple[tuple[int, ...], tuple[int, ...], int, float]) -> None:
    shape, features, seed, eps = case
    ours = [tensor.requires_grad_() for tensor in draw(shape, features, seed)]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    upstream = draw(shape, features, seed + 1)[0]
    (y, _, variance), expected = batch_norm(*ours, eps), framework(*theirs, eps)
    torch.testing.assert_close(y, expected)
    y.backward(upstream)
    expected.backward(upstream)
    terms = float(upstream.abs().max() * ours[1].detach().abs().max() / variance.min().sqrt())  # that cancel in ∂ℓ/∂x
    for a, b, size in zip(ours, theirs, (terms, 1.0, 1.0), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-10 * max(size, 1.0))


@settings(deadline=None, max_examples=60)
@given(cases())
def test_normalised_activations_have_mean_0_and_variance_1(
    case: tuple[tuple[int, ...], tuple[int, ...], int, float],
) -> None:
    shape, features, seed, eps = case
    x, gamma, _ = draw(shape, features, seed)
    y, mean, variance = batch_norm(x, torch.ones_like(gamma), torch.zeros_like(gamma), eps)
    dims = mini_batch_dims(x, gamma.shape)
    torch.testing.assert_close(y.mean(dims), torch.zeros_like(gamma), rtol=0, atol=1e-9)
    torch.testing.assert_close(y.square().mean(dims), variance / (variance + eps))  # 1, neglecting ε
    torch.testing.assert_close(mean, x.mean(dims))
    torch.testing.assert_close((x - expand(mean, x)).square().mean(dims), variance)


@st.composite
def activations(draws: st.DrawFn) -> Draw:
    """Draw x (B, C) or (B, C, H, W), its activations of offsets and scales far from 1, and γ, β (C,)."""
    shape, features, seed, _ = draws(cases().filter(lambda case: len(case[1]) == 1))
    x, gamma, beta = draw(shape, features, seed)
    like = (1, -1, *(1 for _ in shape[2:]))
    g = torch.Generator().manual_seed(seed + 1)
    scale = 10 ** (4 * torch.rand(features, generator=g, dtype=torch.float64) - 2)  # 0.01 to 100
    offset = scale * torch.randn(features, generator=g, dtype=torch.float64) * draws(st.sampled_from([0, 1, 30]))
    return offset.view(like) + scale.view(like) * x, gamma, beta


@settings(deadline=None, max_examples=40)
@given(activations())
def test_the_right_gamma_and_beta_restore_the_activations(inputs: Draw) -> None:
    x, gamma, _ = inputs
    dims = mini_batch_dims(x, gamma.shape)
    y, _, _ = batch_norm(x, x.std(dims, correction=0), x.mean(dims), 0.0)
    torch.testing.assert_close(y, x, rtol=1e-9, atol=1e-9 * float(x.abs().max()))


@settings(deadline=None, max_examples=40)
@given(activations(), st.floats(-4, 4))
def test_neither_a_scale_nor_a_bias_before_bn_changes_its_output(inputs: Draw, exponent: float) -> None:
    x, gamma, beta = inputs
    a = 10**exponent
    expected, _, variance = batch_norm(x, gamma, beta, 0.0)
    bias = expand(variance.sqrt() * beta, x)
    x_hat_error = 1e-10 * float((x.abs() / expand(variance, x).sqrt()).max() + 1)  # what an offset costs in rounding
    for changed in (a * x, x + bias):
        torch.testing.assert_close(batch_norm(changed, gamma, beta, 0.0)[0], expected, rtol=1e-9, atol=x_hat_error)


@settings(deadline=None, max_examples=40)
@given(activations(), st.floats(-2, 2))
def test_the_gradients_under_a_scale_and_of_a_bias(inputs: Draw, exponent: float) -> None:
    x, gamma, beta = inputs
    a = 10**exponent
    upstream = draw(tuple(x.shape), (1,), seed=3)[0]
    gradients = []
    for scale in (1.0, a):
        scaled = (scale * x).requires_grad_()
        batch_norm(scaled, gamma, beta, 0.0)[0].backward(upstream)
        gradients.append(scaled.grad)
    dims = mini_batch_dims(x, gamma.shape)
    deviation = expand(x.std(dims, correction=0), x)
    terms = (upstream * expand(gamma, x) / deviation).abs().amax(dims, keepdim=True)  # that cancel in ∂ℓ/∂x
    relative = (x.abs() / deviation).max() + 1
    assert ((a * gradients[1] - gradients[0]).abs() <= 1e-10 * relative**2 * terms).all()
    of_bias = gradients[0].sum(dims, keepdim=True)
    assert (of_bias.abs() <= 1e-10 * relative * x.numel() * terms).all()


@settings(deadline=None, max_examples=40)
@given(activations())
def test_a_map_is_normalised_over_all_its_positions(inputs: Draw) -> None:
    x, gamma, beta = inputs
    positions = (
        [x[:, :, row, column] for row in range(x.shape[2]) for column in range(x.shape[3])] if x.dim() > 2 else [x]
    )
    expected, mean, variance = batch_norm(torch.cat(positions), gamma, beta, 1e-5)
    y, mean_of_maps, variance_of_maps = batch_norm(x, gamma, beta, 1e-5)
    ours = [y[:, :, row, column] for row in range(x.shape[2]) for column in range(x.shape[3])] if x.dim() > 2 else [y]
    torch.testing.assert_close(torch.cat(ours), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mean_of_maps, mean)
    torch.testing.assert_close(variance_of_maps, variance)


LAYOUTS: dict[str, Callable[[], torch.Tensor]] = {
    "sliced": lambda: draw((9, 12, 6, 4), (1,))[0][1::2, ::2, 1:, ::3],
    "transposed": lambda: draw((6, 4, 5, 3), (1,))[0].transpose(0, 1),
    "permuted": lambda: draw((5, 3, 4, 6), (1,))[0].permute(2, 3, 0, 1),
    "expanded": lambda: draw((4, 6, 5, 1), (1,))[0].expand(4, 6, 5, 3),
    "channels last": lambda: draw((4, 6, 5, 3), (1,))[0].to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("module", [False, True])
def test_any_layout_gives_what_the_framework_gives(layout: str, module: bool) -> None:
    x = LAYOUTS[layout]()
    _, gamma, beta = draw((1,), (6,))
    upstream = draw((x.shape[3], *x.shape[:3]), (1,), seed=1)[0].permute(1, 2, 3, 0)  # not contiguous either
    norm = BatchNorm((6,), 1e-5, 0.1).double()
    norm.load_state_dict({**norm.state_dict(), "weight": gamma, "bias": beta})
    ours = x.requires_grad_()
    y = norm(ours) if module else batch_norm(ours, gamma, beta, 1e-5)[0]
    (d_x,) = torch.autograd.grad(y, ours, upstream)
    theirs = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    expected = framework(theirs, gamma, beta, 1e-5)
    (d_expected,) = torch.autograd.grad(expected, theirs, upstream.contiguous())
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(d_x, d_expected)


@pytest.mark.parametrize(
    ("shape", "features", "eps", "words"),
    [
        ((1, 5), (5,), 1e-5, r"\(1, 5\): an activation has 1 of the 2 values"),
        ((1, 5, 1, 1), (5,), 1e-5, "an activation has 1 of the 2 values"),
        ((7, 4), (5,), 1e-5, r"over 5 activations got an input of shape \(7, 4\): it must be \(B, 5\)"),
        ((5,), (5,), 1e-5, r"shape \(5,\): it must be \(B, 5\)"),
        ((7, 5), (2, 5), 1e-5, r"shape \(7, 5\): it must be \(2, B, 5\)"),
        ((3, 7, 5), (2, 5), 1e-5, r"shape \(3, 7, 5\): it must be \(2, B, 5\)"),
        ((7, 5), (5,), -1.0, "ε is -1.0: it must be a finite number, 0 or more"),
        ((7, 5), (5,), float("nan"), "ε is nan"),
        ((7, 5), (5,), float("inf"), "ε is inf"),
        ((7, 5, 2), (5,), 1e-5, r"shape \(7, 5, 2\): it must be \(B, 5\), or with H, W"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], features: tuple[int, ...], eps: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        batch_norm(*draw(shape, features), eps)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    x, gamma, beta = draw((7, 5), (5,))
    x[3, 2] = bad
    with pytest.raises(ValueError, match="not finite"):
        batch_norm(x, gamma, beta, 1e-5)


def test_epsilon_0_is_refused_where_an_activation_never_varies() -> None:
    x, gamma, beta = draw((7, 5), (5,))
    assert torch.isfinite(batch_norm(x, gamma, beta, 0.0)[0]).all()
    for constant in (4.0, 0.1, 1e-200):  # 0.1 seven times does not add up exactly
        x[:, 2] = constant
        with pytest.raises(ValueError, match=r"variance 0, and ε is 0, 0 in torch\.float64"):
            batch_norm(x, gamma, beta, 0.0)
        assert torch.isfinite(batch_norm(x, gamma, beta, 1e-5)[0]).all()
    x[:, 2] *= 1 + torch.arange(7)  # these vary, but their squares do not
    with pytest.raises(ValueError, match="variance 0"):
        batch_norm(x, gamma, beta, 0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_epsilon_that_is_0_in_the_inputs_kind_of_number_counts_as_0(dtype: torch.dtype) -> None:
    x, gamma, beta = draw((7, 5), (5,), dtype=dtype)
    assert torch.isfinite(batch_norm(x, gamma.float(), beta.float(), 1e-60)[0]).all()
    x[:, 2] = 0.1
    with pytest.raises(ValueError, match=r"ε is 1e-60, 0 in torch\.float32"):
        batch_norm(x, gamma.float(), beta.float(), 1e-60)


@pytest.mark.parametrize("features", [(), (0,), (2, 0), (2, 2, 2)])
def test_what_is_no_shape_of_activations_is_refused(features: tuple[int, ...]) -> None:
    gamma = torch.ones(features)
    words = f"the shape of the activations is {features}: it must be (C,), or (R, C) for a stack"
    with pytest.raises(ValueError, match=re.escape(words)):
        batch_norm(torch.ones(4, 2), gamma, gamma, 1e-5)
    for make in (BatchNorm, Whitening, lambda *settings: DetachedNorm(*settings, scale=True)):
        with pytest.raises(ValueError, match=re.escape(words)):
            make(features, 1e-5, 0.1)


def test_beta_of_another_shape_is_refused() -> None:
    x, gamma, beta = draw((7, 5), (5,))
    with pytest.raises(ValueError, match="β has shape"):
        batch_norm(x, gamma, beta[:4], 1e-5)

"""The statements of Sec. 3 that hold exactly: their residuals in float64 on random shapes and values.

Each check draws its own shapes and values and returns a residual, which is 0 but for rounding. A residual is relative
to the size of what it compares.
"""

import itertools
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro.models import MLP
from bnrepro.models.units import ConvUnit
from bnrepro.norm import BatchNorm, Norm, batch_norm, exact_population, fold
from bnrepro.theory.draw import Draw, over_mini_batch, plain, residual

EPS = 1e-5
COUPLED = 60  # examples of a mini-batch, for batch-coupling


def moments(draw: Draw) -> float:
    """Alg. 1: over a mini-batch a normalised activation has mean 0 and variance 1, at ε = 0."""
    x_hat = plain(draw.activations(), eps=0.0)
    mean, second = x_hat.mean(over_mini_batch(x_hat)), x_hat.square().mean(over_mini_batch(x_hat))
    return max(residual(mean, torch.zeros_like(mean)), residual(second, torch.ones_like(second)))


def moments_with_epsilon(draw: Draw) -> float:
    """Alg. 1: with ε above 0 the variance of a normalised activation is σ²/(σ² + ε)."""
    x = draw.activations()
    variance = x.var(over_mini_batch(x), correction=0)
    worst = 0.0
    for eps in (1e-8, 1e-5, 1e-3, 0.1, 10.0):
        second = plain(x, eps).square().mean(over_mini_batch(x))
        worst = max(worst, float((second * (variance + eps) / variance - 1).abs().max()))
    return worst


def identity(draw: Draw) -> float:
    """Sec. 3: γ = √Var[x] and β = E[x] restore the activations, at ε = 0."""
    x = draw.activations()
    variance, mean = torch.var_mean(x, over_mini_batch(x), correction=0)
    return residual(batch_norm(x, variance.sqrt(), mean, 0.0)[0], x)


Gradients = list[Tensor]


def written_out(x: Tensor, gamma: Tensor, beta: Tensor, upstream: Tensor) -> Gradients:
    """Return ∂ℓ/∂x, ∂ℓ/∂γ, ∂ℓ/∂β by the six equations."""
    inputs = [tensor.detach().requires_grad_() for tensor in (x, gamma, beta)]
    return list(torch.autograd.grad(batch_norm(*inputs, EPS)[0], inputs, upstream))  # type: ignore[call-arg,arg-type]


def backward_autograd(draw: Draw) -> float:
    """Sec. 3: the six equations against autograd of the four lines of Algorithm 1."""

    def algorithm_1(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, over_mini_batch(x), correction=0, keepdim=True)
        shape = variance.shape
        return gamma.view(shape) * (x - mean) / torch.sqrt(variance + EPS) + beta.view(shape)

    return _backward_against(algorithm_1, draw)


def backward_framework(draw: Draw) -> float:
    """Sec. 3: the six equations against the framework's own BN."""
    return _backward_against(lambda x, g, b: functional.batch_norm(x, None, None, g, b, training=True, eps=EPS), draw)


def _backward_against(other: Callable[[Tensor, Tensor, Tensor], Tensor], draw: Draw) -> float:
    x = draw.activations()
    gamma, beta = draw.parameters(x.shape[1])
    upstream = draw.normal(*x.shape)
    inputs = [tensor.detach().requires_grad_() for tensor in (x, gamma, beta)]
    expected = torch.autograd.grad(other(*inputs), inputs, upstream)
    ours = written_out(x, gamma, beta, upstream)
    return max(residual(a, b) for a, b in zip(ours, expected, strict=True))


def backward_differences(draw: Draw) -> float:
    """Sec. 3: the six equations against central differences along a random direction."""
    x = draw.activations()
    gamma, beta = draw.parameters(x.shape[1])
    upstream = draw.normal(*x.shape)
    worst, h = 0.0, 1e-5
    for position, gradient in enumerate(written_out(x, gamma, beta, upstream)):
        direction = draw.normal(*gradient.shape)
        ahead, behind = [x, gamma, beta], [x, gamma, beta]
        ahead[position], behind[position] = ahead[position] + h * direction, behind[position] - h * direction
        change = batch_norm(*ahead, EPS)[0] - batch_norm(*behind, EPS)[0]  # type: ignore[call-arg,arg-type]
        expected = (upstream * change).sum() / (2 * h)
        size = float((gradient * direction).abs().sum()) or 1.0
        worst = max(worst, abs(float((gradient * direction).sum() - expected)) / size)
    return worst


def _every_mini_batch(draw: Draw) -> tuple[Tensor, list[Tensor]]:
    """Return a finite population (N, C), and each mini-batch of m draws from it."""
    size, m = draw.whole(2, 5), draw.whole(2, 4)
    population = 2 * draw.normal(size, draw.whole(1, 4)) + 1
    return population, [population[list(index)] for index in itertools.product(range(size), repeat=m)]


def population_exact(draw: Draw) -> float:
    """Alg. 2: over all mini-batches of m draws from a finite population the estimates are its mean and variance."""
    population, every = _every_mini_batch(draw)
    norm = BatchNorm((population.shape[1],), EPS, momentum=0.1).double()
    with exact_population(norm, every):
        variance, mean = torch.var_mean(population, 0, correction=0)
        return max(residual(norm.running_mean, mean), residual(norm.running_var, variance))


def population_bessel(draw: Draw) -> float:
    """Alg. 2: without m/(m-1) the mean of the mini-batches' variances is (m-1)/m times the population's."""
    population, every = _every_mini_batch(draw)
    one, m = torch.ones(population.shape[1], dtype=population.dtype), len(every[0])
    biased = torch.stack([batch_norm(batch, one, one, EPS)[2] for batch in every]).mean(dim=0)
    return residual(biased * m / (m - 1), population.var(0, correction=0))


def affine(draw: Draw) -> float:
    """Alg. 2, line 11: folded into the layer before it, BN at inference gives the same outputs."""
    x = draw.activations()
    C, outputs = x.shape[1], draw.whole(1, 8)
    norm = _some_norm(draw, outputs).eval()
    kernel = [draw.whole(1, side) for side in x.shape[2:]]
    weight, bias = draw.normal(outputs, C, *kernel), draw.normal(outputs)
    apply = functional.conv2d if kernel else functional.linear
    return residual(apply(x, *fold(norm, weight, bias)), norm(apply(x, weight, bias)))


def _some_norm(draw: Draw, C: int) -> BatchNorm:
    norm = BatchNorm((C,), EPS, momentum=0.1).double()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(draw.normal(C))
        norm.running_var.copy_(draw.normal(C).exp())
    return norm


def bias_output(draw: Draw) -> float:
    """Sec. 3.2: a bias added before BN changes nothing."""
    x = draw.activations()
    bias = draw.normal(x.shape[1]).view(1, -1, *(1 for _ in x.shape[2:]))
    return residual(plain(x + bias, EPS), plain(x, EPS))


def bias_gradient(draw: Draw) -> float:
    """Sec. 3.2: a bias added before BN has the gradient 0, relative to the terms that cancel in it."""
    x = draw.activations()
    gamma, beta = draw.parameters(x.shape[1])
    d_x = written_out(x, gamma, beta, draw.normal(*x.shape))[0]
    return float((d_x.sum(over_mini_batch(x)).abs() / d_x.abs().sum(over_mini_batch(x)).clamp_min(1e-300)).max())


def conv_shared(draw: Draw) -> float:
    """Sec. 3.2: BN of maps is BN of units over all m·p·q values of a map, one position after the other."""
    B, C, p, q = draw.whole(2, 8), draw.whole(1, 8), draw.whole(1, 5), draw.whole(1, 5)
    x = draw.normal(B, C, p, q) + draw.normal(1, C, 1, 1)
    gamma, beta = draw.parameters(C)
    positions = torch.cat([x[:, :, row, column] for row in range(p) for column in range(q)])  # (p·q·B, C)
    y, _, _ = batch_norm(positions, gamma, beta, EPS)
    ours, _, _ = batch_norm(x, gamma, beta, EPS)
    return residual(torch.cat([ours[:, :, row, column] for row in range(p) for column in range(q)]), y)


def two_parameters(draw: Draw) -> float:
    """Sec. 5: BN adds two parameters per activation (per map) and no more.

    The count of a fully connected network and of a convolutional one with BN, the biases kept, minus that without and
    minus twice their hidden activations, or maps.
    """
    norm = Norm(lambda C: BatchNorm((C,), EPS, momentum=0.1), bias=True)
    stacked = Norm(lambda C: BatchNorm((1, C), EPS, momentum=0.1), bias=True)
    inputs, *hidden = [draw.whole(1, 64) for _ in range(draw.whole(2, 5))]
    multiplier, kernel = draw.whole(0, 2), draw.whole(1, 3)

    def parameters(*networks: nn.Module) -> int:
        return sum(parameter.numel() for network in networks for parameter in network.parameters())

    def units(norm: Norm | None) -> list[nn.Module]:
        return [
            ConvUnit(i, o, kernel, stride=1, multiplier=multiplier, norm=norm, nonlinearity="relu")
            for i, o in itertools.pairwise([inputs, *hidden])
        ]

    with_bn, without = (MLP([inputs, *hidden, 10], n, 0.1, "sigmoid", seeds=[0]) for n in (stacked, None))
    of_units = parameters(with_bn) - parameters(without) - 2 * sum(hidden)
    of_maps = parameters(*units(norm)) - parameters(*units(None)) - 2 * sum(hidden)
    return float(max(abs(of_units), abs(of_maps)))


def _scaled(draw: Draw, eps: float, a: float) -> tuple[Gradients, Gradients]:
    """Return (BN(Wu), ∂ℓ/∂u, ∂ℓ/∂W), and the same with aW in W's place."""
    u, W = draw.normal(draw.whole(8, 32), 6), draw.normal(6, 5)
    upstream = draw.normal(len(u), 5)
    results = []
    for weight in (W, a * W):
        inputs = [u.clone().requires_grad_(), weight.clone().requires_grad_()]
        y = plain(inputs[0] @ inputs[1], eps)
        results.append([y, *torch.autograd.grad(y, inputs, upstream)])
    return results[0], results[1]


def scale_invariance(draw: Draw) -> float:
    """Sec. 3.3: BN((aW)u) = BN(Wu), the same ∂/∂u, and ∂/∂(aW) = (1/a) ∂/∂W, for a > 0 and ε = 0."""
    a = float(torch.exp(3 * draw.normal()))
    (y, d_u, d_W), (y_a, d_u_a, d_aW) = _scaled(draw, 0.0, a)
    return max(residual(y_a, y), residual(d_u_a, d_u), residual(a * d_aW, d_W))


def _redrawn(draw: Draw, training: bool) -> Tensor:
    """Return the output of one example (C,) among batch-mates that are drawn anew, for 20 draws."""
    C = draw.whole(1, 16)
    norm = _some_norm(draw, C).train(training)
    example = draw.normal(1, C)
    with torch.no_grad():
        return torch.stack(
            [norm(torch.cat([example, draw.normal(COUPLED - 1, C)]))[0] / norm.weight for _ in range(20)]
        )


def coupling_inference(draw: Draw) -> float:
    """Sec. 3.4: at inference an example's output does not depend on its batch-mates."""
    outputs = _redrawn(draw, training=False)
    return residual(outputs, outputs[:1].expand_as(outputs))


def coupling_training(draw: Draw) -> float:
    """Sec. 3.4: in training it does: the standard deviation of x̂ over re-drawn batch-mates, normal numbers."""
    return float(_redrawn(draw, training=True).std(dim=0).mean())


CHECKS: dict[str, Callable[[Draw], float]] = {
    "alg1-moments": moments,
    "alg1-moments:eps": moments_with_epsilon,
    "alg1-backward:autograd": backward_autograd,
    "alg1-backward:differences": backward_differences,
    "alg1-backward:framework": backward_framework,
    "alg1-identity": identity,
    "alg2-population:exact": population_exact,
    "alg2-population:bessel": population_bessel,
    "alg2-affine": affine,
    "bias-redundant:output": bias_output,
    "bias-redundant:gradient": bias_gradient,
    "conv-shared": conv_shared,
    "scale-invariance": scale_invariance,
    "batch-coupling:inference": coupling_inference,
    "batch-coupling:training": coupling_training,
    "bn-two-parameters": two_parameters,
}
FACTORS = [10.0**e for e in torch.linspace(-3, 3, 24).tolist()]  # without a = 1
EPSILONS = [0.0, 1e-5, 1e-3]


def measure(trials: int) -> pd.DataFrame:
    """Return columns quantity, trial, eps, a, value.

    Every check on every trial, and ``scale-invariance:curve``: the largest change of BN((aW)u) over a, ε above 0 too.
    """
    rows: list[tuple[str, int, float, float, float]] = []
    for number, (name, check) in enumerate(CHECKS.items()):
        for trial in range(trials):
            draw = Draw(torch.Generator().manual_seed(1000 * trial + number))
            rows.append((name, trial, float("nan"), float("nan"), check(draw)))
    for trial, eps, a in itertools.product(range(min(trials, 10)), EPSILONS, FACTORS):
        (y, *_), (y_a, *_) = _scaled(Draw(torch.Generator().manual_seed(trial)), eps, a)
        rows.append(("scale-invariance:curve", trial, eps, a, residual(y_a, y)))
    return pd.DataFrame(rows, columns=["quantity", "trial", "eps", "a", "value"])

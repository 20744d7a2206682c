"""Normalisation as a layer: in training by the mini-batch, in inference by the population (Algorithm 2)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from bnrepro import distributed
from bnrepro.norm import whitening
from bnrepro.norm.transform import check_mini_batch, check_shape, expand, mini_batch_dims, transform, widened


class Normalisation(nn.Module):
    """What the layers below share: the moments that stand for the population's in inference.

    They are moving averages of the mini-batches' means and *unbiased* variances (Sec. 3.1); population.py puts
    Algorithm 2's exact estimates in their place. ``momentum`` is the framework's: the weight of the newest mini-batch,
    one minus the decay that other frameworks call momentum.

    Values that are not finite pass through into the output and the averages, for a replica that diverges must leave
    the others of its stack alone; transform.batch_norm refuses them.

    Shapes:
        ``shape`` is (C,), or (R, C) for a stack of R replicas; the input and output are (B, C) or (B, C, H, W),
        with R in front where there is a stack. ``running_mean`` and ``running_var`` are of ``shape``.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, shape: tuple[int, ...], eps: float, momentum: float) -> None:
        super().__init__()
        if not 0 < eps < math.inf:
            raise ValueError(f"ε is {eps}: it must be finite and above 0, or what never varies is divided by zero")
        check_shape(shape)
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum is {momentum}: the weight of the newest mini-batch is above 0 and at most 1")
        self.shape = torch.Size(shape)
        self.eps = eps
        self.momentum = momentum
        self.tracking = True
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def running_spread(self) -> Tensor:
        """Return the average that stands for the population's variance, or its covariance."""
        return self.running_var

    def track(self, mean: Tensor, spread: Tensor, m: int) -> None:
        """Move the averages towards a mini-batch's mean and *biased* variance (or covariance), of m values each."""
        if self.tracking:
            running = self.running_spread()
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                running.lerp_(spread.to(running.dtype) * (m / (m - 1)), self.momentum)

    def extra_repr(self) -> str:
        """Name the settings where the module is printed."""
        return f"{tuple(self.shape)}, eps={self.eps:g}, momentum={self.momentum:g}"


class BatchNorm(Normalisation):
    """The BN transform. ``weight`` is γ, ``bias`` is β, both of ``shape``: two parameters per activation or map.

    Nothing crosses from one replica of a stack to another.

    Args:
        shape: see :class:`Normalisation`.
        eps: ε of Algorithm 1.
        momentum: see :class:`Normalisation`.
        written_out: train with transform.py instead of the framework's fused kernel.
        synchronised: where several processes train together, normalise by the whole mini-batch; else each does by
            its share of it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        eps: float,
        momentum: float,
        written_out: bool = False,
        synchronised: bool = False,
    ) -> None:
        super().__init__(shape, eps, momentum)
        self.written_out = written_out
        self.synchronised = synchronised
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a mini-batch; raises ValueError where its shape does not fit."""
        check_mini_batch(x, self.shape, self.training)
        if self.training and self.synchronised and distributed.size() > 1:
            return self._over_all_processes(x)
        if self.training and self.written_out:
            y, mean, variance = transform(x, self.weight, self.bias, self.eps)
            self.track(mean, variance, x.numel() // self.shape.numel())
            return y
        return self._fused(x)

    def extra_repr(self) -> str:
        """Name the settings where the module is printed."""
        return f"{super().extra_repr()}, written_out={self.written_out}, synchronised={self.synchronised}"

    def _over_all_processes(self, x: Tensor) -> Tensor:
        """Do Algorithm 1 with the moments of the mini-batch of which x is this process's share."""
        dims = mini_batch_dims(x, self.shape)
        mean = distributed.mean(x.mean(dims))
        centred = x - expand(mean, x)
        variance = distributed.mean(centred.square().mean(dims))
        self.track(mean, variance, distributed.size() * x.numel() // self.shape.numel())
        return expand(self.weight, x) * centred / torch.sqrt(expand(variance, x) + self.eps) + expand(self.bias, x)

    def _fused(self, x: Tensor) -> Tensor:
        """Call the framework: R·C channels of a stack are R separate batch norms of C activations."""
        tracked = self.tracking or not self.training
        parts = [*((self.running_mean, self.running_var) if tracked else (None, None)), self.weight, self.bias]
        if stacked := len(self.shape) == 2:
            x = x.transpose(0, 1).flatten(1, 2)
            parts = [part if part is None else part.view(-1) for part in parts]
        mean, variance, gamma, beta = parts
        y = functional.batch_norm(x, mean, variance, gamma, beta, self.training, self.momentum, self.eps)
        return y.view(y.shape[0], *self.shape, *y.shape[2:]).transpose(0, 1) if stacked else y


class DetachedNorm(Normalisation):
    """Section 2's mistake: normalise by the mini-batch, but let no gradient through its mean (and variance).

    The optimiser does not know that a change of the bias before this layer is taken away again, so the bias drifts.
    It has no parameters; the layer before keeps its bias.

    Args:
        shape: see :class:`Normalisation`.
        eps: added to the variance.
        momentum: see :class:`Normalisation`.
        scale: divide by the standard deviation, or only subtract the mean.
    """

    def __init__(self, shape: tuple[int, ...], eps: float, momentum: float, scale: bool) -> None:
        super().__init__(shape, eps, momentum)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a mini-batch; raises ValueError where its shape does not fit."""
        check_mini_batch(x, self.shape, self.training)
        mean, variance = self.running_mean, self.running_var
        computed = widened(x)
        if self.training:
            dims = mini_batch_dims(x, self.shape)
            variance, mean = torch.var_mean(computed.detach(), dims, correction=0)
            self.track(mean, variance, x.numel() // self.shape.numel())
        centred = computed - expand(mean, x)
        y = centred / torch.sqrt(expand(variance, x) + self.eps) if self.scale else centred
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """Name the settings where the module is printed."""
        return f"{super().extra_repr()}, scale={self.scale}"


class Whitening(Normalisation):
    """Full whitening, which Sec. 2 finds too expensive: ``y = γ (Σ + εI)^(-1/2) (x - μ) + β``, its gradient complete.

    ε regularises: where the mini-batch is smaller than the layer, Σ is singular. For activations per unit,
    (B, C) or (R, B, C), only. In inference moving averages of μ and of the unbiased Σ, ``running_cov``, are used.
    A replica with values that are not finite comes out as NaN and leaves the others as they are.
    """

    running_cov: Tensor

    def __init__(self, shape: tuple[int, ...], eps: float, momentum: float) -> None:
        super().__init__(shape, eps, momentum)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        del self.running_var  # the covariance has it on its diagonal
        self.register_buffer("running_cov", torch.eye(shape[-1]).repeat(*shape[:-1], 1, 1))

    def running_spread(self) -> Tensor:
        """Return the average of the covariances."""
        return self.running_cov

    def forward(self, x: Tensor) -> Tensor:
        """Whiten a mini-batch; raises ValueError where its shape does not fit."""
        check_mini_batch(x, self.shape, self.training)
        if x.dim() != len(self.shape) + 1:
            raise ValueError(f"whitening got an input of shape {tuple(x.shape)}: it takes no feature maps")
        computed = widened(x)
        mean, covariance = self.running_mean, self.running_cov
        if self.training:
            mean, covariance = whitening.moments(computed)
            self.track(mean.detach(), covariance.detach(), m=x.shape[-2])
        root = whitening.inverse_square_root(covariance.to(computed.dtype), self.eps)
        x_hat = (computed - expand(mean, x)) @ root
        return (x_hat * expand(self.weight, x) + expand(self.bias, x)).to(x.dtype)


@contextmanager
def restoring(model: nn.Module) -> Iterator[list[Normalisation]]:
    """Yield the normalisations of ``model``; afterwards modes, tracking and momentum of all are as they were."""
    norms = [module for module in model.modules() if isinstance(module, Normalisation)]
    settings = [(norm.momentum, norm.tracking) for norm in norms]
    training = {module: module.training for module in model.modules()}
    try:
        yield norms
    finally:
        for norm, setting in zip(norms, settings, strict=True):
            norm.momentum, norm.tracking = setting
        for module, was_training in training.items():
            module.training = was_training


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Within this context ``model`` normalises as in training, no moving average moves and nothing is dropped out."""
    with restoring(model) as norms:
        model.eval()
        for norm in norms:
            norm.train()
            norm.tracking = False
        yield

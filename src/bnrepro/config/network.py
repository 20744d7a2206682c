"""Settings of a network, its normalisation and its optimiser."""

from dataclasses import dataclass

from omegaconf import MISSING

from bnrepro.config.require import require, require_positive


@dataclass
class ModelConfig:
    """A network, without its normalisation."""


@dataclass
class MLPConfig(ModelConfig):
    """Sec. 4.1: fully connected layers, W Gaussian with standard deviation ``init_std``; the paper's are sigmoid."""

    hidden: list[int] = MISSING
    init_std: float = MISSING
    nonlinearity: str = MISSING

    def __post_init__(self) -> None:
        require(self.nonlinearity in ("sigmoid", "relu"), "model.nonlinearity", self.nonlinearity, "sigmoid or relu")
        allowed = "a list of one or more layer widths, each from 1 to 100000"
        require(
            bool(self.hidden) and min(self.hidden) >= 1 and max(self.hidden) <= 100_000,
            "model.hidden",
            self.hidden,
            allowed,
        )
        require_positive("model.init_std", self.init_std)


@dataclass
class NormConfig:
    """How the input of a nonlinearity is normalised."""

    name: str = MISSING


@dataclass
class NoNormConfig(NormConfig):
    """Not at all."""


@dataclass
class StatisticsConfig(NormConfig):
    """By the mini-batch in training, and in inference by the population's moments.

    Whether these are Algorithm 2's ``exact`` estimates over ``population_batches`` mini-batches, or ``moving``
    averages with the weight ``momentum`` for the newest mini-batch.
    """

    eps: float = MISSING
    momentum: float = MISSING
    population: str = MISSING
    population_batches: int = MISSING

    def __post_init__(self) -> None:
        require_positive("norm.eps", self.eps)
        require(0 < self.momentum <= 1, "norm.momentum", self.momentum, "above 0 and at most 1")
        require(self.population in ("exact", "moving"), "norm.population", self.population, "exact or moving")
        allowed = "1 mini-batch or more"
        require(self.population_batches >= 1, "norm.population_batches", self.population_batches, allowed)


@dataclass
class BatchNormConfig(StatisticsConfig):
    """Algorithm 1, by the framework's kernel (``fused``) or written out as in the ``paper``.

    ``bias``: whether the layer before keeps its bias, which BN makes redundant (Sec. 3.2).
    """

    impl: str = MISSING
    bias: bool = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.impl in ("fused", "paper"), "norm.impl", self.impl, "fused or paper")


@dataclass
class DetachedNormConfig(StatisticsConfig):
    """Section 2's mistake: statistics outside the gradient, of the mean, or with ``scale`` of the variance too."""

    scale: bool = MISSING


@dataclass
class WhiteningConfig(StatisticsConfig):
    """Full whitening of every mini-batch."""


@dataclass
class OptimConfig:
    """Stochastic gradient descent at learning rate ``lr``."""

    lr: float = MISSING

    def __post_init__(self) -> None:
        require_positive("optim.lr", self.lr)

"""Settings of a network, its normalisation and its optimiser."""

from dataclasses import dataclass

from omegaconf import MISSING

from bnrepro.config.require import LARGEST, require, require_positive

INITS = ("gaussian", "xavier", "he")


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
class InceptionConfig(ModelConfig):
    """Sec. 4.2 and the appendix's Fig. 5, and what the paper's comparison varies.

    Attributes:
        width: factor on every number of channels; 1 is the paper's.
        stem: by how much the first layers shrink an image's side: 8 is the paper's, for 224 pixels.
        concat_4cd: the depth of blocks 4c and 4d: 608, as their printed branches add up, or 576, as is printed too.
        nonlinearity: relu or sigmoid.
        dropout: share of the last features set to 0 in training.
        lrn: whether local response normalisation stands in the stem.
        per_activation: whether BN in the last blocks has statistics for each position of a map (Sec. 4.2.3).
        init: scheme of the initial weights: gaussian, xavier or he.
        init_scale: factor on the standard deviation of the convolutions' weights.
    """

    width: float = MISSING
    stem: int = MISSING
    concat_4cd: int = MISSING
    nonlinearity: str = MISSING
    dropout: float = MISSING
    lrn: bool = MISSING
    per_activation: bool = MISSING
    init: str = MISSING
    init_scale: float = MISSING

    def __post_init__(self) -> None:
        require(0 < self.width <= 16, "model.width", self.width, "above 0 and at most 16")
        require(self.stem in (2, 4, 8), "model.stem", self.stem, "2, 4 or 8")
        require(self.concat_4cd in (576, 608), "model.concat_4cd", self.concat_4cd, "576 or 608")
        require(self.nonlinearity in ("sigmoid", "relu"), "model.nonlinearity", self.nonlinearity, "sigmoid or relu")
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "at least 0 and below 1")
        require(self.init in INITS, "model.init", self.init, ", ".join(INITS))
        require_positive("model.init_scale", self.init_scale)


@dataclass
class SmallInceptionConfig(ModelConfig):
    """The small Inception of Zhang et al. 2017 (arXiv 1611.03530)."""

    nonlinearity: str = MISSING
    init: str = MISSING

    def __post_init__(self) -> None:
        require(self.nonlinearity in ("sigmoid", "relu"), "model.nonlinearity", self.nonlinearity, "sigmoid or relu")
        require(self.init in INITS, "model.init", self.init, ", ".join(INITS))


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
        allowed = "from 1 to 1000000 mini-batches"
        require(1 <= self.population_batches <= 10**6, "norm.population_batches", self.population_batches, allowed)


@dataclass
class BatchNormConfig(StatisticsConfig):
    """Algorithm 1, by the framework's kernel (``fused``) or written out as in the ``paper``.

    ``bias``: whether the layer before keeps its bias, which BN makes redundant (Sec. 3.2). ``synchronised``: whether
    several processes that train together normalise by the whole mini-batch, or each by its share.
    """

    impl: str = MISSING
    bias: bool = MISSING
    synchronised: bool = MISSING

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
    """Stochastic gradient descent.

    Attributes:
        lr: the learning rate that a comparison starts from.
        multiple: the initial learning rate is ``lr`` times this (Sec. 4.2.2: x5, x30).
        momentum: of the gradient; 0 for none.
        half_life: share of the training in which the learning rate halves, for it decays exponentially; 0: it stays.
        decay_speed: the learning rate decays so many times faster than that.
        l2: weight of half the squared norm of the weights (not of biases, γ and β) in the loss.
        rates: learning rates that each seed is trained at side by side, as replicas of one stack; none: ``lr`` alone.
    """

    lr: float = MISSING
    multiple: float = MISSING
    momentum: float = MISSING
    half_life: float = MISSING
    decay_speed: float = MISSING
    l2: float = MISSING
    rates: list[float] = MISSING

    def __post_init__(self) -> None:
        require_positive("optim.lr", self.lr)
        good = len(set(self.rates)) == len(self.rates) and all(0 < rate <= LARGEST for rate in self.rates)
        allowed = f"a list of different numbers above 0 and at most {LARGEST:g}, or [] for lr alone"
        require(good, "optim.rates", self.rates, allowed)
        if self.rates:
            require(self.multiple == 1, "optim.multiple", self.multiple, "1 where optim.rates is set")
        require_positive("optim.multiple", self.multiple)
        require(self.initial <= LARGEST, "optim.multiple", self.multiple, f"so that lr is at most {LARGEST:g}")
        require(0 <= self.momentum < 1, "optim.momentum", self.momentum, "at least 0 and below 1")
        allowed = "a share of the training above 0.001 and at most 1000, or 0 for no decay"
        require(self.half_life == 0 or 0.001 <= self.half_life <= 1000, "optim.half_life", self.half_life, allowed)
        require(0.01 <= self.decay_speed <= 100, "optim.decay_speed", self.decay_speed, "from 0.01 to 100")
        require(0 <= self.l2 <= LARGEST, "optim.l2", self.l2, f"at least 0 and at most {LARGEST:g}")

    @property
    def initial(self) -> float:
        """The initial learning rate."""
        return self.lr * self.multiple

"""What a run is: typed settings, checked at the door.

Hydra composes ``configs/`` and the command line's overrides into these dataclasses (compose.py); no OmegaConf object
goes further. Values stand in ``configs/``; every check that needs no data stands here, in ``__post_init__``.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import MISSING

from bnrepro.errors import BadInput


def _require(condition: bool, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise BadInput(f"{key} is {value!r}: it must be {allowed}")


def _require_positive(key: str, value: float) -> None:
    _require(math.isfinite(value) and value > 0, key, value, "a finite number above 0")


@dataclass
class DataConfig:
    """What every data set has.

    ``held_out`` training examples are kept aside; ``choosing`` is how many an experiment that chooses something keeps.
    """

    name: str = MISSING
    encoding: str = MISSING
    threshold: float = MISSING
    held_out: int = MISSING
    choosing: int = MISSING

    def __post_init__(self) -> None:
        _require(self.encoding in ("binary", "grey"), "data.encoding", self.encoding, "binary or grey")
        _require(0 <= self.threshold < 1, "data.threshold", self.threshold, "at least 0 and below 1")
        _require(self.held_out >= 0, "data.held_out", self.held_out, "0 or more examples")
        _require(self.choosing >= 1, "data.choosing", self.choosing, "1 example or more")


@dataclass
class MNISTConfig(DataConfig):
    """MNIST (LeCun et al. 1998), downloaded where it is missing and ``download`` allows it."""

    download: bool = MISSING
    download_seconds: float = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.name == "mnist", "data.name", self.name, "mnist; choose another data set with data=")
        _require_positive("data.download_seconds", self.download_seconds)


@dataclass
class DigitsConfig(DataConfig):
    """scikit-learn's embedded 8x8 digits: always there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.name == "digits", "data.name", self.name, "digits; choose another data set with data=")


@dataclass
class ModelConfig:
    """A network, without its normalisation."""


@dataclass
class MLPConfig(ModelConfig):
    """Sec. 4.1: fully connected sigmoid layers, W Gaussian with standard deviation ``init_std``."""

    hidden: list[int] = MISSING
    init_std: float = MISSING

    def __post_init__(self) -> None:
        allowed = "a list of one or more layer widths, each 1 or more"
        _require(bool(self.hidden) and min(self.hidden) >= 1, "model.hidden", self.hidden, allowed)
        _require_positive("model.init_std", self.init_std)


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
        _require_positive("norm.eps", self.eps)
        _require(0 < self.momentum <= 1, "norm.momentum", self.momentum, "above 0 and at most 1")
        _require(self.population in ("exact", "moving"), "norm.population", self.population, "exact or moving")
        allowed = "1 mini-batch or more"
        _require(self.population_batches >= 1, "norm.population_batches", self.population_batches, allowed)


@dataclass
class BatchNormConfig(StatisticsConfig):
    """Algorithm 1, by the framework's kernel (``fused``) or written out as in the ``paper``."""

    impl: str = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.impl in ("fused", "paper"), "norm.impl", self.impl, "fused or paper")


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
        _require_positive("optim.lr", self.lr)


@dataclass
class ProbesConfig:
    """What is watched, and when.

    ``evaluate_every``: steps between evaluations on the held-out and test sets. ``activation_steps``: at how many
    steps, denser early, the sigmoids' inputs are measured (0: never), on the first ``activation_examples`` test
    examples.
    """

    evaluate_every: int = MISSING
    activation_steps: int = MISSING
    activation_examples: int = MISSING

    def __post_init__(self) -> None:
        _require(self.evaluate_every >= 1, "probes.evaluate_every", self.evaluate_every, "1 step or more")
        _require(self.activation_steps >= 0, "probes.activation_steps", self.activation_steps, "0 or more")
        allowed = "2 examples or more"
        _require(self.activation_examples >= 2, "probes.activation_examples", self.activation_examples, allowed)


@dataclass
class RuntimeConfig:
    """Where a run happens; ``device`` and ``threads`` change results in the last bits, the others not at all."""

    device: str = MISSING
    threads: int = MISSING
    checkpoint_every: int = MISSING
    progress_seconds: float = MISSING

    def __post_init__(self) -> None:
        _require(self.device in ("auto", "cpu", "cuda"), "runtime.device", self.device, "auto, cpu or cuda")
        _require(self.threads >= 1, "runtime.threads", self.threads, "1 or more")
        key = "runtime.checkpoint_every"
        _require(self.checkpoint_every >= 1, key, self.checkpoint_every, "1 step or more")
        _require_positive("runtime.progress_seconds", self.progress_seconds)


@dataclass
class RunConfig:
    """One network, trained once for each seed: the seeds are the replicas of a stack."""

    experiment: str = MISSING
    network: str = MISSING
    scale: str = MISSING
    name: str = MISSING
    steps: int = MISSING
    batch_size: int = MISSING
    seeds: list[int] = MISSING
    data: DataConfig = MISSING
    model: ModelConfig = MISSING
    norm: NormConfig = MISSING
    optim: OptimConfig = MISSING
    probes: ProbesConfig = MISSING
    runtime: RuntimeConfig = MISSING
    data_root: str = MISSING
    runs_root: str = MISSING

    def __post_init__(self) -> None:
        for key in ("experiment", "name"):
            value = getattr(self, key)
            word = re.fullmatch(r"[\w.,=+-]{0,150}", value) and not value.startswith(".")
            _require(bool(word), key, value, "at most 150 letters, digits and _ - . , = + without a dot in front")
        _require(self.steps >= 1, "steps", self.steps, "1 or more")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        if isinstance(self.norm, StatisticsConfig):
            allowed = "2 or more with BN: one example has no variance (Algorithm 1)"
            _require(self.batch_size >= 2, "batch_size", self.batch_size, allowed)
        _require(bool(self.seeds), "seeds", self.seeds, "a list of one or more seeds, such as seeds=[0,1,2]")
        once = len(set(self.seeds)) == len(self.seeds)
        _require(once, "seeds", self.seeds, "a list that names each seed once")
        allowed = "a list of whole numbers from 0 to 4294967295"
        _require(all(0 <= seed < 2**32 for seed in self.seeds), "seeds", self.seeds, allowed)


NOT_IDENTITY = {  # where a run is kept, how it is shown, how its data come: these do not change its numbers
    *("data_root", "runs_root", "name"),
    *("runtime.checkpoint_every", "runtime.progress_seconds"),
    *("data.choosing", "data.download", "data.download_seconds"),
}


def identity(config: RunConfig) -> dict[str, Any]:
    """Return the settings that a run's numbers depend on, under dotted keys."""
    return {key: value for key, value in flatten(config).items() if key not in NOT_IDENTITY}


def flatten(config: RunConfig) -> dict[str, Any]:
    """Return every setting under its dotted key, plain values only."""

    def walk(prefix: str, node: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        for key, value in node.items():
            if isinstance(value, dict):
                yield from walk(f"{prefix}{key}.", value)
            else:
                yield f"{prefix}{key}", value

    return dict(walk("", asdict(config)))

"""Settings of what a run does: train, or measure a statement of Sec. 2 or 3."""

import math
from dataclasses import dataclass

from omegaconf import MISSING

from bnrepro.config.require import require


@dataclass
class StudyConfig:
    """What a run does: train a network, or measure a statement of Sec. 2 or 3 (theory/)."""

    name: str = MISSING


@dataclass
class TrainingConfig(StudyConfig):
    """Train one network and watch it."""


@dataclass
class ExactConfig(StudyConfig):
    """The exact statements of Sec. 3, each on ``trials`` random shapes and values."""

    trials: int = MISSING

    def __post_init__(self) -> None:
        require(self.trials >= 1, "study.trials", self.trials, "1 or more")


@dataclass
class NaiveDriftConfig(StudyConfig):
    """Section 2's example and the same mistake in the network, at ``lr_factors`` times ``optim.lr``."""

    lr_factors: list[float] = MISSING

    def __post_init__(self) -> None:
        good = bool(self.lr_factors) and all(math.isfinite(f) and f > 0 for f in self.lr_factors)
        require(good, "study.lr_factors", self.lr_factors, "a list of finite numbers above 0")


@dataclass
class JacobianConfig(StudyConfig):
    """Layer Jacobians for networks of ``depths`` layers of ``width`` units, at ``examples`` examples each.

    A network of depth d trains 3 ``steps`` / d steps, so that each depth gets the same work.
    """

    depths: list[int] = MISSING
    width: int = MISSING
    examples: int = MISSING

    def __post_init__(self) -> None:
        good = bool(self.depths) and min(self.depths) >= 2
        require(good, "study.depths", self.depths, "a list of whole numbers, each 2 or more")
        require(self.width >= 2, "study.width", self.width, "2 units or more")
        require(self.examples >= 1, "study.examples", self.examples, "1 example or more")


@dataclass
class WhiteningCostConfig(StudyConfig):
    """Time of BN and of full whitening over ``widths``, ``rounds`` times in turn."""

    widths: list[int] = MISSING
    rounds: int = MISSING

    def __post_init__(self) -> None:
        good = len(set(self.widths)) >= 2 and min(self.widths) >= 2
        require(good, "study.widths", self.widths, "a list of two or more widths, each 2 or more")
        require(self.rounds >= 3, "study.rounds", self.rounds, "3 or more")


@dataclass
class PopulationConfig(StudyConfig):
    """Accuracy with exact and with moving population statistics, over ``batch_sizes``."""

    batch_sizes: list[int] = MISSING

    def __post_init__(self) -> None:
        good = bool(self.batch_sizes) and min(self.batch_sizes) >= 2
        require(good, "study.batch_sizes", self.batch_sizes, "a list of batch sizes, each 2 or more")

"""Settings of what a run does: train, or measure a statement of Sec. 2 or 3."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import MISSING

from bnrepro.config.require import require


@dataclass
class StudyConfig:
    """What a run does: train a network, or measure a statement of Sec. 2 or 3 (theory/)."""

    name: str = MISSING

    def require_name(self, name: str) -> None:
        """Refuse a name that is another study's."""
        require(self.name == name, "study.name", self.name, f"{name}; choose another study with study=")


@dataclass
class TrainingConfig(StudyConfig):
    """Train one network and watch it."""

    def __post_init__(self) -> None:
        self.require_name("training")


@dataclass
class SamplesConfig(StudyConfig):
    """Show training images of the first ``images`` classes beside what the augmentation makes of them."""

    images: int = MISSING

    def __post_init__(self) -> None:
        self.require_name("samples")
        require(1 <= self.images <= 100, "study.images", self.images, "from 1 to 100 classes")


@dataclass
class ArchitectureConfig(StudyConfig):
    """Count the parameters, multiply-adds and layers of Figure 5's network."""

    def __post_init__(self) -> None:
        self.require_name("architecture")


@dataclass
class ExactConfig(StudyConfig):
    """The exact statements of Sec. 3, each on ``trials`` random shapes and values."""

    trials: int = MISSING

    def __post_init__(self) -> None:
        self.require_name("exact")
        require(self.trials >= 1, "study.trials", self.trials, "1 or more")


@dataclass
class NaiveDriftConfig(StudyConfig):
    """Section 2's example and the same mistake in the network, at ``lr_factors`` times ``optim.lr``."""

    lr_factors: list[float] = MISSING

    def __post_init__(self) -> None:
        self.require_name("naive_drift")
        good = _different(self.lr_factors) and all(math.isfinite(f) and f > 0 for f in self.lr_factors)
        require(good, "study.lr_factors", self.lr_factors, "a list of different finite numbers above 0")


@dataclass
class JacobianConfig(StudyConfig):
    """Layer Jacobians for networks of ``depths`` layers of ``width`` units, at ``examples`` examples each.

    A network of depth d trains 3 ``steps`` / d steps, so that each depth gets the same work.
    """

    depths: list[int] = MISSING
    width: int = MISSING
    examples: int = MISSING

    def __post_init__(self) -> None:
        self.require_name("jacobian")
        good = _different(self.depths) and min(self.depths) >= 2 and max(self.depths) <= 1000
        require(good, "study.depths", self.depths, "a list of different whole numbers from 2 to 1000")
        require(2 <= self.width <= 10_000, "study.width", self.width, "from 2 to 10000 units")
        require(self.examples >= 1, "study.examples", self.examples, "1 example or more")


@dataclass
class WhiteningCostConfig(StudyConfig):
    """Time of BN and of full whitening over ``widths``, ``rounds`` times in turn."""

    widths: list[int] = MISSING
    rounds: int = MISSING

    def __post_init__(self) -> None:
        self.require_name("whitening_cost")
        good = len(self.widths) >= 2 and _different(self.widths) and min(self.widths) >= 2 and max(self.widths) <= 8192
        require(good, "study.widths", self.widths, "a list of two or more different widths, each from 2 to 8192")
        require(self.rounds >= 3, "study.rounds", self.rounds, "3 or more")


@dataclass
class PopulationConfig(StudyConfig):
    """Accuracy with exact and with moving population statistics, over ``batch_sizes``."""

    batch_sizes: list[int] = MISSING

    def __post_init__(self) -> None:
        self.require_name("population")
        good = _different(self.batch_sizes) and min(self.batch_sizes) >= 2 and max(self.batch_sizes) <= 10_000
        require(good, "study.batch_sizes", self.batch_sizes, "a list of different batch sizes from 2 to 10000")


def _different(values: Sequence[float]) -> bool:
    """Say whether there are values and none is there twice."""
    return bool(values) and len(set(values)) == len(values)

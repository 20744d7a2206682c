"""A data set's settings."""

from dataclasses import dataclass

from omegaconf import MISSING

from bnrepro.config.require import require


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
        require(self.encoding in ("binary", "grey"), "data.encoding", self.encoding, "binary or grey")
        require(0 <= self.threshold < 1, "data.threshold", self.threshold, "at least 0 and below 1")
        require(self.held_out >= 0, "data.held_out", self.held_out, "0 or more examples")
        require(self.choosing >= 1, "data.choosing", self.choosing, "1 example or more")


@dataclass
class MNISTConfig(DataConfig):
    """MNIST (LeCun et al. 1998), downloaded where it is missing and ``download`` allows it."""

    download: bool = MISSING
    download_seconds: float = MISSING

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.name == "mnist", "data.name", self.name, "mnist; choose another data set with data=")
        allowed = "above 0 and at most 86400 seconds"
        require(0 < self.download_seconds <= 86_400, "data.download_seconds", self.download_seconds, allowed)


@dataclass
class DigitsConfig(DataConfig):
    """scikit-learn's embedded 8x8 digits: always there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.name == "digits", "data.name", self.name, "digits; choose another data set with data=")

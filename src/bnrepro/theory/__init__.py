"""Sections 2 and 3 as small experiments, each with a number: ``measure(config, ...) -> tidy table``."""

import pandas as pd
import torch

from bnrepro.config import (
    ArchitectureConfig,
    ExactConfig,
    JacobianConfig,
    NaiveDriftConfig,
    PopulationConfig,
    RunConfig,
    StudyConfig,
    WhiteningCostConfig,
)
from bnrepro.data import Dataset
from bnrepro.theory import architecture, drift, exact, jacobian, population, whitening_cost

__all__ = ["measure", "needs_data"]


def needs_data(study: StudyConfig) -> bool:
    """Say whether a run of this study reads the data set; the others draw their own random numbers."""
    return not isinstance(study, ArchitectureConfig | ExactConfig | WhiteningCostConfig)


def measure(config: RunConfig, dataset: Dataset | None, device: torch.device) -> pd.DataFrame:
    """Do the study that ``config.study`` names."""
    study = config.study
    match study:
        case ArchitectureConfig():
            return architecture.measure()
        case ExactConfig():
            return exact.measure(study.trials)
        case WhiteningCostConfig():
            return whitening_cost.measure(study, config.batch_size, device)
    assert dataset is not None
    match study:
        case NaiveDriftConfig():
            return drift.measure(config, study, dataset, device)
        case JacobianConfig():
            return jacobian.measure(config, study, dataset, device)
        case PopulationConfig():
            return population.measure(config, study, dataset, device)
        case _:
            raise AssertionError(f"no study for {type(study).__name__}")

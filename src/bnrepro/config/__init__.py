"""What a run is: typed settings, checked at the door.

Hydra composes ``configs/`` and the command line's overrides into these dataclasses (compose.py); no OmegaConf object
goes further. Values stand in ``configs/``; every check that needs no data stands here, in ``__post_init__``.
"""

from bnrepro.config.data import (
    AugmentConfig,
    ColourConfig,
    DataConfig,
    DigitsConfig,
    HandwrittenConfig,
    ImageFolderConfig,
    MNISTConfig,
    ShapesConfig,
    TorchvisionConfig,
)
from bnrepro.config.network import (
    BatchNormConfig,
    DetachedNormConfig,
    InceptionConfig,
    MLPConfig,
    ModelConfig,
    NoNormConfig,
    NormConfig,
    OptimConfig,
    SmallInceptionConfig,
    StatisticsConfig,
    WhiteningConfig,
)
from bnrepro.config.run import ProbesConfig, Replica, RunConfig, RuntimeConfig, flatten, identity
from bnrepro.config.study import (
    ArchitectureConfig,
    ExactConfig,
    JacobianConfig,
    NaiveDriftConfig,
    PopulationConfig,
    SamplesConfig,
    StudyConfig,
    TrainingConfig,
    WhiteningCostConfig,
)

__all__ = [
    "ArchitectureConfig",
    "AugmentConfig",
    "BatchNormConfig",
    "ColourConfig",
    "DataConfig",
    "DetachedNormConfig",
    "DigitsConfig",
    "ExactConfig",
    "HandwrittenConfig",
    "ImageFolderConfig",
    "InceptionConfig",
    "JacobianConfig",
    "MLPConfig",
    "MNISTConfig",
    "ModelConfig",
    "NaiveDriftConfig",
    "NoNormConfig",
    "NormConfig",
    "OptimConfig",
    "PopulationConfig",
    "ProbesConfig",
    "Replica",
    "RunConfig",
    "RuntimeConfig",
    "SamplesConfig",
    "ShapesConfig",
    "SmallInceptionConfig",
    "StatisticsConfig",
    "StudyConfig",
    "TorchvisionConfig",
    "TrainingConfig",
    "WhiteningConfig",
    "WhiteningCostConfig",
    "flatten",
    "identity",
]

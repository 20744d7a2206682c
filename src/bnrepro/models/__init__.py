"""The networks: ``build(config, norm, ...)`` chooses by the type of the config."""

from bnrepro.config import MLPConfig, ModelConfig
from bnrepro.models.mlp import MLP
from bnrepro.norm import Norm

__all__ = ["MLP", "build"]


def build(config: ModelConfig, norm: Norm | None, inputs: int, classes: int, seeds: list[int]) -> MLP:
    """Build a stack of one network per seed, its weights drawn."""
    match config:
        case MLPConfig():
            return MLP([inputs, *config.hidden, classes], norm, config.init_std, config.nonlinearity, seeds)
        case _:
            raise AssertionError(f"no network for {type(config).__name__}")

"""The networks: ``build(config, norm, ...)`` chooses by the type of the config."""

import math

from bnrepro.config import InceptionConfig, MLPConfig, ModelConfig, SmallInceptionConfig
from bnrepro.models.inception import Inception, figure_5
from bnrepro.models.mlp import MLP
from bnrepro.models.network import Network
from bnrepro.models.small_inception import SmallInception
from bnrepro.models.written_out import WrittenOut
from bnrepro.norm import Norm

__all__ = ["MLP", "Inception", "Network", "SmallInception", "WrittenOut", "build", "stacked"]


def stacked(config: ModelConfig) -> bool:
    """Say whether the network is a stack of replicas, so that its parameters have an axis for them."""
    return isinstance(config, MLPConfig)


def build(config: ModelConfig, norm: Norm | None, shape: tuple[int, ...], classes: int, seeds: list[int]) -> Network:
    """Build a stack of one network per seed, its weights drawn; an Inception network has one seed.

    Args:
        config: which network.
        norm: before every nonlinearity, or None.
        shape: of one example: (features,) or (colours, H, W).
        classes: how many.
        seeds: one for each replica.

    Raises:
        BadInput: the examples do not fit the network.
    """
    match config:
        case MLPConfig():
            widths = [math.prod(shape), *config.hidden, classes]
            return MLP(widths, norm, config.init_std, config.nonlinearity, seeds)
        case InceptionConfig():
            return Inception(
                figure_5(config.concat_4cd), shape=shape, classes=classes, norm=norm, config=config, seed=seeds[0]
            )
        case SmallInceptionConfig():
            return SmallInception(
                shape=shape,
                classes=classes,
                norm=norm,
                nonlinearity=config.nonlinearity,
                init=config.init,
                seed=seeds[0],
            )
        case _:
            raise AssertionError(f"no network for {type(config).__name__}")

"""The Inception network of Sec. 4.2 and the appendix, for any image size: Figure 5 as a table of data."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bnrepro.config import InceptionConfig
from bnrepro.errors import BadInput
from bnrepro.models.network import Network
from bnrepro.models.units import (
    NONLINEARITIES,
    Beside,
    ConvUnit,
    Dropout,
    LocalResponseNorm,
    PerActivation,
    conv_weights,
    draw_weights,
    nonlinearities,
)
from bnrepro.norm import Norm


@dataclass(frozen=True)
class Block:
    """A row of Figure 5: four branches, whose outputs are concatenated.

    Attributes:
        name: as in the figure.
        one: channels of the 1x1 branch, 0 where it has none.
        three: channels of the reduction and of the 3x3 convolution behind it.
        large: the same for the branch with the large field: two 3x3 convolutions, or GoogLeNet's one 5x5.
        pool: avg or max, 3x3.
        projection: channels of the 1x1 convolution behind the pooling, 0 where it passes through.
        stride: of the last convolution of each branch and of the pooling.
        double: whether the large field is two 3x3 convolutions.
        pooled: whether a max pooling halves the maps before it, as between GoogLeNet's stages.
    """

    name: str
    one: int
    three: tuple[int, int]
    large: tuple[int, int]
    pool: str
    projection: int
    stride: int = 1
    double: bool = True
    pooled: bool = False


FIGURE_5 = (
    Block("3a", 64, (64, 64), (64, 96), "avg", 32),
    Block("3b", 64, (64, 96), (64, 96), "avg", 64),
    Block("3c", 0, (128, 160), (64, 96), "max", 0, stride=2),
    Block("4a", 224, (64, 96), (96, 128), "avg", 128),
    Block("4b", 192, (96, 128), (96, 128), "avg", 128),
    Block("4c", 160, (128, 160), (128, 160), "avg", 128),  # 608 as printed, though the figure says 576
    Block("4d", 96, (128, 192), (160, 192), "avg", 128),  # likewise
    Block("4e", 0, (128, 192), (192, 256), "max", 0, stride=2),
    Block("5a", 352, (192, 320), (160, 224), "avg", 128),
    Block("5b", 352, (192, 320), (192, 224), "max", 128),
)
AS_576 = {"4c": 96, "4d": 96}  # the projections that make the depths what the figure says
GOOGLENET = (  # Szegedy et al. 2014, arXiv 1409.4842, Table 1: what the appendix compares Figure 5 with
    Block("3a", 64, (96, 128), (16, 32), "max", 32, double=False),
    Block("3b", 128, (128, 192), (32, 96), "max", 64, double=False),
    Block("4a", 192, (96, 208), (16, 48), "max", 64, double=False, pooled=True),
    Block("4b", 160, (112, 224), (24, 64), "max", 64, double=False),
    Block("4c", 128, (128, 256), (24, 64), "max", 64, double=False),
    Block("4d", 112, (144, 288), (32, 64), "max", 64, double=False),
    Block("4e", 256, (160, 320), (32, 128), "max", 128, double=False),
    Block("5a", 256, (160, 320), (32, 128), "max", 128, double=False, pooled=True),
    Block("5b", 384, (192, 384), (48, 128), "max", 128, double=False),
)


@dataclass(frozen=True)
class Conv:
    """A convolution of the stem; with ``multiplier`` it is separable, that many depthwise maps per input channel."""

    kernel: int
    channels: int
    stride: int = 1
    multiplier: int = 0


MAX, LRN = "max 3x3/2", "local response normalisation"
_TAIL = (LRN, Conv(1, 64), Conv(3, 192), LRN, MAX)
STEMS: dict[int, tuple[Conv | str, ...]] = {  # by how much they shrink an image's side
    8: (Conv(7, 64, stride=2, multiplier=8), MAX, *_TAIL),  # the paper's, for 224 pixels: 28 enter block 3a
    4: (Conv(3, 64, stride=2), *_TAIL),  # for 64 pixels: 16 enter; for 32: 8, a quarter of the cost of the next
    2: (Conv(3, 64), *_TAIL),  # for 32 pixels: 16 enter
}
GOOGLENET_STEM = (Conv(7, 64, stride=2), MAX, *_TAIL)  # its 7x7 is not separable
SHRINK_AFTER_STEM = 4  # blocks 3c and 4e
LAST_BLOCKS = {"5a", "5b"}  # "the last hidden layers of the model" (Sec. 4.2.3)


def figure_5(concat_4cd: int) -> tuple[Block, ...]:
    """Return the table with 4c and 4d of depth 608, as their branches add up, or 576, as their depth is printed."""
    if concat_4cd == 608:
        return FIGURE_5
    return tuple(replace(block, projection=AS_576.get(block.name, block.projection)) for block in FIGURE_5)


def scaled(channels: int, width: float) -> int:
    """Scale a number of channels, rounded to the nearest."""
    return math.floor(channels * width + 0.5)


def _check_width(table: tuple[Block, ...], stem: tuple[Conv | str, ...], width: float) -> None:
    """Refuse a width that leaves a convolution without a channel."""
    counts = [row.channels for row in stem if isinstance(row, Conv)]
    for row in table:
        counts += [count for count in (row.one, *row.three, *row.large, row.projection) if count]
    fewest = min(counts)
    if not scaled(fewest, width):
        raise BadInput(f"model.width is {width:g}: it leaves no channel of {fewest}; take {0.5 / fewest:g} or more")


def inception_block(row: Block, inputs: int, width: float, norm: Norm | None, nonlinearity: str) -> tuple[Beside, int]:
    """Build a row of the table on ``inputs`` maps; return it and the number of maps that it gives.

    The 1x1 convolution and both reductions are computed as one, which is faster.
    """
    unit, g = _unit(norm, nonlinearity), NONLINEARITIES[nonlinearity]
    one, projection = scaled(row.one, width), scaled(row.projection, width)
    reduce, three = (scaled(channels, width) for channels in row.three)
    reduce_large, large = (scaled(channels, width) for channels in row.large)
    field = [unit(reduce_large, large, 5, row.stride)]
    if row.double:
        field = [unit(reduce_large, large, 3), unit(large, large, 3, row.stride)]
    pool = (nn.AvgPool2d if row.pool == "avg" else nn.MaxPool2d)(3, row.stride, 1)
    branches = [
        *([g()] if one else []),
        nn.Sequential(g(), unit(reduce, three, 3, row.stride)),
        nn.Sequential(g(), *field),
        nn.Sequential(pool, *([unit(inputs, projection, 1)] if projection else [])),
    ]
    dealt = [*([one] if one else []), reduce, reduce_large]
    first = _unit(norm, None)(inputs, sum(dealt), 1)
    return Beside(*branches, first=first, dealt=dealt), one + three + large + (projection or inputs)


class Inception(Network):
    """Convolutions, ten Inception blocks, the mean over positions, dropout, a linear layer.

    One replica: a network that fills a core by itself is not stacked.

    Shapes:
        input (1, B, colours, H, W) in [0, 1], output logits (1, B, classes).

    Args:
        table: the blocks, such as :data:`FIGURE_5`.
        shape: (colours, H, W) of an image.
        classes: how many.
        norm: before every nonlinearity, or None.
        config: what the paper's comparison varies.
        seed: of the weights; the same in both arms of a comparison.
        stem: other first layers than ``config.stem`` names, that shrink the image as much.

    Raises:
        BadInput: the image is too small for the stem, or the width leaves no channel.
    """

    def __init__(
        self,
        table: tuple[Block, ...],
        *,
        shape: tuple[int, ...],
        classes: int,
        norm: Norm | None,
        config: InceptionConfig,
        seed: int,
        stem: tuple[Conv | str, ...] | None = None,
    ) -> None:
        super().__init__()
        colours, side = shape[0], min(shape[1:])
        smallest = config.stem * SHRINK_AFTER_STEM
        if side < smallest:
            fitting = [str(shrink) for shrink in sorted(STEMS) if shrink * SHRINK_AFTER_STEM <= side]
            todo = f"take stem {' or '.join(fitting)}" if fitting else "no stem fits them: set data.size"
            raise BadInput(
                f"model.stem is {config.stem}: images of {side} pixels are too small for it, "
                f"it needs {smallest}; {todo}"
            )
        rows = STEMS[config.stem] if stem is None else stem
        _check_width(table, rows, config.width)
        self.blocks = nn.ModuleDict({"stem": nn.Sequential()})
        channels = self._add_stem(rows, colours, norm, config)
        side = _halved(side, int(math.log2(config.stem)))
        for row in table:
            pools = [nn.MaxPool2d(3, 2, 1)] if row.pooled else []
            side = _halved(side, bool(pools) + (row.stride == 2))
            each_activation = config.per_activation and row.name in LAST_BLOCKS
            normed = PerActivation.of(norm, side) if each_activation else norm
            block, channels = inception_block(row, channels, config.width, normed, config.nonlinearity)
            self.blocks[row.name] = nn.Sequential(*pools, block)
        self.dropout = Dropout(config.dropout, seed)
        self.output = nn.Linear(channels, classes)
        draw_weights(self, config.init, config.init_scale, seed)
        self.to(memory_format=torch.channels_last)  # as the maps are: else each convolution copies its weights

    def _add_stem(self, rows: tuple[Conv | str, ...], colours: int, norm: Norm | None, config: InceptionConfig) -> int:
        unit, channels, stem = _unit(norm, config.nonlinearity), colours, self.blocks["stem"]
        assert isinstance(stem, nn.Sequential)
        for row in rows:
            if isinstance(row, Conv):
                outputs = scaled(row.channels, config.width)
                stem.append(unit(channels, outputs, row.kernel, row.stride, row.multiplier))
                channels = outputs
            elif row == MAX:
                stem.append(nn.MaxPool2d(3, 2, 1))
            elif config.lrn:
                stem.append(LocalResponseNorm(channels))
        return channels

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        u = (images.flatten(0, 1) - 0.5) / 0.25
        u = u.contiguous(memory_format=torch.channels_last)
        for block in self.blocks.values():
            u = block(u)
        logits: Tensor = self.output(self.dropout(u.mean(dim=(2, 3))))
        return logits.unsqueeze(0)

    def weights(self) -> dict[str, list[Tensor]]:
        """Name the rows of the table: stem, 3a, ..., 5b, output."""
        return {name: conv_weights(block) for name, block in self.blocks.items()} | {"output": [self.output.weight]}

    def watched(self) -> dict[str, list[nn.Module]]:
        """Name the rows of the table: stem, 3a, ..., 5b."""
        return {name: [way[-1] for way in nonlinearities(block)] for name, block in self.blocks.items()}


def _unit(norm: Norm | None, nonlinearity: str | None) -> Callable[..., ConvUnit]:
    def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, multiplier: int = 0) -> ConvUnit:
        return ConvUnit(
            inputs, outputs, kernel, stride=stride, multiplier=multiplier, norm=norm, nonlinearity=nonlinearity
        )

    return unit


def _halved(side: int, times: int) -> int:
    for _ in range(times):
        side = (side + 1) // 2
    return side

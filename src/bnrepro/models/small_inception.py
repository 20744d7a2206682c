"""The small Inception of Zhang et al. 2017 (arXiv 1611.03530, Appendix A, Fig. 3), another published comparison.

Their 1,649,402 parameters are one bias, or with BN one β, for each map: their BN has no γ, ours has the paper's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.errors import BadInput
from bnrepro.models.network import Network
from bnrepro.models.units import Beside, ConvUnit, conv_weights, draw_weights, nonlinearities
from bnrepro.norm import Norm


@dataclass(frozen=True)
class Module:
    """A 1x1 and a 3x3 convolution side by side."""

    one: int
    three: int


@dataclass(frozen=True)
class Downsample:
    """A 3x3 convolution of stride 2 beside a max pooling."""

    three: int


FIRST = 96
TABLE = (
    *(Module(32, 32), Module(32, 48), Downsample(80)),
    *(Module(112, 48), Module(96, 64), Module(80, 80), Module(48, 96), Downsample(96)),
    *(Module(176, 160), Module(176, 160)),
)
SMALLEST = 4


class SmallInception(Network):
    """One replica. Shapes: input (1, B, colours, H, W) in [0, 1], output logits (1, B, classes).

    Every image is standardised by its own mean and standard deviation σ, as there: TensorFlow divides by σ, or by
    1/√n of n values where that is more, both in grey levels from 0 to 255.

    Raises:
        BadInput: an image is smaller than 4 pixels.
    """

    def __init__(
        self, *, shape: tuple[int, ...], classes: int, norm: Norm | None, nonlinearity: str, init: str, seed: int
    ) -> None:
        super().__init__()
        if min(shape[1:]) < SMALLEST:
            raise BadInput(f"images of {min(shape[1:])} pixels are too small for the small Inception: it needs 4")

        def unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvUnit:
            return ConvUnit(inputs, outputs, kernel, stride=stride, multiplier=0, norm=norm, nonlinearity=nonlinearity)

        rows: list[nn.Module] = [unit(shape[0], FIRST, 3)]
        channels = FIRST
        for row in TABLE:
            match row:
                case Module(one, three):
                    rows.append(Beside(unit(channels, one, 1), unit(channels, three, 3)))
                    channels = one + three
                case Downsample(three):
                    rows.append(Beside(unit(channels, three, 3, 2), nn.MaxPool2d(3, 2, 1)))
                    channels += three
        self.rows = nn.ModuleList(rows)
        self.output = nn.Linear(channels, classes)
        draw_weights(self, init, 1.0, seed)
        self.to(memory_format=torch.channels_last)  # as the maps are: else each convolution copies its weights

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        u = images.flatten(0, 1)
        std, mean = torch.std_mean(u, dim=(1, 2, 3), correction=0, keepdim=True)
        smallest = 1 / (255 * u[0].numel() ** 0.5)
        u = ((u - mean) / std.clamp(min=smallest)).contiguous(memory_format=torch.channels_last)
        for row in self.rows:
            u = row(u)
        logits: Tensor = self.output(u.mean(dim=(2, 3)))
        return logits.unsqueeze(0)

    def weights(self) -> dict[str, list[Tensor]]:
        """Name the rows row1, row2, ..."""
        return {f"row{i}": conv_weights(row) for i, row in enumerate(self.rows, start=1)} | {
            "output": [self.output.weight]
        }

    def watched(self) -> dict[str, list[nn.Module]]:
        """Name the rows row1, row2, ..."""
        return {f"row{i}": [way[-1] for way in nonlinearities(row)] for i, row in enumerate(self.rows, start=1)}

"""An audit of the appendix's architecture: parameters, multiply-adds and layers of Figure 5's network, counted.

Counted on the network itself at 224 pixels and 1,000 classes, beside GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842,
Table 1), which the appendix compares it with. A multiply-add is one weight used at one position for one image.
"""

from dataclasses import replace

import pandas as pd
import torch
from torch import nn

from bnrepro.config import BatchNormConfig, InceptionConfig
from bnrepro.models import Inception
from bnrepro.models.counting import count
from bnrepro.models.inception import FIGURE_5, GOOGLENET, GOOGLENET_STEM, Block, Conv, figure_5
from bnrepro.models.units import nonlinearities
from bnrepro.norm import Norm, build

SIDE, CLASSES = 224, 1000
AT_PAPERS_SIZE = InceptionConfig(
    width=1.0,
    stem=8,
    concat_4cd=608,
    nonlinearity="relu",
    dropout=0.0,
    lrn=False,
    per_activation=False,
    init="he",
    init_scale=1.0,
)
BN = BatchNormConfig(
    name="batch", eps=1e-5, momentum=0.1, population="moving", population_batches=1, impl="fused", bias=False
)


def measure() -> pd.DataFrame:
    """Return architecture, quantity, value.

    The quantities are weights, parameters, multiply_adds, layers, depth_4c, depth_4d, and kept: the bytes that the
    forward pass of one image keeps for the backward pass.
    """
    swapped = tuple(replace(row, double=True) for row in GOOGLENET)  # two 3x3 for each 5x5 and nothing else
    of_googlenet = {"googlenet": GOOGLENET, "googlenet_double": swapped}
    counts = {name: _count(table, None, GOOGLENET_STEM) for name, table in of_googlenet.items()}
    for name, table in {"figure5": FIGURE_5, "figure5_576": figure_5(576)}.items():
        counts[name] = _count(table, build(BN, None), None)
    counts["figure5_dense"] = _count(FIGURE_5, build(BN, None), GOOGLENET_STEM)  # a 7x7 that is not separable
    rows = [(name, quantity, value) for name, count in counts.items() for quantity, value in count.items()]
    return pd.DataFrame(rows, columns=["architecture", "quantity", "value"])


def _count(table: tuple[Block, ...], norm: Norm | None, stem: tuple[Conv | str, ...] | None) -> dict[str, int]:
    with torch.device("meta"):
        model = Inception(
            table,
            shape=(3, SIDE, SIDE),
            classes=CLASSES,
            norm=norm,
            config=AT_PAPERS_SIZE,
            seed=0,
            stem=stem,
        )
    depths: dict[str, int] = {}
    for row, block in model.blocks.items():
        block.register_forward_hook(lambda _, __, out, row=row: depths.__setitem__(row, out.shape[1]))
    counts = count(model, torch.empty(1, 1, 3, SIDE, SIDE, device="meta"))
    return {
        "weights": sum(p.numel() for p in model.parameters() if p.dim() > 1),
        "parameters": counts.parameters,
        "multiply_adds": counts.multiply_adds,
        "kept": counts.kept,
        "layers": sum(_layers(block) for block in model.blocks.values()) + 1,
        "depth_4c": depths["4c"],
        "depth_4d": depths["4d"],
    }


def _layers(block: nn.Module) -> int:
    """Count the layers with weights on the longest way through a row, for each has a nonlinearity behind it."""
    return max(map(len, nonlinearities(block)))

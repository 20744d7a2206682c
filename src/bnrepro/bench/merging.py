"""What it would gain to make one convolution of the parallel 1x1 convolutions of each block; the network does not.

Normalisation is per map (Sec. 3.2), so they give the same numbers apart and merged.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from bnrepro import data
from bnrepro.bench import inception, rows
from bnrepro.bench.rounds import Variant, take_turns
from bnrepro.bench.same import require_near
from bnrepro.models import Inception
from bnrepro.models.units import Beside, ConvUnit
from bnrepro.norm import BatchNorm
from bnrepro.state import State, initial
from bnrepro.train import advance

APART, STEP = "apart, as ours are", "a whole step of ours"
MERGED = "merged in each block, at best"  # the merged weights were made once; a step would make them anew
WORK = 10  # mini-batches in a round
SINGLE = 1e-5  # that the outputs may differ in single precision


def measure(images: str, device: str) -> pd.DataFrame:
    """Return the speeds of the blocks' first 1x1 convolutions, BN and nonlinearities, forward and backward."""
    config = inception.setting(images, device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))
    state = initial(config, dataset, torch.device(device))
    return timed(f"the parallel 1x1 convolutions on {images}", state, rows.a_second("images", device))


def timed(case: str, state: State, unit: str) -> pd.DataFrame:
    """Do what :func:`measure` says for the network of ``state``.

    Raises:
        BadInput: merged they give other numbers.
    """
    images = state.sampler.next().images
    assert isinstance(state.model, Inception)
    blocks = [(units, u, _merged(units)) for units, u in _in_parallel(state.model, images)]
    for units, u, merged in blocks:
        require_near(
            "a merged convolution", merged(u).detach(), torch.cat([unit(u) for unit in units], 1).detach(), SINGLE
        )
    gradients = [[torch.randn_like(unit(u)) for unit in units] for units, u, _ in blocks]  # each branch gives its own

    def apart() -> None:
        for (units, u, _), d_z in zip(blocks, gradients, strict=True):
            parameters = [p for unit in units for p in unit.parameters()]
            torch.autograd.grad([unit(u) for unit in units], [u, *parameters], d_z)

    def together() -> None:
        for (_, u, merged), d_z in zip(blocks, gradients, strict=True):
            z = torch.split(merged(u), [part.shape[1] for part in d_z], dim=1)
            torch.autograd.grad(z, [u, *merged.parameters()], d_z)

    calls: dict[str, Callable[[], object]] = {APART: apart, MERGED: together, STEP: lambda: advance(state)}
    variants = [Variant(name, call, images.shape[1]) for name, call in calls.items()]
    return rows.speeds(case, variants, take_turns(variants, WORK * images.shape[1]), unit)


def _in_parallel(model: Inception, images: Tensor) -> Iterable[tuple[list[ConvUnit], Tensor]]:
    """Return of each block the 1x1 units that take its input, and that input as a leaf that wants a gradient."""
    seen: list[tuple[list[ConvUnit], Tensor]] = []

    def keep(block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(block, Beside)
        first = [next(iter(branch)) if isinstance(branch, nn.Sequential) else branch for branch in block.branches]
        seen.append(([unit for unit in first if isinstance(unit, ConvUnit)], inputs[0].detach().requires_grad_()))

    blocks = [module for module in model.modules() if isinstance(module, Beside)]
    hooks = [block.register_forward_pre_hook(keep) for block in blocks]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return seen


def _merged(units: list[ConvUnit]) -> nn.Sequential:
    """Return one unit that gives what ``units`` give, concatenated over the maps."""
    weights = []
    for unit in units:
        assert isinstance(unit.conv, nn.Conv2d)
        assert unit.conv.kernel_size == (1, 1)
        weights.append(unit.conv.weight.detach())
    weight, norm = torch.cat(weights), units[0].norm
    assert isinstance(norm, BatchNorm)
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False, device=weight.device)
    with torch.no_grad():
        conv.weight.copy_(weight)
    merged = BatchNorm((weight.shape[0],), norm.eps, norm.momentum).to(weight.device)
    return nn.Sequential(conv.to(memory_format=torch.channels_last), merged, units[0].nonlinearity)

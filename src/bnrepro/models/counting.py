"""What a network costs, counted on the network itself without computing a number (on the meta device)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnrepro.models.mlp import StackedLinear
from bnrepro.models.network import Network


@dataclass(frozen=True)
class Counts:
    """Of a stack and one mini-batch.

    Attributes:
        parameters: learned numbers.
        multiply_adds: of the forward pass for one image of each replica; one is one weight used at one position.
        kept: bytes that the forward pass keeps for the backward pass, parameters left out.
    """

    parameters: int
    multiply_adds: int
    kept: int


def count(model: Network, images: Tensor) -> Counts:
    """Count a forward pass in training over ``images`` (R, B, ...), model and images on the meta device."""
    with _multiply_adds(model) as used, _kept(model) as kept:
        model.train()(images)
    return Counts(sum(p.numel() for p in model.parameters()), sum(used), sum(kept.values()))


@contextmanager
def _multiply_adds(model: nn.Module) -> Iterator[list[int]]:
    """Collect each layer's multiply-adds for one image."""
    used: list[int] = []

    def after(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        positions = out.shape[2:].numel() if isinstance(layer, nn.Conv2d) else 1
        used.append(layer.weight.numel() * positions)

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear | StackedLinear)]
    hooks = [layer.register_forward_hook(after) for layer in layers]
    try:
        yield used
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _kept(model: nn.Module) -> Iterator[dict[int, int]]:
    """Collect the bytes of each storage that autograd keeps."""
    parameters = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, int] = {}
    alive = []  # a storage that were freed would leave its number to another

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept

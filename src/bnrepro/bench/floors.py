"""The floor: a step's matrix products or convolutions alone, at the same shapes, forward and backward."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro.models import Inception

aten: Any = torch.ops.aten


def recorded(call: Callable[[], object], device: str) -> Callable[[], object]:
    """Return what does the same; on a GPU as one CUDA graph, or the CPU that launches it would be measured."""
    if device != "cuda":
        return call
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):
        call()
    return graph.replay


def matrix_products(widths: list[int], batch_size: int, replicas: int, device: str) -> Callable[[], object]:
    """Return what does the products of a step of the network of Sec. 4.1, of a stack."""
    generator = torch.Generator(device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(replicas, *shape, generator=generator, device=device)

    weights = [drawn(inputs, outputs) for inputs, outputs in pairwise(widths)]
    values, gradients = ([drawn(batch_size, width) for width in widths] for _ in range(2))

    def products() -> None:
        for depth, weight in enumerate(weights):
            torch.bmm(values[depth], weight)
        for depth, weight in reversed(list(enumerate(weights))):
            torch.bmm(values[depth].transpose(1, 2), gradients[depth + 1])
            if depth:
                torch.bmm(gradients[depth + 1], weight.transpose(1, 2))

    return recorded(products, device)


def convolutions(model: Inception, images: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """Return what does the convolutions of a step over ``images`` (1, B, colours, H, W); the first needs no d_u.

    They are those that ``model`` computes: of an Inception block's first ones, one.
    """
    seen: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        seen.append((layer, inputs[0].detach().to(dtype), output.detach().to(dtype)))

    hooks = [module.register_forward_hook(keep) for module in model.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    cases = [
        (u, layer.weight.detach().to(dtype, memory_format=torch.channels_last), layer, d_x.clone(), depth > 0)
        for depth, (layer, u, d_x) in enumerate(seen)
    ]

    @torch.no_grad()
    def convolve() -> None:
        for u, weight, layer, _, _ in cases:
            torch.nn.functional.conv2d(u, weight, None, layer.stride, layer.padding, 1, layer.groups)
        for u, weight, layer, d_x, further in reversed(cases):
            geometry = layer.stride, layer.padding, layer.dilation, False, [0, 0], layer.groups
            aten.convolution_backward(d_x, u, weight, None, *geometry, [further, True, False])

    return recorded(convolve, images.device.type)

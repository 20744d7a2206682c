"""One model on several devices: torchrun starts a process for each, and each trains on its share of every mini-batch.

Without torchrun there is one process, and nothing here does anything.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


def started() -> int:
    """Return how many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def started_here() -> int:
    """Return how many of them on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def size() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this one is; only 0 writes and prints."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun has started: over NCCL between GPUs, over Gloo between CPUs."""
    if started() == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share(count: int) -> slice:
    """Return this process's share of ``count`` things, which the number of processes divides."""
    mine = count // size()
    return slice(rank() * mine, (rank() + 1) * mine)


def parallel(model: nn.Module) -> nn.Module:
    """Return what trains ``model``: itself, or a wrapper that takes the mean of the processes' gradients."""
    return DistributedDataParallel(model, broadcast_buffers=False) if size() > 1 else model


@torch.no_grad()
def mean_(tensors: Iterable[Tensor]) -> None:
    """Replace every floating point tensor by its mean over the processes, all in one message."""
    if size() == 1:
        return
    tensors = list(tensors)
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    means = torch.split(flat / size(), [tensor.numel() for tensor in tensors])
    for tensor, mean in zip(tensors, means, strict=True):
        tensor.copy_(mean.view_as(tensor))


def mean(tensor: Tensor) -> Tensor:
    """Return the mean over the processes, through which gradients flow."""
    total: Tensor = all_reduce(tensor)  # type: ignore[no-untyped-call]
    return total / size()


def any_says(yes: bool, device: torch.device) -> bool:
    """Return whether any process says yes; all must ask."""
    if size() == 1:
        return yes
    answer = torch.tensor(float(yes), device=device)
    distributed.all_reduce(answer)
    return bool(answer > 0)

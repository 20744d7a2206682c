"""Algorithm 2: the population's moments from many mini-batches, in place of the moving averages."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnrepro import distributed
from bnrepro.norm.modules import Normalisation, restoring


@contextmanager
def exact_population(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[None]:
    """Within this context ``model`` is in inference mode with the population's moments estimated over ``batches``.

    Steps 8 to 11 of Algorithm 2: the network, normalising as in training, processes every mini-batch; then
    E[x] is the mean of the mini-batches' means and Var[x] = m/(m-1) times the mean of their biased variances. All
    layers are estimated in one pass. Afterwards the moving averages stand again. Of several processes, each does its
    share of every mini-batch, and the estimates are the means of theirs.

    Args:
        model: any network whose normalisations are this package's.
        batches: its inputs, mini-batches of equal size.

    Raises:
        ValueError: there is no mini-batch, their sizes differ, or a normalisation is the framework's own.
    """
    foreign = [type(module).__name__ for module in model.modules() if isinstance(module, _BatchNorm)]
    if foreign:
        raise ValueError(f"the model has the framework's {foreign[0]}: only bnrepro's norms can be estimated exactly")
    with restoring(model) as norms:
        kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
        try:
            _estimate(model, norms, batches)
            model.eval()
            yield
        finally:
            for norm, buffers in zip(norms, kept, strict=True):
                for name, buffer in norm.named_buffers():
                    buffer.copy_(buffers[name])


@torch.no_grad()
def _estimate(model: nn.Module, norms: list[Normalisation], batches: Iterable[Tensor]) -> None:
    """Leave the mean over ``batches`` of every mean and unbiased variance in the norms' buffers."""
    model.eval()  # so that nothing is dropped out
    for norm in norms:
        norm.train()
        norm.tracking = True
        norm.momentum = 1.0  # the buffers are then the last mini-batch's own mean and m/(m-1) times its variance
    buffers = [buffer for norm in norms for buffer in norm.buffers()]
    sums = [torch.zeros_like(buffer) for buffer in buffers]
    count, size = 0, None
    for batch in batches:
        if size not in (None, batch.shape):
            raise ValueError(
                f"mini-batches have shapes {tuple(size)} and {tuple(batch.shape)}: they must be of one size"
            )
        size = batch.shape
        for buffer in buffers:
            buffer.zero_()  # whatever the averages were, not finite perhaps, they do not enter
        model(batch)
        count += 1
        for total, buffer in zip(sums, buffers, strict=True):
            total.add_(buffer)
    if count == 0:
        raise ValueError("population statistics were asked for over no mini-batch: give one or more (Algorithm 2)")
    for total, buffer in zip(sums, buffers, strict=True):
        buffer.copy_(total / count)
    distributed.mean_(buffers)

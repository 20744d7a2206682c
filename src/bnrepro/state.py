"""Everything that a run is at one step, and nothing else: what a checkpoint holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bnrepro import distributed, models, norm, optim
from bnrepro.config import RunConfig
from bnrepro.data import Dataset, Sampler
from bnrepro.graph import StepGraph
from bnrepro.models import MLP, Network, WrittenOut
from bnrepro.norm import Whitening
from bnrepro.optim import SGD


@dataclass
class State:
    """A stack in training.

    Attributes:
        written_out: the step written out, for the networks that have one; else it is autograd's.
        precision: of autograd's forward pass; ``tf32``: of its products, backward too.
        recorded: whether steps are recorded as a CUDA graph and replayed; ``graph``: that one, once there is one.
        parallel: what trains the model: itself, or its wrapper where several processes train together.
        step: mini-batches done.
        loss: (R,) each replica's mean cross-entropy over its last mini-batch.
        diverged_at: (R,) the first step whose loss was not finite, 0 where there was none.
        data_sha256: of the data that it is trained on.
    """

    model: Network
    parallel: nn.Module
    written_out: Callable[[Tensor, Tensor, Tensor, bool], Tensor] | None
    precision: str
    optimiser: SGD
    sampler: Sampler
    step: int
    loss: Tensor
    diverged_at: Tensor
    data_sha256: str
    recorded: bool
    graph: StepGraph | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers only, so that it loads with ``weights_only``."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sampler": self.sampler.state_dict(),
            "step": self.step,
            "loss": self.loss,
            "diverged_at": self.diverged_at,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the run that ``state`` was taken from. Nothing else is random: see seeding.py.

        Raises:
            ValueError: the optimiser's part fits another run.
        """
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.sampler.load_state_dict(state["sampler"])
        self.step = state["step"]
        self.loss = state["loss"].to(self.loss.device)
        self.diverged_at = state["diverged_at"].to(self.diverged_at.device)


def initial(config: RunConfig, dataset: Dataset, device: torch.device) -> State:
    """Build a stack of ``config.replicas`` and its sampler at step 0.

    Raises:
        BadInput: a mini-batch is larger than the training set.
    """
    seeds, rates = [r.drawn_from for r in config.replicas], [r.lr for r in config.replicas]
    replicas = len(seeds)
    normalisation = norm.build(config.norm, replicas if models.stacked(config.model) else None)
    model = models.build(config.model, normalisation, dataset.shape, dataset.classes, seeds).to(device)
    return State(
        model=model,
        parallel=distributed.parallel(model),
        written_out=WrittenOut(model) if config.runtime.step == "written_out" and isinstance(model, MLP) else None,
        precision=config.runtime.precision,
        optimiser=optim.build(config.optim, model, rates, config.steps),
        sampler=Sampler(dataset.train, config.batch_size, seeds, config.augment),
        step=0,
        loss=torch.zeros(replicas, device=device),
        diverged_at=torch.zeros(replicas, dtype=torch.int64, device=device),
        data_sha256=dataset.sha256,
        recorded=device.type == "cuda" and distributed.size() == 1 and not _waits(model),
    )


def _waits(model: Network) -> bool:
    """Say whether a step waits for the GPU in its middle, as eigenvalues do: then it cannot be recorded."""
    return any(isinstance(module, Whitening) for module in model.modules())

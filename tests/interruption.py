"""A run that ends in the middle, as when its machine fails, without a process of its own."""

import io

import pytest
import torch

from bnrepro import checkpoint, probes
from bnrepro.config import RunConfig
from bnrepro.probes import Measurement
from bnrepro.record import Record
from bnrepro.run import run
from bnrepro.state import State


class Interrupted(Exception):
    pass


class Interruption:
    """A probe that ends the process' work at one step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def when(self, step: int) -> bool:
        return step == self.step

    def measure(self, state: State) -> list[Measurement]:
        raise Interrupted


def interrupted(config: RunConfig, step: int) -> Record:
    """Run until ``step``, whatever checkpoints there are before it."""
    with pytest.MonkeyPatch.context() as patch:
        build = probes.build
        patch.setattr(probes, "build", lambda c, d: [*build(c, d), Interruption(step)])
        with pytest.raises(Interrupted):
            run(config)
    return Record.of(config)


def stored_state(record: Record) -> dict[str, torch.Tensor]:
    """Return the parameters and buffers in a run's last checkpoint."""
    content = io.BytesIO(record.checkpoint.read_bytes()[checkpoint.DIGEST :])
    model: dict[str, torch.Tensor] = torch.load(content, weights_only=True)["state"]["model"]
    return model

"""What recording a step on a GPU needs of a CPU; the recording itself: test_cuda.py."""

from pathlib import Path

import pytest
import torch

from bnrepro import data
from bnrepro.graph import WARM_UP, Moment
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import load

IMAGES = ["data=shapes", "data.train_images=200", "data.test_images=100", "model.width=0.125", "seeds=[0]"]
DIGITS = ["data=digits", "seeds=[0,1,2]"]
STEPS = {
    "written out": ["network=mlp_bn", *DIGITS],
    "by autograd": ["network=mlp_bn", "runtime.step=autograd", "optim.momentum=0.9", *DIGITS],
    "a rate each": ["network=mlp", "optim.momentum=0.9", "optim.rates=[0.1,0.3]", *DIGITS],
    "with dropout": ["network=bn_x5_without_dropout", *IMAGES],
}


def started(name: str) -> State:
    config = load([*STEPS[name], "batch_size=16", "runtime.device=cpu"])
    return initial(config, data.load(config.data, Path(config.data_root), config.augment.crop), torch.device("cpu"))


@pytest.mark.parametrize("begun", [0, 2])
@pytest.mark.parametrize("name", STEPS)
def test_what_a_warm_up_changes_is_put_back(name: str, begun: int) -> None:
    disturbed, undisturbed = started(name), started(name)
    for state in (disturbed, undisturbed):
        for _ in range(begun):
            advance(state)
    sampler, lr = disturbed.sampler.state_dict(), disturbed.optimiser.lr
    before = Moment.of(disturbed.model, disturbed.optimiser)
    for _ in range(WARM_UP):
        advance(disturbed)
        assert not before.is_near(Moment.of(disturbed.model, disturbed.optimiser))
    before.put_back(disturbed.model, disturbed.optimiser)
    assert before.is_near(Moment.of(disturbed.model, disturbed.optimiser))
    disturbed.sampler.load_state_dict(sampler)
    disturbed.optimiser.lr = lr
    for _ in range(2):
        for state in (disturbed, undisturbed):
            advance(state)
        assert torch.equal(disturbed.loss, undisturbed.loss)
    ends = [state.model.state_dict() for state in (disturbed, undisturbed)]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize("name", STEPS)
def test_a_state_that_is_loaded_stays_where_a_recording_reads_it(name: str) -> None:
    state, other = started(name), started(name)
    advance(other)

    def places() -> list[int]:
        tensors = [*state.model.parameters(), *state.model.buffers(), *state.optimiser.momenta]
        return [tensor.data_ptr() for tensor in tensors]

    before = places()
    state.load_state_dict(other.state_dict())
    assert places() == before
    assert Moment.of(state.model, state.optimiser).is_near(Moment.of(other.model, other.optimiser))


@pytest.mark.parametrize("name", STEPS)
def test_a_learning_rate_in_a_tensor_is_the_number(name: str) -> None:
    """The recording reads it there."""
    by_tensor, by_number = started(name), started(name)
    for _ in range(3):
        by_tensor.optimiser.lr = torch.tensor(by_tensor.optimiser.lr)
        for state in (by_tensor, by_number):
            advance(state)
        by_tensor.optimiser.lr = by_number.optimiser.lr
    ends = [Moment.of(state.model, state.optimiser) for state in (by_tensor, by_number)]
    assert ends[0].is_near(ends[1])

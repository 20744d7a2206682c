"""The same runs on a GPU; skipped where there is none."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from bnrepro import data
from bnrepro.bench import same
from bnrepro.compose import load
from bnrepro.run import run, set_up_torch
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import Make
from interruption import interrupted

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
IMAGES = ["data=shapes", "data.train_images=200", "data.test_images=100", "model.width=0.125", "seeds=[0]"]
DIGITS = ["data=digits", "seeds=[0,1,2]"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["network=mlp", *DIGITS],
        ["network=mlp_bn", *DIGITS],
        ["network=mlp_bn", "runtime.step=autograd", *DIGITS],
        ["network=mlp_bn", "norm.impl=paper", *DIGITS],
        ["network=bn_baseline", *IMAGES],
        ["network=bn_x5", "runtime.precision=bfloat16", *IMAGES],
    ],
    ids=" ".join,
)
def test_first_losses_are_the_cpus(overrides: list[str]) -> None:
    set_up_torch(1)
    losses, changes = [], []
    for device in ("cpu", "cuda"):
        config = load([*overrides, "batch_size=16", f"runtime.device={device}"])
        dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(torch.device(device))
        state = initial(config, dataset, torch.device(device))
        assert {t.device.type for t in (dataset.train.images, state.sampler.permutations)} == {device}
        changes.append(same.change((state.model, lambda state=state: advance(state))).cpu())  # type: ignore[misc]
        seen = [state.loss.cpu()]
        for _ in range(2):
            advance(state)
            seen.append(state.loss.cpu())
        losses.append(torch.stack(seen))
    assert same.distance(*changes) < (1.0 if "runtime.precision=bfloat16" in overrides else 0.1)
    torch.testing.assert_close(losses[0], losses[1], rtol=0.02, atol=0)


def started(overrides: list[str], **settings: object) -> State:
    config = load([*overrides, "batch_size=16", "runtime.device=cuda"])
    device = torch.device("cuda")
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(device)
    return replace(initial(config, dataset, device), **settings)  # type: ignore[arg-type]


def trained(state: State, steps: int, *, gradients: bool = False) -> dict[str, torch.Tensor]:
    """Return the losses and all that the model is after some steps."""
    losses = []
    for _ in range(steps):
        advance(state, gradients)
        losses.append(state.loss)
    numbers = {name: value.clone() for name, value in state.model.state_dict().items()}
    return {"losses": torch.stack(losses), **numbers}


@pytest.mark.parametrize(
    "overrides",
    [
        ["network=mlp", *DIGITS],
        ["network=mlp_bn", *DIGITS],
        ["network=mlp_bn", "optim.rates=[0.1,0.3]", *DIGITS],
        ["network=mlp_bn", "runtime.step=autograd", "optim.momentum=0.9", "optim.rates=[0.1,0.3]", *DIGITS],
        ["network=mlp_bn", "norm.impl=paper", *DIGITS],
        ["network=inception", *IMAGES],
        ["network=bn_x5_without_dropout", *IMAGES],
        ["network=bn_x5", "runtime.precision=bfloat16", "optim.half_life=0.5", *IMAGES],
        ["network=bn_x5", "runtime.precision=tf32", *IMAGES],
    ],
    ids=" ".join,
)
def test_a_recorded_step_is_the_launched_one(overrides: list[str]) -> None:
    set_up_torch(1)
    recorded, launched = started(overrides), started(overrides, recorded=False)
    assert recorded.recorded
    ours, theirs = trained(recorded, 6), trained(launched, 6)
    assert recorded.graph
    for name, expected in theirs.items():
        # the learning rate comes in single precision, and an Inception network magnifies rounding
        torch.testing.assert_close(
            ours[name].cpu(), expected.cpu(), rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert recorded.optimiser.lr == launched.optimiser.lr


def test_a_recorded_step_leaves_its_gradients_and_alternates_with_one_that_is_launched() -> None:
    """Probes see gradients: autograd's of the replay, the written-out step's of a step that is launched."""
    set_up_torch(1)
    for step in ("autograd", "written_out"):
        overrides = ["network=mlp_bn", f"runtime.step={step}", *DIGITS]
        recorded, launched = started(overrides), started(overrides, recorded=False)
        for gradients in (False, True, False, True):
            numbers = [trained(state, 1, gradients=gradients) for state in (recorded, launched)]
            for name, expected in numbers[1].items():
                torch.testing.assert_close(numbers[0][name], expected)
            if gradients:
                for ours, theirs in zip(recorded.model.parameters(), launched.model.parameters(), strict=True):
                    assert (ours.grad is None) == (theirs.grad is None)
                    if theirs.grad is not None:
                        torch.testing.assert_close(ours.grad, theirs.grad)


def test_what_waits_for_the_gpu_is_not_recorded() -> None:
    state = started(["network=mlp_bn", "norm=whitening", *DIGITS])
    assert not state.recorded
    assert torch.isfinite(trained(state, 2)["losses"]).all()


def test_tf32_rounds_the_steps_alone() -> None:
    set_up_torch(1)
    changes = {}
    for precision in ("float32", "tf32"):
        state = started(["network=bn_baseline", f"runtime.precision={precision}", *IMAGES])
        changes[precision] = same.change((state.model, partial(advance, state)), 4)
        assert not torch.backends.cudnn.allow_tf32
    assert 1e-4 < same.distance(changes["tf32"], changes["float32"]) < 0.5


@pytest.mark.parametrize("network", ["mlp_bn", "bn_x5", "bn_x5_without_dropout"])
def test_a_resumed_run_is_the_undisturbed_one_bit_for_bit(network: str, small: Make, tmp_path: Path) -> None:
    own = DIGITS if network == "mlp_bn" else IMAGES
    base = [f"network={network}", *own, "steps=20", "probes.evaluate_every=5", "runtime.checkpoint_every=5"]
    base.append("runtime.device=cuda")
    undisturbed = run(small(*base)).read_metrics()
    config = replace(small(*base), runs_root=str(tmp_path / "again"))
    interrupted(config, 12)
    pd.testing.assert_frame_equal(run(config).read_metrics(), undisturbed)

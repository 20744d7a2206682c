"""The same runs on a GPU; skipped where there is none."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from bnrepro import data
from bnrepro.bench import same
from bnrepro.compose import load
from bnrepro.run import run, set_up_torch
from bnrepro.state import initial
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


@pytest.mark.parametrize("network", ["mlp_bn", "bn_x5"])
def test_a_resumed_run_is_the_undisturbed_one_bit_for_bit(network: str, small: Make, tmp_path: Path) -> None:
    own = IMAGES if network == "bn_x5" else DIGITS
    base = [f"network={network}", *own, "steps=20", "probes.evaluate_every=5", "runtime.checkpoint_every=5"]
    base.append("runtime.device=cuda")
    undisturbed = run(small(*base)).read_metrics()
    config = replace(small(*base), runs_root=str(tmp_path / "again"))
    interrupted(config, 12)
    pd.testing.assert_frame_equal(run(config).read_metrics(), undisturbed)

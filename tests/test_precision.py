"""Training steps in bfloat16: near those in float32, what is kept still float32."""

from pathlib import Path

import pytest
import torch

from bnrepro import data
from bnrepro.bench import same
from bnrepro.config import identity
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import load

SMALL = ["data=shapes", "data.train_images=200", "data.test_images=100", "model.width=0.125", "batch_size=16"]


def state(*overrides: str) -> State:
    config = load([*SMALL, "runtime.device=cpu", "seeds=[0]", *overrides])
    return initial(config, data.load(config.data, Path(config.data_root), config.augment.crop), torch.device("cpu"))


@pytest.mark.parametrize("network", ["inception", "bn_x5"])
def test_bfloat16_trains_much_as_float32_does_and_keeps_float32(network: str) -> None:
    settings = (f"network={network}", "runtime.precision=bfloat16"), (f"network={network}",)
    narrow, wide = (state(*each) for each in settings)
    changed = [same.change((one.model, lambda one=one: advance(one))) for one in (narrow, wide)]  # type: ignore[misc]
    assert 0 < same.distance(*changed) < {"inception": 0.3, "bn_x5": 1.0}[network]  # BN magnifies rounding
    assert 0.8 < torch.linalg.vector_norm(changed[0]) / torch.linalg.vector_norm(changed[1]) < 1.25
    narrow, wide = (state(*each) for each in settings)
    for _ in range(3):
        advance(narrow)
        advance(wide)
        assert not torch.equal(narrow.loss, wide.loss)
        torch.testing.assert_close(narrow.loss, wide.loss, rtol=0.05, atol=0)
    kept = [*narrow.model.parameters(), *narrow.model.buffers(), narrow.loss]
    assert {tensor.dtype for tensor in kept if tensor.is_floating_point()} == {torch.float32}


def test_it_is_another_run() -> None:
    assert identity(load(["network=bn_x5", "runtime.precision=bfloat16"]))["runtime.precision"] == "bfloat16"
    assert "runtime.precision" not in identity(load(["network=bn_x5"]))

"""The first 20 losses of every network on embedded data, as they were: a silent change of the mathematics is seen.

They are in double precision: in single precision rounding, other from processor to processor, grows a thousandfold with
each step of a deep network.

After a change that is meant, ``python tests/test_golden.py`` writes them anew; say why in the same commit.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bnrepro import data
from bnrepro.bench.same import in_double
from bnrepro.compose import CONFIGS
from bnrepro.config import RunConfig
from bnrepro.data import Dataset
from bnrepro.state import initial
from bnrepro.train import advance
from conftest import load

GOLDEN = Path(__file__).with_name("golden_losses.csv")
NETWORKS = sorted(path.stem for path in (CONFIGS / "network").glob("*.yaml"))
STEPS = 20
DRAWN: dict[tuple[str, int], Dataset] = {}


def settings(network: str) -> RunConfig:
    common = ["scale=smoke", f"steps={STEPS}", "runtime.device=cpu", "seeds=[0]", "batch_size=16", "name=golden"]
    common.append(f"network={network}")
    if network.startswith("mlp"):
        return load([*common, "data=digits"])
    # the small Inception without BN diverges at its own rate on so few examples, and has no width
    fits = ["optim.lr=0.001", "batch_size=4"] if network.startswith("small") else ["model.width=0.125"]
    return load([*common, "data=shapes", "data.train_images=200", "data.test_images=100", *fits])


def losses(network: str) -> list[float]:
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")
    config = settings(network)
    key = (config.data.name, config.augment.crop)
    if key not in DRAWN:
        DRAWN[key] = data.load(config.data, Path(config.data_root), config.augment.crop)
    state = in_double(initial(config, DRAWN[key], torch.device("cpu")))
    seen = []
    for _ in range(STEPS):
        advance(state)
        seen.append(float(state.loss[0]))
    return seen


@pytest.mark.parametrize("network", NETWORKS)
def test_the_first_losses_are_what_they_were(network: str) -> None:
    golden = pd.read_csv(GOLDEN).query("network == @network")
    assert golden["loss"].notna().all()
    assert list(golden["step"]) == list(range(1, STEPS + 1))
    np.testing.assert_allclose(losses(network), golden["loss"], rtol=1e-6)


if __name__ == "__main__":
    rows = [(name, step, loss) for name in NETWORKS for step, loss in enumerate(losses(name), start=1)]
    pd.DataFrame(rows, columns=["network", "step", "loss"]).to_csv(GOLDEN, index=False, float_format="%.9g")

"""Learning rates side by side in one stack, against a run at each of them; the framework's: test_optim.py."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bnrepro import results, tables
from bnrepro.config import identity
from bnrepro.run import run
from conftest import Make, load

NETWORKS = ("mlp", "mlp_bn")
RATES = [0.01, 0.1, 0.3]  # at higher ones rounding grows within 30 steps, differently on each processor
SETTINGS = [
    [],
    ["optim.momentum=0.9", "optim.half_life=0.2", "optim.decay_speed=2", "optim.l2=0.01"],
]


def curves(metrics: pd.DataFrame) -> pd.DataFrame:
    loss = metrics[(metrics["split"] == "test") & (metrics["metric"] == "loss")]
    return loss.pivot(index="step", columns=["seed", "lr"], values="value")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_each_rate_trains_as_it_would_alone(network: str, settings: list[str], small: Make) -> None:
    base = [f"network={network}", "steps=30", "seeds=[0,1]", *settings]
    stack = curves(run(small(*base, f"optim.rates={RATES}")).read_metrics())
    assert stack.columns.tolist() == [(seed, lr) for seed in (0, 1) for lr in RATES]
    for lr in RATES:
        alone = curves(run(small(*base, f"optim.lr={lr}")).read_metrics())
        np.testing.assert_allclose(stack.xs(lr, axis=1, level="lr"), alone.xs(lr, axis=1, level="lr"), rtol=1e-5)


def test_a_rate_that_diverges_is_marked_and_leaves_the_others_alone(small: Make) -> None:
    base = ["network=mlp", "model.nonlinearity=relu", "steps=30", "seeds=[0]"]
    record = run(small(*base, "optim.rates=[0.1,1e30]"))
    assert list(record.status["diverged"]) == ["0 lr 1e+30"]
    alone = run(small(*base, "optim.rates=[0.1]"))
    beside = curves(record.read_metrics())[(0, 0.1)]
    assert torch.equal(torch.tensor(beside.to_numpy()), torch.tensor(curves(alone.read_metrics())[(0, 0.1)].to_numpy()))


def test_without_rates_a_run_is_what_it_was() -> None:
    assert "optim.rates" not in identity(load([]))
    assert "optim.rates" in identity(load(["optim.rates=[0.1]"]))


def test_rates_and_scales_go_from_runs_to_the_report(tmp_path: Path) -> None:
    where = ["scale=smoke", "data=digits", f"runs_root={tmp_path / 'runs'}", "runtime.device=cpu"]
    rates = [f"experiment=higher_lr network={n} model.init_std=0.05 optim.rates=[0.01,1,1e30]" for n in NETWORKS]
    scales = [f"experiment=initial_scale network={n} model.init_std={std}" for n in NETWORKS for std in (0.01, 1)]
    for experiment, commands in (("higher_lr", rates), ("initial_scale", scales)):
        made = [run(load([*command.split(), *where])) for command in commands]
        results.add(tmp_path / "results", experiment, made, commands)
    results.refresh(tmp_path / "results")
    table = tables.read(tmp_path / "results/digits/higher_lr.csv")
    assert len(table) == 2 * 2 * 3  # networks, seeds, rates
    seen = run(load([*rates[0].split(), *where])).read_metrics()
    held_out = seen.query("split == 'held_out' and metric == 'accuracy' and seed == 1 and lr == 1.0")["value"]
    ours = table.query("network == 'mlp' and seed == 1 and lr == 1.0")
    assert ours["final"].item() == pytest.approx(held_out.tail(5).mean(), rel=1e-5)
    assert len(tables.read(tmp_path / "results/digits/initial_scale.csv")) == 2 * 2 * 2  # networks, seeds, scales
    for name in ("higher_lr", "initial_scale"):
        assert (tmp_path / f"results/digits/figures/{name}.png").stat().st_size > 10_000
    claims = tables.read(tmp_path / "results/claims.csv").set_index("id")
    assert claims.loc["higher-lr:best", "verdict"] == "inconclusive"  # two seeds

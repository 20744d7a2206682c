"""Learning rates and initial scales on tables made by hand."""

import numpy as np
import pandas as pd
import pytest

from bnrepro.claims import about, rates
from bnrepro.claims.claim import judge

GRID = [0.01, 0.1, 1.0, 10.0, 100.0]


def rows(network: str, seed: int, accuracies: list[float], init_std: float = 0.05) -> pd.DataFrame:
    """Return the accuracies of one seed's network over :data:`GRID`; NaN: it diverged."""
    return pd.DataFrame(
        {
            "network": network,
            "seed": seed,
            "lr": GRID,
            "final": accuracies,
            "best": accuracies,
            "diverged_at": [7 if np.isnan(a) else None for a in accuracies],
            "classes": 10,
            "init_std": init_std,
            "data": "mnist",
            "scale": "cpu",
        }
    )


@pytest.fixture
def table() -> pd.DataFrame:
    """BN trains a hundred times as fast as the network without it; elsewhere it is the other way round."""
    pieces = []
    for seed in range(3):
        pieces.append(rows("mlp", seed, [0.8, 0.9, 0.54, np.nan, np.nan]))
        pieces.append(rows("mlp_bn", seed, [0.5, 0.951, 0.95, 0.945, 0.6 if seed else 0.2]))
        pieces.append(rows("mlp", seed, [0.9] * 5, init_std=0.02))
        pieces.append(rows("mlp_bn", seed, [0.1] * 5, init_std=0.02))
    return pd.concat(pieces, ignore_index=True)


def test_the_largest_rate_that_trains_is_half_way_from_chance_to_the_best(table: pd.DataFrame) -> None:
    ours = table[table["init_std"] == 0.05]
    assert rates.largest(ours, "mlp", "lr").tolist() == [1.0, 1.0, 1.0]  # 0.54 is above 0.1 + 0.8 / 2
    assert rates.largest(ours, "mlp_bn", "lr").tolist() == [10.0, 100.0, 100.0]


def test_the_range_is_within_a_hundredth_of_the_best(table: pd.DataFrame) -> None:
    ours = table[table["init_std"] == 0.05]
    assert rates.decades(ours, "mlp", "lr").tolist() == [0.0, 0.0, 0.0]
    assert rates.decades(ours, "mlp_bn", "lr").tolist() == pytest.approx([2.0, 2.0, 2.0])  # 0.1 to 10


def test_the_claims_are_judged_at_the_scale_of_figure_1(table: pd.DataFrame) -> None:
    claims = [claim for claim in about("mnist") if claim.table == "higher_lr"]
    judged = judge(claims, {"higher_lr": table}, "mnist").set_index("id")
    assert judged["verdict"].tolist() == ["reproduced"] * 3 + ["not run"] * 6  # the table has no other scale
    e = judged.loc["higher-lr:largest"]
    assert e["ours"] == pytest.approx((10 * 100 * 100) ** (1 / 3))  # the mean of the ratios' logarithms
    assert e["low"] == pytest.approx(1.71, abs=0.02)  # t(2) = 4.303; logarithms 2.303, 4.605, 4.605
    assert judged.loc["higher-lr:best", "ours"] == pytest.approx(0.051)
    swapped = table.assign(network=table["network"].map({"mlp": "mlp_bn", "mlp_bn": "mlp"}))
    verdicts = judge(claims, {"higher_lr": swapped}, "mlp")["verdict"]
    assert verdicts.tolist() == ["not reproduced"] * 3 + ["not run"] * 6
    beside = pd.concat([table, table[table["init_std"] == 0.02].assign(init_std=0.16)])
    judged = judge(claims, {"higher_lr": beside}, "mnist").set_index("id")
    assert judged.loc["higher-lr:best:init-0.16", "verdict"] == "not reproduced"
    assert "to a step of the grid, a factor of 10" in judged.loc["higher-lr:largest", "statement"]


def test_a_network_at_chance_everywhere_has_no_largest_rate_and_no_range() -> None:
    """Which of its accuracies is half-way from chance to the best is noise's choice."""
    noise = [0.101, 0.1, 0.103, np.nan, 0.104]
    pieces = [rows("mlp_bn", seed, [0.5, 0.95, 0.95, 0.2, 0.1]) for seed in range(4)]
    pieces += [rows("mlp", seed, [0.8, 0.9, 0.54, np.nan, np.nan] if seed else noise) for seed in range(4)]
    made = pd.concat(pieces, ignore_index=True)
    assert np.isnan(rates.largest(made, "mlp", "lr")[0])
    assert np.isnan(rates.decades(made, "mlp", "lr")[0])
    claims = [claim for claim in about("mnist") if claim.table == "higher_lr"]
    judged = judge(claims, {"higher_lr": made}, "mnist").set_index("id")
    assert judged["seeds"].tolist()[:3] == [3, 3, 4]  # the best accuracies can be compared all the same
    note = "; without BN at chance at every setting on 1 of 4 seeds, which do not count"
    assert judged["statement"].str.endswith(note).tolist()[:3] == [True, True, False]
    always = pd.concat([*pieces[:4], *(rows("mlp", seed, noise) for seed in range(4))], ignore_index=True)
    assert judge(claims, {"higher_lr": always}, "mnist")["verdict"].tolist()[:2] == ["inconclusive"] * 2


def test_diverged_and_chance_are_failures(table: pd.DataFrame) -> None:
    failed = table[rates.fails(table)]
    assert set(failed.loc[failed["network"] == "mlp", "lr"]) == {10.0, 100.0}
    assert set(failed.loc[failed["network"] == "mlp_bn", "init_std"]) == {0.02}

"""The audit of the appendix, against hand counts and the published sizes of GoogLeNet."""

import pandas as pd
import pytest

from bnrepro.claims import about
from bnrepro.claims.claim import judge
from bnrepro.theory import architecture


@pytest.fixture(scope="module")
def counts() -> dict[tuple[str, str], float]:
    table = architecture.measure()
    return table.set_index(["architecture", "quantity"])["value"].to_dict()


def test_googlenet_has_its_published_size(counts: dict[tuple[str, str], float]) -> None:
    assert counts["googlenet", "parameters"] == 6_998_552  # of the public Caffe model without its auxiliary outputs
    assert counts["googlenet", "layers"] == 22  # "22 layers deep when counting only layers with parameters"
    assert counts["googlenet", "multiply_adds"] == pytest.approx(1.5e9, rel=0.07)  # "1.5 billion multiply-adds"
    assert (counts["googlenet", "depth_4c"], counts["googlenet", "depth_4d"]) == (512, 528)


def test_multiply_adds_of_one_block_are_as_by_hand() -> None:
    """Of block 3c on 320 maps of 28x28; its last 3x3 convolutions have stride 2."""
    at_28 = 28 * 28 * (320 * 128 + 320 * 64 + 9 * 64 * 96)
    at_14 = 14 * 14 * 9 * (128 * 160 + 96 * 96)
    with_block, without = (architecture._count(table, None, None) for table in (architecture.FIGURE_5, short()))
    later = with_block["multiply_adds"] - without["multiply_adds"]
    # without 3c what follows sees 320 maps of 28x28; only 4a's first layers change in weights: compare at those
    first_of_4a = (576 - 4 * 320) * 14 * 14 * (224 + 64 + 96 + 128)
    rest_at_four_times = -3 * _after_3c()
    assert later == at_28 + at_14 + first_of_4a + rest_at_four_times


def short() -> tuple[architecture.Block, ...]:
    return tuple(row for row in architecture.FIGURE_5 if row.name != "3c")


def _after_3c() -> int:
    """Multiply-adds behind block 3c but for 4a's first 1x1 convolutions and the last layer, in Figure 5's network."""
    total, depth, side = 0, 576, 14
    for row in architecture.FIGURE_5[3:]:
        small = side // row.stride
        first = depth * (row.one + row.three[0] + row.large[0] + row.projection)
        total += 0 if row.name == "4a" else side * side * first
        total += small * small * 9 * (row.three[0] * row.three[1] + row.large[1] * row.large[1])
        total += side * side * 9 * row.large[0] * row.large[1]
        depth = row.one + row.three[1] + row.large[1] + (row.projection or depth)
        side = small
    return total


def test_a_separable_first_layer_saves_the_multiply_adds_and_costs_the_memory_that_it_does_by_hand(
    counts: dict[tuple[str, str], float],
) -> None:
    saved = counts["figure5_dense", "multiply_adds"] - counts["figure5", "multiply_adds"]
    assert saved == 112 * 112 * (49 * 3 * 64 - (49 * 3 * 8 + 3 * 8 * 64))
    more = counts["figure5", "kept"] - counts["figure5_dense", "kept"]
    assert more == 4 * 112 * 112 * 3 * 8  # the depthwise maps, float32


def test_the_claims_are_judged_by_the_counts(counts: dict[tuple[str, str], float]) -> None:
    table = pd.DataFrame(
        [(*key, value) for key, value in counts.items()], columns=["architecture", "quantity", "value"]
    )
    rows = judge(about("random"), {"theory_architecture": table.assign(scale="cpu")}, "random").set_index("id")
    assert rows.loc["arch-growth:layers:swap", "ours"] == 9  # one more in each of nine blocks
    assert rows.loc["arch-4c4d:4c", "ours"] == 608
    assert rows.loc["arch-params:608", "verdict"] == "not reproduced"
    assert rows.loc["arch-separable:multiply-adds", "verdict"] == "reproduced"
    other = table.assign(scale="cpu", value=1.0)
    judged = judge(about("random"), {"theory_architecture": other}, "random").set_index("id")
    assert judged.loc["arch-separable:kept", "verdict"] == "not reproduced"
    agreeing = table.assign(scale="cpu", value=table["value"].where(table["quantity"] != "parameters", 13.6e6))
    assert (
        judge(about("random"), {"theory_architecture": agreeing}, "random")
        .set_index("id")
        .loc["arch-params:608", "verdict"]
        == "reproduced"
    )

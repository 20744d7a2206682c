"""The stopwatch, the floors, the peers and the gate, each against something that does not depend on them."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bnrepro import data, results
from bnrepro.bench import floors, peers, rows
from bnrepro.bench.rounds import Variant, best_threads, take_turns
from bnrepro.bench.same import require_same
from bnrepro.compose import load
from bnrepro.errors import BadInput
from bnrepro.models import Inception
from bnrepro.state import initial

SHAPES = ["data=shapes", "data.train_images=200", "data.test_images=100", "runtime.device=cpu", "seeds=[0]"]
CPU = torch.device("cpu")


def test_speeds_are_units_a_second_and_thread() -> None:
    slow = Variant("slow", lambda: time.sleep(0.02), 1)
    many = Variant("many", lambda: time.sleep(0.02), 5, threads=2)
    measured = take_turns([slow, many], 5, rounds=3)
    assert len(measured) == 3
    assert measured["slow"].max() <= 50
    assert measured["slow"].median() == pytest.approx(50, rel=0.2)
    assert measured["many"].median() == pytest.approx(125, rel=0.2)  # 5 in 0.02 s, of two threads


def test_a_peer_has_the_better_of_its_threads() -> None:
    measured = pd.DataFrame({"a": [1.0, 2.0], "a, two threads": [3.0, 4.0], "b": [5.0, 5.0], "b, two threads": [1, 1]})
    variants = [Variant(name, lambda: None, 1) for name in measured]
    assert best_threads(variants, measured)[["a", "b"]].to_dict("list") == {"a": [3.0, 4.0], "b": [5.0, 5.0]}


def test_a_goal_is_met_by_the_median_of_the_ratios() -> None:
    ratios = pd.Series([1.0, 2.0, 9.0])
    assert rows.goal("case", "ours ÷ peer", ratios, 2.0)["met"].tolist() == [True]
    assert rows.goal("case", "ours ÷ peer", ratios, 2.1)["met"].tolist() == [False]
    assert rows.seconds("case", "start", [1.0, 2.0, 9.0], 2.0)["met"].tolist() == [True]
    assert rows.goal("case", "ours ÷ peer", ratios, 2.1)[["median", "low", "high"]].values.tolist() == [[2.0, 1.0, 9.0]]


@pytest.mark.parametrize("losses", [[1.0, 2.01], [1.0, np.nan]])
def test_nothing_is_timed_that_computes_something_else(losses: list[float]) -> None:
    ours, theirs = [torch.tensor(loss) for loss in losses], [torch.tensor(1.0), torch.tensor(2.0)]
    require_same("a path", theirs, [loss * (1 + 1e-5) for loss in theirs], near=1e-3)
    with pytest.raises(BadInput, match=r"a path: losses differ by .*nothing was timed"):
        require_same("a path", ours, theirs, near=1e-3)


def test_the_floor_of_the_mnist_network_has_the_flops_of_its_step() -> None:
    widths = [784, 100, 100, 100, 10]
    with FlopCounterMode(display=False) as counted:
        floors.matrix_products(widths, 60, 5, "cpu")()
    assert counted.get_total_flops() == pytest.approx(5 * 26.4e6, rel=0.01)  # 26.4 MFLOP for each model


def test_the_floor_of_inception_has_the_flops_of_a_step() -> None:
    config = load(["network=bn_x5", *SHAPES, "model.width=0.125", "batch_size=4"])
    state = initial(config, data.load(config.data, Path(config.data_root), 0), CPU)
    model, images = state.model, state.sampler.next().images
    assert isinstance(model, Inception)
    convolve = floors.convolutions(model, images, torch.float32)
    with FlopCounterMode(display=False) as alone:
        convolve()
    with FlopCounterMode(display=False) as whole:
        model(images).sum().backward()
    linear = 3 * 2 * 4 * model.output.weight.numel()  # forward, and both gradients
    assert whole.get_total_flops() - linear == alone.get_total_flops()


@pytest.mark.parametrize("network", ["bn_baseline", "inception"])
def test_the_peer_is_the_same_network(network: str) -> None:
    config = load([f"network={network}", *SHAPES, "model.width=0.125", "batch_size=8", "model.dropout=0"])
    state = initial(config, data.load(config.data, Path(config.data_root), 0), CPU)
    images = state.sampler.next().images
    expected = state.model(images)[0]
    assert isinstance(state.model, Inception)
    torch.testing.assert_close(peers.EagerInception(state.model)(images[0]), expected, rtol=1e-3, atol=1e-4)


def test_a_peers_images_are_ours_without_distortion() -> None:
    config = load(["network=bn_x5", *SHAPES, "augment.pad=0", "augment.flip=false", "augment.photometric=0"])
    train = data.load(config.data, Path(config.data_root), 0).train
    theirs = peers.per_image(config.data, Path("data"), train, peers.augmentation(config.augment, 32))
    for index in (0, 7):
        image, label = theirs[index]
        assert label == train.labels[index]
        torch.testing.assert_close(image, train[index : index + 1].inputs[0])


def test_rows_are_written_with_their_sum_and_others_stay(tmp_path: Path) -> None:
    made_by = {"device": "a processor", "commit": "0"}
    first = pd.concat([rows.seconds(case, "x", [1.0]) for case in ("a", "b")]).assign(device="a processor")
    results.add_bench(tmp_path, first, made_by, keep_others=False)
    again = rows.seconds("b", "y", [2.0]).assign(device="a processor")
    results.add_bench(tmp_path, again, made_by, keep_others=True)
    table = pd.read_csv(tmp_path / "bench.csv")
    assert table[["case", "variant"]].values.tolist() == [["a", "x"], ["b", "y"]]
    assert list(table.columns) == rows.COLUMNS
    results.check(tmp_path)
    (tmp_path / "bench.csv").write_text("touched")
    with pytest.raises(BadInput, match=r"bench\.csv is not the table that was made"):
        results.check(tmp_path)

"""The stopwatch, the floors, the peers and the gate, each against something that does not depend on them."""

import itertools
import json
import time
from itertools import count
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import image_tree
from bnrepro import data, report, results
from bnrepro.bench import command, floors, growth, inception, memory, mnist, peers, profile, reading, rows, same, whole
from bnrepro.bench.rounds import Variant, better, take_turns
from bnrepro.errors import BadInput
from bnrepro.models import Inception, written_out
from bnrepro.norm import BatchNorm
from bnrepro.report import bench_figures, readme
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import load

DIGITS = ["data=digits", "seeds=[0,1]", "runtime.device=cpu"]
PRECISIONS = ("float32", "bfloat16")
SHAPES = ["data=shapes", "data.train_images=200", "data.test_images=100", "runtime.device=cpu", "seeds=[0]"]
CPU = torch.device("cpu")


def test_speeds_are_units_a_second_and_thread() -> None:
    slow = Variant("slow", lambda: time.sleep(0.02), 1)
    many = Variant("many", lambda: time.sleep(0.02), 5, threads=2)
    measured = take_turns([slow, many], 5, rounds=3)
    assert len(measured) == 3
    assert measured["slow"].max() <= 50
    # of two threads; a busy machine makes either slower
    assert 2 < (measured["many"] / measured["slow"]).median() < 3


def test_a_peer_has_the_better_of_its_threads() -> None:
    measured = pd.DataFrame({"a": [1.0, 2.0], "a, two threads": [3.0, 4.0], "b": [5.0, 5.0], "b, two threads": [1, 1]})
    variants = [Variant(name, lambda: None, 1, threads=2 if "two" in name else 1) for name in measured]
    chosen, speeds = better(variants, measured)
    assert {variant.name: variant.threads for variant in chosen} == {
        **{"a": 2, "a, one thread": 1},
        **{"b": 1, "b, two threads": 2},
    }
    assert speeds[["a", "a, one thread", "b"]].to_dict("list") == {
        **{"a": [3.0, 4.0], "a, one thread": [1.0, 2.0]},
        "b": [5.0, 5.0],
    }


def test_a_goal_is_met_by_the_median_of_the_ratios() -> None:
    ratios = pd.Series([1.0, 2.0, 9.0])
    assert rows.goal("case", "ours ÷ peer", ratios, 2.0)["met"].tolist() == ["yes"]
    assert rows.goal("case", "ours ÷ peer", ratios, 2.1)["met"].tolist() == ["no"]
    assert rows.seconds("case", "start", [1.0, 2.0, 9.0], 2.0)["met"].tolist() == ["yes"]
    assert rows.goal("case", "ours ÷ peer", ratios, 2.1)[["median", "low", "high"]].values.tolist() == [[2.0, 1.0, 9.0]]


def of_digits(step: str) -> State:
    config = load(["network=mlp_bn", *DIGITS, f"runtime.step={step}"])
    return initial(config, data.load(config.data, Path(config.data_root), 0), CPU)


@pytest.mark.parametrize("forgotten", [None, "gamma", "beta", "running_mean", "running_var"])
def test_a_step_written_out_that_forgets_something_is_not_timed(
    forgotten: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(self: written_out.Normalised, norm: BatchNorm) -> None:
        original(self, norm)
        if forgotten:
            setattr(self, forgotten, getattr(self, forgotten).clone())  # which nobody sees

    original = written_out.Normalised.__init__
    monkeypatch.setattr(written_out.Normalised, "__init__", forgetful)
    states = of_digits("written_out"), of_digits("autograd")
    if forgotten:
        with pytest.raises(BadInput, match="nothing was timed"):
            mnist.check(*states)
    else:
        mnist.check(*states)


@pytest.mark.parametrize("momentum", [0.9, 0.901])
def test_an_inception_step_that_differs_is_not_timed(momentum: float) -> None:
    config = load(["network=bn_baseline", *SHAPES, "model.width=0.125", "batch_size=8"])
    dataset = data.load(config.data, Path(config.data_root), 0)
    ours, theirs = initial(config, dataset, CPU), initial(config, dataset, CPU)
    if momentum == 0.9:
        inception.check(ours, theirs)
        return
    with pytest.MonkeyPatch.context() as patch:
        advance = inception.advance

        def wrong(state: State) -> None:
            state.optimiser.momentum = momentum
            advance(state)

        patch.setattr(inception, "advance", wrong)
        with pytest.raises(BadInput, match="nothing was timed"):
            inception.check(ours, theirs)


def test_a_loss_that_is_not_the_networks_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = written_out.cross_entropy
    monkeypatch.setattr(written_out, "cross_entropy", lambda *given: (original(*given)[0] + 1e-5, original(*given)[1]))
    with pytest.raises(BadInput, match="the loss is"):
        mnist.check(of_digits("written_out"), of_digits("autograd"))


def test_what_one_network_alone_has_is_seen() -> None:
    one, other = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(BadInput, match="only one of two networks has"):
        same.require_same("a step", one, other)


SLOW = () if "bfloat16" in inception.precisions("cpu") else pytest.mark.slow  # a minute without the instructions


@pytest.mark.parametrize(
    ("precision", "share"),
    [
        *(("float32", share) for share in (1.0, 0.0, 0.8, 1.2)),
        *(("bfloat16", share) for share in (1.0, 0.8)),
        *(pytest.param("bfloat16", share, marks=SLOW) for share in (0.0, 1.2)),
    ],
)
def test_a_step_is_held_against_the_peers_in_the_precision_that_is_timed(precision: str, share: float) -> None:
    overrides = ["network=bn_baseline", *SHAPES, "model.width=0.125", "batch_size=8"]

    def start(*more: str) -> State:
        config = load([*overrides, *more])
        return initial(config, data.load(config.data, Path(config.data_root), 0), CPU)

    timed = start(f"runtime.precision={precision}")
    timed.optimiser.lr *= share
    if share == 1:
        inception.check_as_timed(timed, start, precision)
    else:
        with pytest.raises(BadInput, match="nothing was timed"):
            inception.check_as_timed(timed, start, precision)


def refuse(*_: object) -> None:
    raise BadInput("something else is computed")


@pytest.mark.parametrize("gate", ["check", "require_near"])
def test_nothing_is_timed_before_the_mnist_gates(gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "setting", lambda _, device, *more: load(["network=mlp_bn", *DIGITS, *more]))
    monkeypatch.setattr(mnist, gate, refuse)
    monkeypatch.setattr(mnist, "take_turns", None)  # would fail if it were called
    with pytest.raises(BadInput, match="something else"):
        mnist._network("mlp_bn", "cpu")


@pytest.mark.parametrize(
    ("gate", "precision"), [("check", "float32"), *itertools.product(["check_as_timed"], PRECISIONS)]
)
def test_nothing_is_timed_before_the_inception_gates(
    gate: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [*SHAPES, "model.width=0.125"]
    monkeypatch.setattr(inception, "setting", lambda *_: load(["network=bn_baseline", *few]))
    monkeypatch.setattr(inception, gate, refuse)
    monkeypatch.setattr(inception, "take_turns", None)
    with pytest.raises(BadInput, match="something else"):
        inception._precision("shapes", "cpu", precision)


def test_the_mnist_peer_does_autograds_step() -> None:
    state = of_digits("autograd")
    widths = [64, *(linear.weight.shape[2] for linear in state.model.layers().values())]  # type: ignore[union-attr, operator]
    peer = peers.mlp(widths, bn=True)
    ours = [p[0] for p in state.model.parameters()]
    linears = [module for module in peer if isinstance(module, nn.Linear)]
    norms = [module for module in peer if isinstance(module, nn.BatchNorm1d)]
    in_order = [*(linear.weight for linear in linears[:-1]), *(p for norm in norms for p in norm.parameters())]
    in_order += [linears[-1].weight, linears[-1].bias]
    assert len(in_order) == len(list(peer.parameters())) == len(ours)
    with torch.no_grad():
        for theirs, mine in zip(in_order, ours, strict=True):
            theirs.copy_(mine.T if mine.dim() == 2 and theirs.dim() == 2 else mine.view(theirs.shape))
    batch = of_digits("autograd").sampler.next()
    step = peers.stepping(peer, torch.optim.SGD(peer.parameters(), 0.14), iter([(batch.images[0], batch.labels[0])]))
    assert state.optimiser.lr == 0.14
    step()
    advance(state)
    for theirs, mine in zip(in_order, ours, strict=True):
        expected = mine.T if mine.dim() == 2 and theirs.dim() == 2 else mine.view(theirs.shape)
        torch.testing.assert_close(theirs, expected, rtol=1e-5, atol=1e-6)


def test_without_a_compiler_the_rest_is_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> float:
        raise torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no working compiler"), None)

    monkeypatch.setattr(mnist, "compile_step", fails)
    assert mnist._compiled(of_digits("written_out"), of_digits("autograd")) is None
    assert capsys.readouterr().out.startswith("not compiled: ")


@pytest.mark.parametrize("wrong", ["the loss", "the moving averages"])
def test_a_compiled_step_that_does_something_else_is_not_timed(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def compile_wrongly(state: State) -> float:
        step = state.written_out
        assert step

        def other(*given: Any) -> Tensor:
            kept = [buffer.clone() for buffer in state.model.buffers()]
            loss = step(*given)
            if wrong == "the loss":
                return 2 * loss
            for buffer, old in zip(state.model.buffers(), kept, strict=True):
                buffer.copy_(old)
            return loss

        state.written_out = other
        advance(state, gradients=False)
        return 0.0

    monkeypatch.setattr(mnist, "compile_step", compile_wrongly)
    assert mnist._compiled(of_digits("written_out"), of_digits("autograd")) is None
    assert capsys.readouterr().out.startswith("not compiled: the step compiled")


def test_ratios_are_of_the_same_round() -> None:
    variants = [Variant(name, lambda: None, 1) for name in ("peer", "ours", "floor")]
    measured = pd.DataFrame({"peer": [1.0, 2.0, 4.0], "ours": [3.0, 6.0, 12.0], "floor": [4.0, 8.0, 16.0]})
    table = rows.speeds("case", variants, measured, "steps/s", peer="peer", floor="floor").set_index("variant")
    assert table.loc["ours", ["median", "low", "high"]].tolist() == [6.0, 3.0, 12.0]
    assert table.loc["ours", ["ratio_to_peer", "ratio_to_floor"]].tolist() == [3.0, 0.75]


def test_shares_of_a_step_are_of_its_time() -> None:
    def event(name: str, microseconds: float) -> SimpleNamespace:
        return SimpleNamespace(key=name, self_cpu_time_total=microseconds)

    events = [
        event("aten::bmm", 5e5),
        event("aten::addcmul_", 1e5),
        event("aten::tanh", 5e4),
        event("aten::add_", 2e5),
        event("no operation", 1e6),
    ]
    shares = profile.shares_of(events, 1.0)
    assert shares["matrix products"] == 0.5
    assert shares["products, quotients and roots"] == 0.1
    assert shares["concatenation, and adding gradients up"] == 0.2
    assert shares[profile.OTHERS] == 0.05
    assert shares[profile.BETWEEN] == pytest.approx(0.15)


def test_the_share_of_waiting_is_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "setting", lambda *_: load(["network=bn_x5", *SHAPES, "model.width=0.125"]))
    monkeypatch.setattr(reading, "take_turns", lambda *_: pd.DataFrame({"step": [10.0], "mini-batch": [200.0]}))
    assert reading._waiting("shapes", "cpu")["median"].tolist() == [0.05]


def test_what_decoding_spends_besides_the_decoder_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image_tree.plant(tmp_path)
    overrides = ["network=inception", "data=image_folder", "data.folder=tree", "data.test=test", "name=x"]
    monkeypatch.setattr(inception, "setting", lambda *_: load([*overrides, f"data_root={tmp_path}"]))
    monkeypatch.setattr(reading, "ROUNDS", 1)
    table = reading._decoding("a tree").set_index("variant")
    assert table.loc[table["unit"] == "share", "median"].sum() == pytest.approx(1.0)
    assert (table.loc[table["unit"] == "images/s", "median"] > 0).all()
    assert table.loc[f"{reading.CACHED} ÷ {reading.ALONE}", "goal"] == ">= 1"


@pytest.mark.parametrize("supported", [True, False])
def test_a_cpu_without_bfloat16_is_not_timed_in_it(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    assert inception.precisions("cpu") == (["float32", "bfloat16"] if supported else ["float32"])
    assert "bfloat16" in inception.precisions("cuda")


def test_a_case_that_another_part_measures_now_is_that_parts(tmp_path: Path) -> None:
    made_by = {"device": "a processor", "commit": "0"}

    def measured(part: str, *cases: str) -> None:
        table = pd.concat([rows.seconds(case, "x", [1.0]) for case in cases]).assign(device="a processor")
        results.add_bench(tmp_path, part, table, made_by)

    measured("one", "a", "b")
    measured("two", "b")
    measured("one", "c")
    assert set(pd.read_csv(tmp_path / "bench.csv")["case"]) == {"b", "c"}


def test_what_is_damaged_of_the_bench_alone_is_begun_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_by = {"device": "a processor", "commit": "0"}
    table = rows.seconds("a", "x", [1.0]).assign(device="a processor")
    for damage in ("touched", None):
        results.add_bench(tmp_path, "one", table, made_by)
        if damage:
            (tmp_path / "bench.json").write_text(damage)
        else:
            (tmp_path / "bench.json").unlink()
        with pytest.raises(BadInput, match="make it anew with make bench"):
            results.check(tmp_path)
        results.add_bench(tmp_path, "two", table, made_by)
        results.check(tmp_path)
        assert list(json.loads((tmp_path / "bench.json").read_text())) == ["two"]
        assert "begun anew" in capsys.readouterr().out


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
    peer, laid_out = peers.EagerInception(state.model), list[bool]()
    convolutions = [module for module in peer.modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions:
        convolution.register_forward_hook(lambda *given: laid_out.append(given[-1].is_contiguous()))
    torch.testing.assert_close(peer(images[0].contiguous()), expected, rtol=1e-3, atol=1e-4)
    assert laid_out == [True] * (3 + 8 * 7 + 2 * 5)  # not channels-last


def test_the_inception_peer_does_our_step() -> None:
    overrides = ["model.width=0.125", "batch_size=8", "model.dropout=0", "optim.l2=0", "optim.half_life=0"]
    config = load(["network=bn_baseline", *SHAPES, *overrides, "runtime.threads=1"])
    state = initial(config, data.load(config.data, Path(config.data_root), 0), CPU)
    same.in_double(state)
    assert isinstance(state.model, Inception)
    peer = peers.EagerInception(state.model)
    optimiser = torch.optim.SGD(peer.parameters(), config.optim.initial, config.optim.momentum)
    other = initial(config, data.load(config.data, Path(config.data_root), 0), CPU).sampler.next()
    step = peers.stepping(peer, optimiser, iter([(other.images[0].double(), other.labels[0])]), "float64")
    before = state.model.output.weight.detach().clone()
    step()
    advance(state)
    assert not torch.equal(state.model.output.weight, before)
    same.require_same("the peer's step", peers.EagerInception(state.model), peer, 1e-4)  # its loss is in float32


def test_a_peers_images_are_ours_without_distortion() -> None:
    config = load(["network=bn_x5", *SHAPES, "augment.pad=0", "augment.flip=false", "augment.photometric=0"])
    train = data.load(config.data, Path(config.data_root), 0).train
    theirs = peers.per_image(config.data, Path("data"), train, peers.augmentation(config.augment, 32))
    for index in (0, 7):
        image, label = theirs[index]
        assert label == train.labels[index]
        torch.testing.assert_close(image, train[index : index + 1].inputs[0])


def test_a_parts_rows_take_the_place_of_those_that_it_had(tmp_path: Path) -> None:
    made_by = {"device": "a processor", "commit": "0"}
    first = pd.concat([rows.seconds(case, "x", [1.0]) for case in ("a", "b")]).assign(device="a processor")
    results.add_bench(tmp_path, "one", first, made_by)
    results.add_bench(tmp_path, "two", rows.seconds("c", "x", [1.0]).assign(device="a processor"), made_by)
    results.add_bench(
        tmp_path, "one", rows.seconds("b", "y", [2.0]).assign(device="a processor"), {**made_by, "commit": "1"}
    )
    table = pd.read_csv(tmp_path / "bench.csv")
    assert table[["case", "variant"]].values.tolist() == [["b", "y"], ["c", "x"]]
    assert list(table.columns) == rows.COLUMNS
    parts = json.loads((tmp_path / "bench.json").read_text())
    assert {part: by["commit"] for part, by in parts.items()} == {"one": "1", "two": "0"}
    results.check(tmp_path)
    (tmp_path / "bench.csv").write_text("touched")
    with pytest.raises(BadInput, match=r"bench\.csv is not the table that was made"):
        results.check(tmp_path)


def of_speeds() -> pd.DataFrame:
    variants = [Variant(name, lambda: None, 1) for name in ("peer", "ours", "floor")]
    measured = pd.DataFrame({"peer": [1.0, 1.1], "ours": [2.0, 2.2], "floor": [4.0, 4.4]})
    table = rows.speeds("a network", variants, measured, "images/s", peer="peer", floor="floor")
    return pd.concat([table, rows.goal("a network", "ours ÷ peer", measured["ours"] / measured["peer"], 3.0)])


def of_growth() -> pd.DataFrame:
    speeds = {"1 replicas": 1.0, "2 replicas": 1.9, "4 replicas": 2.0, "8 replicas": 1.5}
    case, config = "a network over replicas", load(["network=mlp", "seeds=[0,1]"])
    return pd.concat([rows.value(case, name, "steps/s", speed, config) for name, speed in speeds.items()])


def of_memory() -> pd.DataFrame:
    units = ("steps/s", "MiB, computed", "MiB, measured")
    return pd.concat([of_growth().assign(unit=unit) for unit in units], ignore_index=True)


@pytest.mark.parametrize(
    ("table", "figures"),
    [
        (of_speeds(), ["bench_speeds"]),
        (of_growth(), ["bench_growth"]),
        (of_memory(), ["bench_growth", "bench_memory"]),
        (rows.seconds("start-up", "one step", [1.0], 5.0), []),
        (rows.seconds(f"{whole.SPENT}a command", "imports", [2.0]), []),
    ],
)
def test_each_part_alone_is_shown(table: pd.DataFrame, figures: list[str], tmp_path: Path) -> None:
    versions = {"versions": {"torch": "2"}, "cores": 2, "dirty": False}
    results.add_bench(tmp_path, "part", table.assign(device="x"), {"device": "x", "commit": "0" * 40, **versions})
    shown = report.bench.bench(tmp_path)
    assert shown
    assert len(shown["goals"]) + len(shown["others"]) + table["ratio_to_peer"].notna().sum() == len(table)
    assert [row["case"] for row in shown["spent"]] == ["a command"] * table["case"].str.contains("a command").sum()
    expected = {"a network": "missed", "start-up": "met"}
    assert [row["met"] for row in shown["goals"]] == [expected[row["case"]] for row in shown["goals"]]
    assert [figure["path"] for figure in shown["figures"]] == [f"{name}.png" for name in figures]


def test_what_is_counted_names_its_run() -> None:
    assert of_growth()[["precision", "threads", "replicas"]].drop_duplicates().values.tolist() == [["float32", 1, 2]]


@pytest.mark.skipif(not memory.can_be_measured("cpu"), reason="needs Linux")
def test_the_memory_of_a_stack_is_that_of_its_parameters_and_values() -> None:
    one, many = (load(["network=mlp", "data=digits", "runtime.device=cpu", f"seeds={[*range(n)]}"]) for n in (1, 100))
    parameters = 64 * 100 + 2 * 100 * 100 + 100 * 10 + 310
    values = 60 * (64 + 3 * 100 + 10)  # of a mini-batch, forward; as many go backward
    assert 0.8 < memory.peak(many, one) / (100 * 4 * (parameters + 2 * values)) < 2


@pytest.mark.slow
def test_a_compiled_step_is_held_against_autograds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs a C++ compiler."""
    assert mnist._compiled(of_digits("written_out"), of_digits("autograd"))
    monkeypatch.setattr(mnist, "SINGLE", 0.0)
    assert mnist._compiled(of_digits("written_out"), of_digits("autograd")) is None


def test_the_goals_stand_in_the_readme_between_their_marks(tmp_path: Path) -> None:
    table = pd.concat([rows.seconds("a|b", "all of it", [2.0, 3.0, 4.0], 3.5), rows.seconds("c", "x", [9.0], 1.0)])
    (tmp_path / "bench.json").write_text("{}")
    table.assign(device="a processor").to_csv(tmp_path / "bench.csv", index=False)
    shown = report.bench.bench(tmp_path)
    assert shown
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n")
    for _ in range(2):
        readme.refresh(path, pd.DataFrame({"data": [], "verdict": []}), shown["goals"])
        lines = path.read_text().splitlines()
        assert lines[0] == "before"
        assert lines[-1] == "after"
        assert "| a\\|b | all of it <= 3.5 s | 3.00 s (2.00 to 4.00) | met, not in every round | a processor |" in lines
        assert "| c | x <= 1 s | 9.00 s (once) | missed | a processor |" in lines
        assert len(lines) == 8


def test_growth_saturates_where_it_is_within_a_twentieth_of_the_best() -> None:
    assert bench_figures.saturates(of_growth()) == 2
    for speeds in ([4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]):
        assert bench_figures.saturates(of_growth().assign(median=speeds)) is None


@pytest.mark.parametrize(
    ("overrides", "units"),
    [
        (["network=mlp_bn", *DIGITS], 2),
        (["network=bn_baseline", *SHAPES, "model.width=0.125", "batch_size=8"], 8),
    ],
)
def test_a_process_tells_its_speed_in_each_round(
    overrides: list[str], units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count()
    monkeypatch.setattr(growth, "perf_counter", lambda: float(next(clock)))  # a second goes by between two looks
    speeds = growth._train_for_a_while(load([*overrides, "runtime.device=cpu"]), Barrier(1))
    assert speeds == [pytest.approx(2 * units / 3)] * growth.ROUNDS  # of three seconds the first two had a call


def test_without_results_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--results", str(tmp_path / "none")]) == 2
    assert "holds no results yet" in capsys.readouterr().err

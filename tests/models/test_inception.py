"""Figure 5 against its printed numbers, the published parameter counts and the framework's own layers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bnrepro import models, norm
from bnrepro.config import InceptionConfig
from bnrepro.errors import BadInput
from bnrepro.models import Inception, SmallInception
from bnrepro.models.inception import FIGURE_5, GOOGLENET, figure_5
from bnrepro.models.units import Dropout, LocalResponseNorm, PerActivation
from conftest import load

NETWORKS = (
    *("inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid", "inception_x5", "inception_sigmoid"),
    *("small_inception", "small_inception_bn"),
)
PAPER_SIZE = ("model.width=1", "model.stem=8")


def build(network: str, *overrides: str, side: int = 32, classes: int = 10, seed: int = 0) -> Any:
    config = load([f"network={network}", "data=shapes", f"seeds=[{seed}]", "name=x", *overrides])
    return models.build(config.model, norm.build(config.norm, None), (3, side, side), classes, config.seeds)


def shapes_of(model: Inception, side: int) -> dict[str, tuple[int, ...]]:
    """Return (channels, height, width) behind every row of the table, without computing a value."""
    seen: dict[str, tuple[int, ...]] = {}
    for name, block in model.blocks.items():
        block.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, tuple(out.shape[1:])))
    model.to("meta")(torch.empty(1, 2, 3, side, side, device="meta"))
    return seen


def test_every_row_has_the_depth_and_the_size_that_the_figure_prints() -> None:
    printed = {
        **{"stem": (192, 28, 28), "3a": (256, 28, 28), "3b": (320, 28, 28), "3c": (576, 14, 14)},
        **{"4a": (576, 14, 14), "4b": (576, 14, 14), "4c": (576, 14, 14), "4d": (576, 14, 14), "4e": (1024, 7, 7)},
        **{"5a": (1024, 7, 7), "5b": (1024, 7, 7)},
    }
    model = build("bn_x5", *PAPER_SIZE, "model.concat_4cd=576", side=224, classes=1000)
    assert shapes_of(model, 224) == printed
    as_branches = shapes_of(build("bn_x5", *PAPER_SIZE, side=224, classes=1000), 224)
    depth_4e = 192 + 256 + 608  # the pooling passes through what 4d gives
    assert as_branches == {**printed, "4c": (608, 14, 14), "4d": (608, 14, 14), "4e": (depth_4e, 7, 7)}


def by_formula(projection: int, biases: int) -> int:
    """Count the parameters at 1,000 classes with ``biases`` numbers a map, from the figure as it is printed."""
    rows = """
        64 64 64 64 96 32   64 64 96 64 96 64   0 128 160 64 96 0   224 64 96 96 128 128   192 96 128 96 128 128
        160 128 160 128 160 P   96 128 192 160 192 P   0 128 192 192 256 0   352 192 320 160 224 128
        352 192 320 192 224 128
    """
    table = torch.tensor([int(n) for n in rows.replace("P", str(projection)).split()]).view(10, 6).tolist()
    total = 3 * 8 * 49 + (24 + biases) * 64 + (64 + biases) * 64 + (64 * 9 + biases) * 192
    depth = 192
    for one, r3, c3, rl, cl, pool in table:
        weights = depth * (one + r3 + rl + pool) + 9 * (r3 * c3 + rl * cl + cl * cl)
        total += weights + biases * (one + r3 + c3 + rl + 2 * cl + pool)
        depth = one + c3 + cl + (pool or depth)
    return total + (depth + 1) * 1000


@pytest.mark.parametrize(("concat", "projection"), [(608, 128), (576, 96)])
def test_the_parameters_add_up_as_by_hand(concat: int, projection: int) -> None:
    overrides = (*PAPER_SIZE, f"model.concat_4cd={concat}")
    for network, numbers_a_map in (("bn_x5", 2), ("inception", 1)):  # γ and β, or b
        model = build(network, *overrides, side=224, classes=1000)
        assert sum(p.numel() for p in model.parameters()) == by_formula(projection, numbers_a_map)
    assert by_formula(128, 0) == pytest.approx(11.3e6, rel=0.005)


def test_googlenets_table_has_the_parameters_of_the_frameworks_googlenet() -> None:
    from torchvision.models import GoogLeNet

    config = load(["network=inception", "data=shapes", *PAPER_SIZE]).model
    assert isinstance(config, InceptionConfig)
    ours = Inception(GOOGLENET, shape=(3, 224, 224), classes=1000, norm=None, config=config, seed=0)
    with torch.device("meta"):
        theirs = GoogLeNet(num_classes=1000, aux_logits=False, init_weights=False)

    def kernels(blocks: list[nn.Module]) -> int:
        weights = [m.weight for block in blocks for m in block.modules() if isinstance(m, nn.Conv2d)]
        return sum(w.shape[0] * w.shape[1] for w in weights)  # theirs has 3x3 where the table says 5x5

    pairs = {row.name: f"inception{row.name}" for row in GOOGLENET}
    for name, their_name in pairs.items():
        assert kernels([ours.blocks[name]]) == kernels([getattr(theirs, their_name)]), name


def test_the_small_inception_has_the_published_parameters() -> None:
    without, with_bn = build("small_inception"), build("small_inception_bn")
    assert sum(p.numel() for p in without.parameters()) == 1_649_402
    maps = sum(n.shape.numel() for n in with_bn.modules() if isinstance(n, norm.BatchNorm))
    assert sum(p.numel() for p in with_bn.parameters()) - maps == 1_649_402  # their BN has β alone


PRINTED_POOLS = "avg avg max avg avg avg avg max avg max"  # Figure 5, column "pool", from 3a to 5b
PRINTED_STRIDES = (1, 1, 2, 1, 1, 1, 1, 2, 1, 1)


def apart(unit: Any, counts: list[int]) -> list[Any]:
    """Return units of so many maps each, which are computed as one."""
    shares = [{key: value.split(counts)[i] for key, value in unit.named_parameters()} for i in range(len(counts))]
    return [
        SimpleNamespace(
            conv=SimpleNamespace(weight=share["conv.weight"], bias=share.get("conv.bias")),
            norm=SimpleNamespace(weight=share["norm.weight"], bias=share["norm.bias"]) if unit.norm else None,
        )
        for share in shares
    ]


def by_hand(model: Inception, images: Tensor, network: str, stem: int) -> Tensor:
    """Run a network from its weights with the framework's functions, block by block as the figure reads."""
    f = nn.functional
    g = torch.sigmoid if network.endswith("sigmoid") else f.relu

    def bn(x: Tensor, m: Any) -> Tensor:
        return f.batch_norm(x, None, None, m.weight, m.bias, training=True, eps=1e-5) if m else x

    def unit(u: Tensor, m: Any, stride: int = 1, pad: int = 0) -> Tensor:
        return g(bn(f.conv2d(u, m.conv.weight, m.conv.bias, stride, pad), m.norm))

    def lrn(u: Tensor) -> Tensor:
        return f.local_response_norm(u, 5, 1e-4, 0.75, 1.0) if network in ("inception", "bn_baseline") else u

    first, *others = (m for m in model.blocks["stem"] if hasattr(m, "conv"))
    u = (images - 0.5) / 0.25
    if stem == 8:
        depthwise, pointwise = first.conv  # eight maps of each colour
        u = f.conv2d(u, depthwise.weight, None, 2, 3, groups=3)
        u = f.max_pool2d(g(bn(f.conv2d(u, pointwise.weight, pointwise.bias), first.norm)), 3, 2, 1)
    else:
        u = unit(u, first, {4: 2, 2: 1}[stem], 1)
    u = lrn(u)
    second, third = others
    u = f.max_pool2d(lrn(unit(unit(u, second), third, 1, 1)), 3, 2, 1)
    for row, pooling, stride in zip(FIGURE_5, PRINTED_POOLS.split(), PRINTED_STRIDES, strict=True):
        (block,) = model.blocks[row.name]
        *one, three, large, pool = block.branches
        counts = [maps // 8 for maps in (row.one, row.three[0], row.large[0]) if maps]
        *ones, reduced, reduced_large = (unit(u, m) for m in apart(block.first, counts))
        assert len(one) == len(ones)
        out = [*ones, unit(reduced, three[1], stride, 1)]
        out.append(unit(unit(reduced_large, large[1], 1, 1), large[2], stride, 1))
        pooled = (f.avg_pool2d if pooling == "avg" else f.max_pool2d)(u, 3, stride, 1)
        out.append(unit(pooled, pool[1]) if len(pool) > 1 else pooled)
        u = torch.cat(out, dim=1)
    return model.output(u.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("network", "stem"),
    [("bn_x5", 4), ("bn_x5", 2), ("bn_x5", 8), ("inception", 4), ("bn_baseline", 2), ("bn_x5_sigmoid", 4)],
)
def test_the_network_computes_what_its_table_says(network: str, stem: int) -> None:
    # he: with the small Gaussian weights hardly anything reaches the end without BN
    model = build(network, "model.width=0.125", f"model.stem={stem}", "model.dropout=0", "model.init=he")
    images = torch.rand(1, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = by_hand(model, images[0], network, stem)
    torch.testing.assert_close(model(images)[0], expected, rtol=1e-4, atol=1e-4)
    assert len([m for m in model.modules() if isinstance(m, LocalResponseNorm)]) == 2 * (network != "bn_x5") * (
        "sigmoid" not in network
    )


def test_dropout_stands_before_the_last_layer_and_in_training_alone() -> None:
    model = build("inception", "model.width=0.125")
    seen: list[Tensor] = []
    model.output.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    images = torch.rand(1, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model(images)
    model.eval()
    model(images)
    kept, whole = seen[0] != 0, seen[1]
    assert 1 - kept[whole != 0].float().mean().item() == pytest.approx(model.dropout.p, abs=0.05)
    torch.testing.assert_close(seen[0][kept], whole[kept] / (1 - model.dropout.p))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_gives_finite_logits_and_gradients(network: str) -> None:
    model = build(network, *([] if "small" in network else ["model.width=0.125"]))
    logits = model(torch.rand(1, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (1, 4, 10)
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert {id(w) for ws in model.weights().values() for w in ws} == {id(p) for p in model.parameters() if p.dim() > 1}


def test_both_arms_start_from_the_same_weights_and_a_scale_scales_them() -> None:
    arms = [build(network, "model.width=0.125", seed=3) for network in ("inception", "bn_x30")]
    larger = build("bn_x30", "model.width=0.125", "model.init_scale=2", seed=3)
    for without, with_bn, scaled in zip(*(m.weights().values() for m in (*arms, larger)), strict=True):
        for a, b, c in zip(without, with_bn, scaled, strict=True):
            assert torch.equal(a, b)
            torch.testing.assert_close(c, 2 * a if a.dim() == 4 else a)  # the convolutions' alone
    assert not torch.equal(arms[0].output.weight, build("inception", "model.width=0.125", seed=4).output.weight)


@pytest.mark.parametrize(
    ("init", "std"), [("gaussian", 0.01), ("xavier", (1 / 1152) ** 0.5), ("he", (2 / 1152) ** 0.5)]
)
def test_initial_weights_have_the_schemes_standard_deviation(init: str, std: float) -> None:
    model = build("bn_x5", "model.width=1", f"model.init={init}")
    weight = model.blocks["4d"][0].branches[1][1].conv.weight  # 3x3, 128 to 192
    assert weight.shape == (192, 128, 3, 3)
    assert weight.std().item() == pytest.approx(std, rel=0.01)
    assert abs(weight.mean().item()) < 0.01 * std


def test_per_activation_bn_is_bn_of_a_fully_connected_layer() -> None:
    layer = PerActivation.of(norm.Norm(lambda C: norm.BatchNorm((C,), 1e-5, 0.1)), side=3)
    assert layer is not None
    bn = layer.make(4)
    x = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(bn(x), expected, rtol=1e-4, atol=1e-5)
    model = build("bn_x30", "model.width=0.125", "model.per_activation=true", side=64)
    each = {name for name, block in model.blocks.items() for m in block.modules() if isinstance(m, PerActivation)}
    assert each == {"5a", "5b"}
    assert model(torch.rand(1, 4, 3, 64, 64)).shape == (1, 4, 10)


def test_local_response_normalisation_is_the_frameworks() -> None:
    x = 30 * torch.randn(2, 12, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = LocalResponseNorm(12).double()(ours)
    expected = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)(theirs)
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=0)
    assert (expected / x).min() < 0.99
    for output in (y, expected):
        output.sin().sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)


def test_local_response_normalisation_hardly_acts_on_activations_of_unit_variance() -> None:
    """Which the ablation of it has to say: it can only find it unnecessary."""
    x = torch.randn(8, 48, 16, 16, generator=torch.Generator().manual_seed(0)).relu()
    change = (LocalResponseNorm(48)(x) - x).norm() / x.norm()
    assert 1e-5 < change.item() < 1e-3


def test_local_response_normalisation_is_in_single_precision_whatever_autocast_says() -> None:
    x = 30 * torch.randn(4, 12, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = LocalResponseNorm(12)(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LocalResponseNorm(12)(x), expected)


def test_dropout_drops_its_share_scales_the_rest_and_goes_on_where_it_was() -> None:
    layer, other = Dropout(0.4, seed=0), Dropout(0.4, seed=1)
    u = torch.ones(100, 500)
    once = layer(u)
    assert (once == 0).float().mean().item() == pytest.approx(0.4, abs=0.01)
    torch.testing.assert_close(once[once > 0].unique(), torch.tensor([1 / 0.6]))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(u), other(u))
    assert torch.equal(layer.eval()(u), u)


@pytest.mark.parametrize(
    ("overrides", "side", "message"),
    [
        (("model.stem=8",), 16, "images of 16 pixels are too small for it, it needs 32; take stem 2 or 4"),
        (("model.width=0.001",), 32, "model.width is 0.001: it leaves no channel of 32; take 0.015625 or more"),
        (("model.width=0.01562",), 32, "it leaves no channel of 32; take 0.015625 or more"),
    ],
)
def test_what_does_not_fit_is_named(overrides: tuple[str, ...], side: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        build("bn_x5", *overrides, side=side)
    assert isinstance(build("bn_x5", "model.width=0.015625"), Inception)  # what is advised works
    assert isinstance(build("small_inception", side=4), SmallInception)
    with pytest.raises(BadInput, match="too small for the small Inception"):
        build("small_inception", side=3)


def test_both_readings_of_4c_and_4d() -> None:
    rows = {row.name: row for row in figure_5(576)}
    assert [rows[name].projection for name in ("4b", "4c", "4d", "4e")] == [128, 96, 96, 0]
    assert figure_5(608) == FIGURE_5

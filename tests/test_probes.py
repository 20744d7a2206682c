"""Every measured quantity against an independent computation of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from bnrepro import data, probes
from bnrepro.evaluate import evaluate
from bnrepro.probes import Accuracy, Measurement, NonlinearityInputs, percentiles, spread
from bnrepro.state import State, initial
from bnrepro.train import advance
from conftest import Make, load

NETWORKS = pytest.mark.parametrize("network", ["mlp", "mlp_bn"])


def trained(small: Make, network: str) -> tuple[State, data.Dataset]:
    config = small(f"network={network}", "model.init_std=0.4", "optim.lr=0.5")
    dataset = data.load(config.data, Path(config.data_root))
    state = initial(config, dataset, torch.device("cpu"))
    for _ in range(30):
        advance(state)
    return state, dataset


def find(measurements: list[Measurement], layer: str, metric: str) -> np.ndarray:
    (values,) = [m.values for m in measurements if (m.layer, m.metric) == (layer, metric)]
    return values.numpy()


def test_percentiles_are_numpys() -> None:
    x = torch.randn(2, 41, 3, generator=torch.Generator().manual_seed(0))
    expected = np.percentile(x.numpy(), [15, 50, 85], axis=1)
    np.testing.assert_allclose(percentiles(x).numpy(), expected, rtol=1e-5, atol=1e-6)


@NETWORKS
def test_sigmoid_inputs_are_recomputed_by_hand(network: str, small: Make) -> None:
    state, dataset = trained(small, network)
    seen = NonlinearityInputs(dataset.test[:100], frozenset()).measure(state)
    for r in range(3):
        u = dataset.test.images[:100].double()
        for layer, linear in enumerate(state.model.linears):
            x = u @ linear.weight[r].detach().double()
            if state.model.norms is None:
                x = x + linear.bias[r].detach().double()
            else:
                bn = state.model.norms[layer]
                x = (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + bn.eps).sqrt()
                x = x * bn.weight[r].detach().double() + bn.bias[r].detach().double()
            for p in (15, 50, 85):
                ours = find(seen, f"hidden{layer + 1}", f"input_p{p}")[r]
                np.testing.assert_allclose(ours, np.percentile(x.numpy(), p, axis=0), rtol=1e-3, atol=1e-4)
            u = torch.sigmoid(x)


@pytest.mark.parametrize("rates", ["[]", "[0.01]"])
@NETWORKS
def test_norms_are_those_of_a_fresh_gradient(network: str, rates: str, small: Make) -> None:
    config = small(f"network={network}", f"optim.rates={rates}", "optim.l2=0.1")
    dataset = data.load(config.data, Path(config.data_root))
    state, twin = (initial(config, dataset, torch.device("cpu")) for _ in range(2))
    batch = twin.sampler.next()
    logits = twin.model(batch.images)
    weight = twin.model.linears[1].weight
    advance(state)
    seen = probes.Norms(frozenset()).measure(state)
    for r in range(3):
        loss = functional.cross_entropy(logits[r], batch.labels[r])
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        assert find(seen, "hidden2", "gradient_norm")[r] == pytest.approx(gradient[r].norm().item(), rel=1e-4)
        expected = np.linalg.norm(state.model.linears[1].weight[r].detach().numpy())
        assert find(seen, "hidden2", "weight_norm")[r] == pytest.approx(expected, rel=1e-5)


@NETWORKS
def test_accuracy_is_counted_one_example_at_a_time(network: str, small: Make) -> None:
    state, dataset = trained(small, network)
    accuracy, loss = evaluate(state.model, dataset.test, 3)
    state.model.eval()
    right, total = torch.zeros(3), torch.zeros(3)
    for image, label in zip(dataset.test.images, dataset.test.labels, strict=True):
        logits = state.model(image.expand(3, 1, -1))[:, 0]
        right += logits.argmax(dim=1) == label
        total += functional.cross_entropy(logits, label.expand(3), reduction="none").detach()
    np.testing.assert_allclose(accuracy, right / 360, atol=1e-9)
    np.testing.assert_allclose(loss, total / 360, rtol=1e-4)
    assert accuracy.min() > 0.15


def test_evaluation_is_every_so_many_steps_and_at_the_end(small: Make) -> None:
    config = small()
    probe = Accuracy({"test": data.load(config.data, config.data_root).test}, every=20, steps=50, population=None)  # type: ignore[arg-type]
    assert [step for step in range(1, 51) if probe.when(step)] == [20, 40, 50]


def test_images_sorted_by_class_are_watched_in_a_fixed_random_part() -> None:
    labels = torch.arange(10).repeat_interleave(100)
    test = data.Examples(torch.arange(1000, dtype=torch.uint8).view(-1, 1, 1, 1), labels)
    settings = load(["experiment=fig2", "scale=cpu"]).probes
    seen = probes.watched(settings, test)
    assert len(seen) == settings.activation_examples == 256
    assert min(np.bincount(seen.labels)) >= 10  # of 26 expected: every class is there
    again = probes.watched(load(["experiment=fig2", "scale=cpu", "network=bn_x5", "seeds=[2]"]).probes, test)
    assert torch.equal(again.images, seen.images)
    whole = probes.watched(load(["experiment=fig2", "probes.activation_examples=5000"]).probes, test)
    assert torch.equal(whole.labels, labels)
    assert torch.equal(probes.watched(load([]).probes, test).labels, labels)  # MNIST's first 1,000, as ever


def test_training_examples_are_evaluated_on_as_test_examples_are(small: Make) -> None:
    settings = small("network=bn_x5", "data=shapes", "data.train_images=200", "data.test_images=40", "augment.crop=28")
    dataset = data.load(settings.data, Path("nowhere"), settings.augment.crop)
    seen = probes.seen(dataset)
    centres = dataset.train.inputs[:, :, 2:30, 2:30]
    assert seen.inputs.shape == (40, 3, 28, 28)
    for image, label in zip(seen.inputs, seen.labels, strict=True):
        (which,) = torch.nonzero((centres == image).flatten(1).all(dim=1)).flatten().tolist()
        assert dataset.train.labels[which] == label


def test_spread_goes_from_1_to_the_end_denser_early() -> None:
    steps = sorted(spread(50_000, 200))
    assert (steps[0], steps[-1]) == (1, 50_000)
    assert 190 <= len(steps) <= 200
    gaps = np.diff(steps)
    assert gaps[:20].max() < gaps[-20:].min()
    assert spread(5, 200) == frozenset(range(1, 6))
    assert spread(50, 1) == frozenset({50})

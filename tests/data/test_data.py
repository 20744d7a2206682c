"""Data sets: what is checked before anything is trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bnrepro import data
from bnrepro.config import DataConfig
from bnrepro.data import Examples, Sampler, digits
from bnrepro.errors import BadInput
from bnrepro.mnist_files import mnist_folder
from conftest import load

REAL = Path(__file__).resolve().parents[2] / "data"


def config(*overrides: str) -> DataConfig:
    return load(["scale=smoke", *overrides]).data


def from_scikit_learn() -> dict[str, NDArray[np.uint8]]:
    """Split the source's digits: equal shares of each class; it counts ink from 0 to 16."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    pixels, labels = np.round(bunch.data * (255 / 16)).astype(np.uint8), bunch.target.astype(np.uint8)
    parts = train_test_split(pixels, labels, test_size=360, stratify=labels, random_state=0)
    return dict(zip(["train_pixels", "test_pixels", "train_labels", "test_labels"], parts, strict=True))


def test_digits_are_the_sources_in_a_fixed_split() -> None:
    from sklearn.datasets import load_digits

    expected = from_scikit_learn()
    for part, (pixels, labels) in zip(("train", "test"), digits.read(), strict=True):
        assert np.array_equal(pixels, expected[f"{part}_pixels"])
        assert np.array_equal(labels, expected[f"{part}_labels"])
    dataset = data.load(config("data=digits", "data.encoding=grey"), Path("nowhere"))
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (1437, 360, (64,))
    source = load_digits()
    both = torch.cat([dataset.train.images, dataset.test.images])
    ours = np.sort((both * 16).round().numpy().sum(axis=1))
    assert np.array_equal(ours, np.sort(source.data.sum(axis=1)))
    shares = torch.bincount(dataset.test.labels) / 360
    np.testing.assert_allclose(shares, np.bincount(source.target) / 1797, atol=0.003)


def test_binary_pixels_are_those_above_the_threshold() -> None:
    grey = data.load(config("data=digits", "data.encoding=grey"), Path("nowhere")).train.images
    binary = data.load(config("data=digits", "data.threshold=0.3"), Path("nowhere")).train.images
    assert torch.equal(binary, (grey > 0.3).float())
    assert grey.min() == 0
    assert grey.max() == 1


def test_held_out_examples_leave_the_training_set_and_stay_the_same() -> None:
    whole = data.load(config("data=digits"), Path("nowhere"))
    parts = data.load(config("data=digits", "data.held_out=400"), Path("nowhere"))
    again = data.load(config("data=digits", "data.held_out=400"), Path("nowhere"))
    assert torch.equal(parts.held_out.images, again.held_out.images)
    assert torch.equal(parts.test.images, whole.test.images)
    together = torch.cat([parts.train.images, parts.held_out.images]).sum(dim=0)
    torch.testing.assert_close(together, whole.train.images.sum(dim=0))
    assert (len(parts.train), len(parts.held_out)) == (1037, 400)
    with pytest.raises(BadInput, match="held_out is 1437"):
        data.load(config("data=digits", "data.held_out=1437"), Path("nowhere"))


@pytest.mark.skipif(not mnist_folder(REAL).is_dir(), reason="MNIST is not in data/")
def test_mnist_is_mnist() -> None:
    dataset = data.load(config("data=mnist"), REAL)
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (60000, 10000, (784,))
    assert torch.bincount(dataset.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert set(dataset.train.images.unique().tolist()) == {0.0, 1.0}


def ten() -> Examples:
    return Examples(torch.arange(10.0).unsqueeze(1), torch.arange(10))


def test_every_epoch_goes_once_through_the_examples_in_a_seeds_own_order() -> None:
    sampler = Sampler(ten(), 5, [0, 1])
    epochs = [torch.cat([sampler.next().labels, sampler.next().labels], dim=1) for _ in range(2)]
    for epoch in epochs:
        assert epoch.sort(dim=1).values.tolist() == [list(range(10))] * 2
        assert not torch.equal(epoch[0], epoch[1])
    assert not torch.equal(epochs[0], epochs[1])
    alone = Sampler(ten(), 5, [1])
    assert torch.equal(torch.cat([alone.next().labels, alone.next().labels], dim=1)[0], epochs[0][1])


def test_labels_stay_with_their_images() -> None:
    batch = Sampler(ten(), 4, [0, 1, 2]).next()
    assert torch.equal(batch.images[..., 0], batch.labels.float())


def test_a_sampler_goes_on_where_its_state_was_taken() -> None:
    sampler, other = Sampler(ten(), 3, [0, 1]), Sampler(ten(), 3, [5, 6])
    for _ in range(4):
        sampler.next()
    state = sampler.state_dict()
    expected = [sampler.next().labels for _ in range(5)]
    other.load_state_dict(state)
    assert all(torch.equal(other.next().labels, labels) for labels in expected)


def test_a_mini_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(BadInput, match="batch_size is 11"):
        Sampler(ten(), 11, [0])


if __name__ == "__main__":
    np.savez_compressed(digits.FILE, **from_scikit_learn())  # type: ignore[arg-type]  # of its stubs: allow_pickle

"""Data sets: what is checked before anything is trained on."""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnrepro import data
from bnrepro.compose import load
from bnrepro.config import DataConfig
from bnrepro.data import Examples, Sampler, mnist, tree_sources
from bnrepro.errors import BadInput
from bnrepro.mnist_files import MNIST_SHA256, mnist_folder

REAL = Path(__file__).resolve().parents[2] / "data"


def config(*overrides: str) -> DataConfig:
    return load(["scale=smoke", *overrides]).data


def plant(root: Path) -> Path:
    folder = mnist_folder(root)
    folder.mkdir(parents=True)
    for name in MNIST_SHA256:
        (folder / name).write_bytes(b"not MNIST")
    return folder


def test_digits_are_the_sources_in_a_fixed_split() -> None:
    from sklearn.datasets import load_digits

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


def test_planted_files_are_named_with_both_hashes(tmp_path: Path) -> None:
    folder = plant(tmp_path)
    with pytest.raises(BadInput) as error:
        data.load(config("data=mnist", "data.download=false"), tmp_path)
    assert str(folder / "train-images-idx3-ubyte") in str(error.value)
    assert MNIST_SHA256["train-images-idx3-ubyte"] in str(error.value)
    assert len({word for word in str(error.value).replace(",", " ").split() if len(word.strip(";:")) == 64}) == 2


def test_missing_files_are_named_where_nothing_may_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="t10k-labels-idx1-ubyte"):
        data.load(config("data=mnist", "data.download=false"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def hang_half_way(root: Path) -> None:
    plant(root)
    time.sleep(60)


def plant_a_web_page(root: Path) -> None:
    plant(root)


def fill_the_disk(root: Path) -> None:
    plant(root)
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("download", "message"),
    [
        (hang_half_way, "no answer within data.download_seconds=3"),
        (plant_a_web_page, "is not MNIST's"),
        (fill_the_disk, "No space left on device"),
    ],
)
def test_a_download_that_hangs_or_fails_or_lies_leaves_nothing(
    download: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "_download", download)
    with pytest.raises(BadInput, match=message):
        mnist.fetch(tmp_path / "data", seconds=3 if download is hang_half_way else 30)
    assert list(tmp_path.iterdir()) == []


def half_an_imagenette(root: Path) -> None:
    for part in ("train", "val"):
        for name in ("a", "b"):
            folder = root / "imagenette2-160" / part / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "x.png")


def half_an_imagenette_and_hang(root: Path) -> None:
    half_an_imagenette(root)
    time.sleep(60)


@pytest.mark.parametrize(
    ("download", "message"),
    [(half_an_imagenette, "is not whole"), (half_an_imagenette_and_hang, "no answer within data.download_seconds=4")],
)
def test_a_part_of_imagenette_is_not_taken_for_the_whole(
    download: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_sources, "_imagenette", download)
    seconds = 4 if download is half_an_imagenette_and_hang else 60
    with pytest.raises(BadInput, match=message):
        data.load(config("network=bn_x5", "data=imagenette", f"data.download_seconds={seconds}"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def idx(values: np.ndarray) -> bytes:
    """Write the format of MNIST's files (LeCun et al. 1998): a magic number, the sizes, the bytes."""
    sizes = np.asarray(values.shape, dtype=">i4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def tiny_mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put files of MNIST's format under ``root``, three training and two test digits, and let them pass as MNIST's."""
    pixels = np.arange(5 * 784).reshape(5, 28, 28) % 251
    parts = {"train": (pixels[:3], np.array([5, 0, 4])), "t10k": (pixels[3:], np.array([7, 2]))}
    folder = mnist_folder(root)
    folder.mkdir(parents=True)
    for part, (images, labels) in parts.items():
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{part}-{kind}-ubyte"
            path.write_bytes(idx(values))
            monkeypatch.setitem(MNIST_SHA256, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def check_tiny(root: Path) -> None:
    (pixels, labels), (test_pixels, test_labels) = mnist.read(root, download=False, seconds=1)
    assert labels.tolist() == [5, 0, 4]
    assert test_labels.tolist() == [7, 2]
    assert np.array_equal(np.concatenate([pixels, test_pixels]).reshape(-1), np.arange(5 * 784) % 251)


def test_training_and_test_digits_come_from_their_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_mnist(tmp_path, monkeypatch)
    check_tiny(tmp_path)


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("name", sorted(MNIST_SHA256))
@pytest.mark.parametrize(
    "damage",
    [flipped, lambda content: content[:-1], lambda content: b"", lambda content: content[:-2] + content[:-3:-1]],
    ids=["a flipped bit", "cut short", "empty", "values that changed places"],
)
def test_a_damaged_file_is_named(
    damage: Callable[[bytes], bytes], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_mnist(tmp_path, monkeypatch)
    path = mnist_folder(tmp_path) / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"{name} is not MNIST's file"):
        mnist.read(tmp_path, download=False, seconds=1)


def test_labels_that_others_left_beside_the_checked_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old versions of torchvision kept a second copy, which newer ones read first."""
    tiny_mnist(tmp_path, monkeypatch)
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir()
    for part in ("training", "test"):
        torch.save((torch.zeros(4, 28, 28, dtype=torch.uint8), torch.full((4,), 9)), processed / f"{part}.pt")
    check_tiny(tmp_path)


def from_a_server(root: Path) -> None:
    shutil.copytree(root.parents[1] / "server", root, dirs_exist_ok=True)


def test_what_was_fetched_lies_where_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_mnist(tmp_path / "server", monkeypatch)
    monkeypatch.setattr(mnist, "_download", from_a_server)
    mnist.fetch(tmp_path / "data", seconds=60)
    check_tiny(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["MNIST"]


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

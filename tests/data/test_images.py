"""Colour images: trees and their faults, the cache, augmentation, order, the embedded shapes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from bnrepro import data
from bnrepro.data import Sampler, dataset, shapes, tree
from bnrepro.data.tree_sources import lay_out
from bnrepro.errors import BadInput
from bnrepro.run import run
from conftest import load
from image_tree import config, only_cache, plant, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=0.001", "model.width is 0.001: it leaves no channel of 32; take 0.015625 or more"),
        ("model.stem=8", "images of 16 pixels are too small for it, it needs 32; take stem 2 or 4"),
        ("augment.crop=20", "augment.crop is 20: the images of image_folder have 16 pixels; take fewer"),
    ],
)
def test_what_does_not_fit_is_refused_before_images_are_decoded(override: str, message: str, root: Path) -> None:
    tree = ["network=inception", "data=image_folder", "data.folder=tree", "data.test=test", f"data_root={root}"]
    (root / "tree/train/cat/0.png").write_bytes(b"no image")  # not what is said first
    with pytest.raises(BadInput, match=message):
        run(load([*tree, override, f"runs_root={root / 'runs'}", "runtime.device=cpu"]))
    assert sorted(path.name for path in root.iterdir()) == ["tree"]


def test_a_tree_is_read_in_the_order_of_its_names(root: Path) -> None:
    loaded = data.load(config(), root)
    assert (loaded.shape, loaded.classes, len(loaded.train), len(loaded.test)) == ((3, 16, 16), 2, 6, 4)
    assert loaded.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded.train.images[:, 0, 5, 5].tolist() == [0, 10, 20, 100, 110, 120]
    assert loaded.train.images[:, 2].unique().tolist() == [7]
    assert loaded.train.inputs.max().item() == pytest.approx(1.0)


def test_the_files_of_a_tree_are_those_of_pathlib_in_its_order(root: Path) -> None:
    """An order that came out otherwise would train every seed on other mini-batches."""
    cat = root / "tree/train/cat"
    for name in ("sub/1.png", "sub-1.png", "Sub.png", "sub/sub/0.png", "a.gif", ".junk/0.png"):
        save(cat / name, 1)
    (cat / "gone.png").symlink_to("nowhere")
    (cat / "link.png").symlink_to("0.png")
    (cat / "loop.png").symlink_to("loop.png")
    (cat / "elsewhere").symlink_to(root / "tree/train/dog")  # a link to a folder is not gone into
    (cat / "empty").mkdir()
    found = tree.scan(root / "tree", "train", "test")
    links = {cat / "elsewhere", *(cat / "elsewhere").rglob("*")}
    expected = [p for p in sorted(cat.rglob("*")) if p.suffix == ".png" and ".junk" not in p.parts and p not in links]
    assert len(expected) == 10
    assert [Path(path) for path in found.train.paths[:10]] == expected
    described = [
        f"{p.relative_to(root / 'tree').as_posix()} {p.lstat().st_size}" for p in expected if p.name != "link.png"
    ]
    assert [line.rpartition(" ")[0] for line in list(found.listing())[:10] if "link.png" not in line] == described


def test_only_older_caches_of_the_same_source_and_settings_are_removed(root: Path) -> None:
    first = data.load(config(), root)
    original = only_cache(root)
    assert data.load(config("data.size=8"), root).shape == (3, 8, 8)
    assert original.is_dir()
    save(root / "tree/train/cat/1.png", 77)
    os.utime(root / "tree/train/cat/1.png", ns=(1, 1))
    with FileLock(original.with_suffix(".lock")):  # another run is reading it in
        data.load(config(), root)
        assert original.is_dir()
    save(root / "tree/train/cat/1.png", 78)
    os.utime(root / "tree/train/cat/1.png", ns=(2, 2))
    data.load(config(), root)
    assert not original.exists()
    assert first.train.images[1, 0, 0, 0].item() == 10  # who has it open keeps it
    assert len([path for path in (root / ".cache").iterdir() if path.is_dir()]) == 2  # this one and data.size=8


def test_what_is_decoded_is_what_numpy_would_save(root: Path, tmp_path: Path) -> None:
    held = data.load(config(), root)
    np.save(tmp_path / "whole.npy", held.train.images.numpy())
    assert (tmp_path / "whole.npy").read_bytes() == (only_cache(root) / "train.images.npy").read_bytes()


def test_at_a_damaged_image_the_others_are_not_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    original = data.loading.decoding._decode

    def watched(path: Path, into: np.ndarray, scale: bool) -> str:
        decoded.append(path)
        time.sleep(0.02)
        return original(path, into, scale)

    for i in range(200):
        save(root / f"tree/train/dog/{i}.png", 100)
    (root / "tree/train/cat/1.png").write_bytes(b"not an image")
    monkeypatch.setattr(data.loading.decoding, "_decode", watched)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(BadInput, match=r"cat/1.png does not decode"):
        data.load(config(), root)
    assert len(decoded) < 40  # a thread takes a few at once


def test_more_than_8_bits_are_refused_rather_than_cut_off(root: Path) -> None:
    Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(root / "tree/train/cat/0.png")
    with pytest.raises(BadInput, match=r"cat/0.png has more than 8 bits a pixel \(mode I;16\)"):
        data.load(config(), root)


def test_junk_is_ignored_and_other_suffixes_are_said_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("._0.jpg", "__MACOSX/0.jpg", ".hidden/0.jpg", "a.gif", "b.TIF"):
        path = root / "tree/train/cat" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
    save(root / "tree/train/__MACOSX/0.png", 1)  # no class
    assert len(data.load(config(), root).train) == 6
    said = capsys.readouterr().out
    assert said == f"{root / 'tree'}: 2 file(s) with other suffixes are left out: .gif, .tif\n"  # and no empty line
    data.load(config(), root)
    assert capsys.readouterr().out == ""


def test_names_that_are_no_text_are_names(root: Path) -> None:
    dog = root / "tree/train/dog"
    Path(os.fsdecode(os.fsencode(dog) + b"/\xff\xfe.png")).write_bytes((dog / "0.png").read_bytes())
    assert len(data.load(config(), root).train) == 7


def one_class(tree: Path) -> None:
    for path in sorted(tree.glob("*/dog/*")):
        path.unlink()
    for path in tree.glob("*/dog"):
        path.rmdir()


def only_in_test(tree: Path) -> None:
    save(tree / "test/bird/0.png", 1)


def an_empty_class(tree: Path) -> None:
    for path in (tree / "train/dog").iterdir():
        path.rename(path.with_suffix(".txt" if path.stem == "0" else ".GIF"))


def mixed_sizes(tree: Path) -> None:
    save(tree / "train/dog/2.png", 1, (20, 16))


def a_link_to_nowhere(tree: Path) -> None:
    (tree / "train/dog/link.png").symlink_to(tree / "gone.png")


def different_classes(tree: Path) -> None:
    only_in_test(tree)
    for name in ("a", "b", "c", "d", "e"):
        save(tree / f"train/{name}/0.png", 1)
    (tree / "test/dog").rename(tree / "dog")


def no_classes(tree: Path) -> None:
    (tree / "test").rename(tree / "other")
    save(tree / "test/0.png", 1)


def a_pipe(tree: Path) -> None:
    os.mkfifo(tree / "train/dog/pipe.jpg")


def too_many_pixels(tree: Path) -> None:
    (tree / "train/cat/0.ppm").write_bytes(b"P6 20000 10000 255 ")


def a_damaged_first_image(tree: Path) -> None:
    (tree / "train/cat/0.png").write_bytes(b"no image")


def no_test(tree: Path) -> None:
    (tree / "test").rename(tree / "validation")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (one_class, "train has 1 class folder, cat: two or more"),
        (only_in_test, "tree: bird is in test but not in train: both need the same classes"),
        (different_classes, "a, b, c, d, dog and 1 more are in train but not in test; bird is in test but not in"),
        (no_classes, "test has no class folders: put its images into .*test/<class>/"),
        (an_empty_class, r"train/dog has no image \(.bmp.*only files with other suffixes: .gif, .txt; fill or remove"),
        (a_pipe, "dog/pipe.jpg is no regular file: remove it"),
        (too_many_pixels, "cat/0.ppm has 20000 x 10000 pixels, more than the 100,000,000 .*: scale it down; .*=skip"),
        (a_damaged_first_image, r"cat/0.png does not decode as an image .*; replace it, or .*: data.damaged=skip"),
        (mixed_sizes, r"dog/2.png is 20 x 16 pixels, the first image 16 x 16: set data.size"),
        (a_link_to_nowhere, r"dog/link.png does not decode as an image \(.*No such file"),
        (no_test, r"test is not there: put the images into .*test/<class>/"),
    ],
)
def test_a_tree_that_cannot_be_trained_on_is_refused(harm: Callable[[Path], None], message: str, root: Path) -> None:
    harm(root / "tree")
    with pytest.raises(BadInput, match=message):
        data.load(config(), root)


def test_a_size_brings_all_images_to_one(root: Path) -> None:
    mixed_sizes(root / "tree")
    save(root / "tree/train/cat/0.png", 50, (9, 30))
    loaded = data.load(config("data.size=8"), root)
    assert loaded.shape == (3, 8, 8)
    assert loaded.train.images[0, 0].unique().tolist() == [50]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.folder=nowhere",), "nowhere is not there"),
        (("data.folder=tree/train/cat/0.png",), "cat/0.png is a file: data.folder must name a folder"),
        (("data.train=../tree/test",), "data.test is 'test': this is data.train's folder by another name"),
        (("data.held_out=6",), "data.held_out is 6: image_folder has 6 training examples"),
    ],
)
def test_what_is_not_there_is_named(overrides: tuple[str, ...], message: str, root: Path) -> None:
    with pytest.raises(BadInput, match=message):
        data.load(config(*overrides), root)


def test_a_crop_larger_than_the_images_is_refused(root: Path) -> None:
    with pytest.raises(BadInput, match=r"augment.crop is 17: the images of image_folder have 16 pixels"):
        data.load(config(), root, crop=17)


def test_of_fewer_examples_than_asked_for_all_are_taken(root: Path) -> None:
    loaded = data.load(config("data.held_out=1", "data.train_examples=7", "data.test_examples=5"), root)
    assert (len(loaded.train), len(loaded.test)) == (5, 4)


@pytest.mark.parametrize("experiment", ["fig2", "fig2_base_rate", "higher_lr_inception", "small_inception"])
def test_every_experiment_on_images_fits_the_embedded_ones(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others take fig2's numbers."""

    def blank(count: int, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((count, 3, 32, 32), np.uint8), np.zeros(count, np.int64)

    monkeypatch.setattr(shapes, "draw", blank)
    for scale in ("cpu", "quick"):
        settings = load([f"experiment={experiment}", f"scale={scale}", "data=shapes"])
        train = data.load(settings.data, tmp_path, settings.augment.crop).train
        assert len(Sampler(train, settings.batch_size, [0]).next()) == 1


def test_parts_do_not_overlap_and_are_fixed(root: Path) -> None:
    loaded = data.load(config("data.held_out=2", "data.train_examples=3", "data.test_examples=3"), root)
    train, aside = (part.inputs[:, 0, 0, 0] for part in (loaded.train, loaded.held_out))
    assert (len(train), len(aside), len(loaded.test)) == (3, 2, 3)
    assert not set(train.tolist()) & set(aside.tolist())
    again = data.load(config("data.held_out=2", "data.train_examples=3"), root)
    assert torch.equal(again.held_out.inputs, loaded.held_out.inputs)


def test_images_that_do_not_fit_stay_where_they_are(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = data.load(config(), root)
    elsewhere = torch.device("meta")  # moving to it is seen without a second device
    assert loaded.train.to(elsewhere).images.device == elsewhere
    monkeypatch.setattr(dataset, "fits", lambda images, device: False)
    streamed = loaded.train.to(elsewhere)
    assert streamed.images is loaded.train.images
    assert streamed.labels.device == elsewhere
    whole, batch = (Sampler(part, 4, [0]).next() for part in (loaded.train, loaded.to(torch.device("cpu")).train))
    assert torch.equal(whole.images, batch.images)


def test_shapes_are_the_same_for_a_seed_and_balanced() -> None:
    images, labels = shapes.draw(200, (0, 0))
    shapes.draw.cache_clear()
    again, _ = shapes.draw(200, (0, 0))
    assert np.array_equal(images, again)
    assert np.bincount(labels).tolist() == [20] * 10
    assert not np.array_equal(images, shapes.draw(200, (0, 1))[0])


def test_a_linear_model_does_not_solve_shapes() -> None:
    from sklearn.linear_model import RidgeClassifier

    (train, train_labels), (test, test_labels) = shapes.draw(3000, (0, 0)), shapes.draw(1000, (0, 1))
    model = RidgeClassifier(alpha=1e4).fit(train.reshape(3000, -1) / 255, train_labels)
    assert model.score(test.reshape(1000, -1) / 255, test_labels) < 0.5


@pytest.mark.slow
def test_a_small_network_learns_shapes_but_not_all_of_them(tmp_path: Path) -> None:
    where = ["data=shapes", "runtime.device=cpu", f"runs_root={tmp_path}", "probes.activation_steps=0"]
    record = run(load(["network=bn_baseline", "scale=quick", "experiment=fig2", "seeds=[0]", "steps=3000", *where]))
    accuracy = record.read_metrics().query("split == 'test' and metric == 'accuracy'")["value"]
    assert 0.5 < accuracy.max() < 0.99


def test_tiny_imagenets_archive_becomes_a_tree(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in (
            "train/n01/images/n01_0.JPEG",
            "train/n02/images/n02_0.JPEG",
            "val/images/val_0.JPEG",
            "val/images/val_1.JPEG",
        ):
            archive.writestr(f"tiny-imagenet-200/{name}", name)
        archive.writestr("tiny-imagenet-200/val/val_annotations.txt", "val_0.JPEG\tn02\t0\t0\nval_1.JPEG\tn01\t0\t0\n")
        archive.writestr("tiny-imagenet-200/test/images/test_0.JPEG", "x")
    lay_out(tmp_path / "a.zip", tmp_path / "tree")
    made = sorted(path.relative_to(tmp_path / "tree").as_posix() for path in (tmp_path / "tree").rglob("*.JPEG"))
    assert made == ["train/n01/n01_0.JPEG", "train/n02/n02_0.JPEG", "val/n01/val_1.JPEG", "val/n02/val_0.JPEG"]
    assert (tmp_path / "tree/val/n02/val_0.JPEG").read_text() == "val/images/val_0.JPEG"


def test_an_archive_that_is_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(b"a web page")
    settings = load(["network=inception", "data=tiny_imagenet"]).data
    with pytest.raises(BadInput, match="is not the official archive: its MD5 is"):
        data.load(settings, tmp_path)
    assert not (tmp_path / "tiny-imagenet-200").exists()


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "imagenette", "tiny_imagenet"])
def test_without_a_download_it_is_said_where_to_put_the_data(name: str, tmp_path: Path) -> None:
    settings = load(["network=inception", f"data={name}", "data.download=false"]).data
    with pytest.raises(BadInput, match=r"data.download is false: put"):
        data.load(settings, tmp_path)

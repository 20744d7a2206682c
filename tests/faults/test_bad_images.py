"""Images and caches of images that are damaged, half there or changed: built anew, named, or skipped on demand."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from bnrepro import data
from bnrepro.errors import BadInput
from image_tree import config, only_cache, plant, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path)
    return tmp_path


def test_images_are_decoded_once_and_again_when_the_source_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.load(config(), root)
    cached = only_cache(root)
    with monkeypatch.context() as patch:
        patch.setattr(data.loading.decoding, "decode", None)  # would fail if it were called
        assert data.load(config(), root).sha256 == first.sha256
    save(root / "tree/train/cat/1.png", 77)
    os.utime(root / "tree/train/cat/1.png", ns=(1, 1))
    changed = data.load(config(), root)
    assert changed.train.images[1, 0, 0, 0].item() == 77
    assert changed.sha256 != first.sha256
    assert only_cache(root) != cached  # the old one is gone


def test_a_cache_with_fewer_classes_than_labels_is_built_anew(root: Path) -> None:
    expected = data.load(config(), root)
    path = only_cache(root) / "cache.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "classes": said["classes"][:1]}))
    again = data.load(config(), root)
    assert (again.classes, again.sha256) == (expected.classes, expected.sha256)


def test_what_a_killed_build_left_is_removed_by_the_next_of_the_same_cache(root: Path) -> None:
    data.load(config(), root)
    cached = only_cache(root)
    shutil.rmtree(cached)
    left, others = cached.parent / f".building-{cached.name}-killed", cached.parent / ".building-other-1-running"
    for folder in (left, others):
        folder.mkdir()
        (folder / "train.images.npy").write_bytes(b"half")
    data.load(config(), root)
    assert cached.is_dir()
    assert not left.exists()
    assert others.is_dir()


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "list", "gone"])
def test_a_damaged_cache_is_built_anew(harm: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = data.load(config(), root)
    path = only_cache(root) / "train.images.npy"
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif harm == "list":
        (only_cache(root) / "cache.json").write_text(json.dumps({"classes": []}))
    elif harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if harm == "cut" else b"")
    assert data.load(config(), root).sha256 == first.sha256
    assert "is damaged: it is built anew" in capsys.readouterr().out


def test_a_cache_on_a_disk_that_is_read_only_is_read(root: Path) -> None:
    first = data.load(config(), root)
    lock = only_cache(root).with_suffix(".lock")
    lock.unlink()
    lock.mkdir()  # cannot be opened, as on such a disk
    assert data.load(config(), root).sha256 == first.sha256


def test_a_build_that_fails_leaves_no_cache(root: Path) -> None:
    (root / "tree/test/dog/1.png").write_bytes(b"not an image")
    with pytest.raises(BadInput, match=r"dog/1.png does not decode as an image"):
        data.load(config(), root)
    assert [path.suffix for path in (root / ".cache").iterdir()] == [".lock"]


def test_an_image_is_in_one_of_the_formats_that_its_suffix_can_mean(root: Path) -> None:
    """Pillow would open a drawing in PostScript whatever its name, and hand it to another program."""
    drawing = io.BytesIO()
    Image.new("RGB", (32, 32)).save(drawing, "EPS")
    (root / "tree/test/dog/1.png").write_bytes(drawing.getvalue())
    with Image.open(root / "tree/test/dog/1.png") as opened:
        assert opened.format == "EPS"
    with pytest.raises(BadInput, match=r"dog/1.png does not decode as an image"):
        data.load(config(), root)


def test_a_damaged_image_is_skipped_only_where_that_is_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "tree/train/dog/1.png").write_bytes((root / "tree/train/dog/0.png").read_bytes()[:-30])
    loaded = data.load(config("data.damaged=skip"), root)
    assert loaded.train.images[:, 0, 0, 0].tolist() == [0, 10, 20, 100, 120]
    assert "skipped: " in capsys.readouterr().out
    image = root / "tree/train/cat/0.png"  # the first: the size is the next one's
    save(image, 0, (30, 30))
    image.write_bytes(image.read_bytes()[:-30])
    assert data.load(config("data.damaged=skip"), root).train.images[:, 0, 0, 0].tolist() == [10, 20, 100, 120]
    for i in range(3):
        (root / f"tree/train/dog/{i}.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"train/dog has no image that decodes"):
        data.load(config("data.damaged=skip"), root)

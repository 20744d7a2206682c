"""CIFAR's files that are damaged: named, and never trained on."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damage import DAMAGES, harm
from torchvision.datasets import CIFAR10

from bnrepro import data
from bnrepro.errors import BadInput
from conftest import load

CONFIG = ["network=bn_x5", "scale=smoke", "data=cifar10", "data.download=false", "data.held_out=0"]
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of CIFAR-10's format (Krizhevsky 2009), four images each, and let them pass as CIFAR's."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    rng, sums = np.random.default_rng(0), {}
    for name in [*NAMES, "batches.meta"]:
        pixels = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
        content = {"label_names": [f"class {n}" for n in range(10)]} if "meta" in name else {"data": pixels}
        (folder / name).write_bytes(pickle.dumps({"labels": [0, 1, 2, 3], **content}))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in NAMES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, sums[name]] for name in NAMES[5:]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    return tmp_path


def test_whole_files_are_read(root: Path) -> None:
    loaded = data.load(load(CONFIG).data, root)
    assert (len(loaded.train), len(loaded.test), loaded.shape) == (20, 4, (3, 32, 32))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes], name: str, root: Path) -> None:
    harm(root / CIFAR10.base_folder / name, damage)
    with pytest.raises(BadInput, match=r"cifar10 is missing or damaged .* put the folder cifar-10-batches-py"):
        data.load(load(CONFIG).data, root)


def test_labels_that_changed_places_are_refused(root: Path) -> None:
    batch = root / CIFAR10.base_folder / NAMES[0]
    content = pickle.loads(batch.read_bytes())
    content["labels"][:2] = reversed(content["labels"][:2])
    batch.write_bytes(pickle.dumps(content))
    with pytest.raises(BadInput, match="cifar10 is missing or damaged"):
        data.load(load(CONFIG).data, root)

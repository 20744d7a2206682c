"""Data that are damaged, planted or half there: named, or fetched anew, and never trained on."""

import contextlib
import gzip
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import downloads
import numpy as np
import pytest
import torch
from damage import DAMAGES

from bnrepro import data
from bnrepro.data import cifar, digits, mnist, tree_sources
from bnrepro.errors import BadInput
from bnrepro.mnist_files import MNIST_SHA256, mnist_folder
from conftest import load

MNIST = ["scale=smoke", "data=mnist", "data.download=false"]
Serve = Callable[[str], list[str]]
PAGE = b"<!doctype html><title>Sign in to use this network</title>"


def test_planted_files_are_named_with_both_hashes(tmp_path: Path) -> None:
    folder = mnist_folder(tmp_path)
    folder.mkdir(parents=True)
    for name in MNIST_SHA256:
        (folder / name).write_bytes(b"not MNIST")
    with pytest.raises(BadInput) as error:
        data.load(load(MNIST).data, tmp_path)
    assert str(folder / "train-images-idx3-ubyte") in str(error.value)
    assert MNIST_SHA256["train-images-idx3-ubyte"] in str(error.value)
    assert len({word for word in str(error.value).replace(",", " ").split() if len(word.strip(";:")) == 64}) == 2


def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    mnist_folder(tmp_path).mkdir(parents=True)
    for name in MNIST_SHA256:
        os.mkfifo(mnist_folder(tmp_path) / name)
    with pytest.raises(BadInput, match=r"ubyte cannot be read \(it is no regular file\); move it away"):
        data.load(load(MNIST).data, tmp_path)


def test_missing_files_are_named_where_nothing_may_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="t10k-labels-idx1-ubyte"):
        data.load(load(MNIST).data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def idx(values: np.ndarray) -> bytes:
    """Write the format of MNIST's files (LeCun et al. 1998): a magic number, the sizes, the bytes."""
    sizes = np.asarray(values.shape, dtype=">i4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def tiny_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put files of MNIST's format into ``folder``, three training and two test digits, and let them pass as MNIST's."""
    pixels = np.arange(5 * 784).reshape(5, 28, 28) % 251
    parts = {"train": (pixels[:3], np.array([5, 0, 4])), "t10k": (pixels[3:], np.array([7, 2]))}
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


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_embedded_digits_are_those_that_are_meant(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "digits.npz"
    copy.write_bytes(damage(digits.FILE.read_bytes()))
    monkeypatch.setattr(digits, "FILE", copy)
    with pytest.raises(BadInput, match=r"digits\.npz is damaged; install the package anew"):
        data.load(load(["scale=smoke", "data=digits"]).data, tmp_path)


def test_training_and_test_digits_come_from_their_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_mnist(mnist_folder(tmp_path), monkeypatch)
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
    tiny_mnist(mnist_folder(tmp_path), monkeypatch)
    path = mnist_folder(tmp_path) / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=f"{name} is not MNIST's file"):
        mnist.read(tmp_path, download=False, seconds=1)


def test_labels_that_others_left_beside_the_checked_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old versions of torchvision kept a second copy, which newer ones read first."""
    tiny_mnist(mnist_folder(tmp_path), monkeypatch)
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir()
    for part in ("training", "test"):
        torch.save((torch.zeros(4, 28, 28, dtype=torch.uint8), torch.full((4,), 9)), processed / f"{part}.pt")
    check_tiny(tmp_path)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serve the files of ``tmp_path/served`` over HTTP: whole, cut short, a web page in their place, or in silence.

    What is called with one of these returns the list of what was asked for.
    """
    served = tmp_path / "served"
    served.mkdir()
    how, asked = list[str](), list[str]()
    over = threading.Event()

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            path = served / self.path[1:]
            body = path.read_bytes() if how == ["whole"] and path.is_file() else 100 * PAGE
            self.send_response(200)
            self.send_header("Content-Length", str(2 * len(body) if how == ["cut short"] else len(body)))
            self.end_headers()
            if how == ["silent"]:
                self.wfile.write(body[:100])
                over.wait(60)
            elif how == ["slow"]:  # each byte in time
                with contextlib.suppress(OSError):
                    for start in range(len(body)):
                        self.wfile.write(body[start : start + 1])
                        if over.wait(1):
                            break
            else:
                self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SERVER", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("SERVED", str(served))

    def start(way: str) -> list[str]:
        how.append(way)
        return asked

    yield start
    over.set()
    server.shutdown()
    server.server_close()


def test_what_was_fetched_lies_where_it_is_read(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_mnist(tmp_path / "plain", monkeypatch)
    for path in (tmp_path / "plain").iterdir():
        (tmp_path / "served" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(mnist, "_download", downloads.from_server)
    serve("whole")
    mnist.fetch(tmp_path / "data", seconds=300)
    check_tiny(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["MNIST"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("a web page", "train-images-idx3"),
        ("cut short", "train-images-idx3"),
        ("silent", "timed out|no answer within"),
        ("slow", "no answer within data.download_seconds=15"),
    ],
)
def test_a_download_that_hangs_or_is_cut_or_lies_leaves_nothing(
    how: str, why: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "_download", downloads.from_server)
    asked = serve(how)
    with pytest.raises(BadInput, match=rf"the download failed \(.*({why}).*\): put the extracted files"):
        mnist.fetch(tmp_path / "data", {"silent": 30, "slow": 15}.get(how, 300))
    assert asked
    assert not (tmp_path / "data").exists()


def test_a_download_of_other_files_is_refused_though_the_server_vouches_for_them(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_mnist(tmp_path / "plain", monkeypatch)
    for path in (tmp_path / "plain").iterdir():
        (tmp_path / "served" / f"{path.name}.gz").write_bytes(gzip.compress(flipped(path.read_bytes())))
    monkeypatch.setattr(mnist, "_download", downloads.from_server)
    serve("whole")
    with pytest.raises(BadInput, match="is not MNIST's file"):
        mnist.fetch(tmp_path / "data", 300)
    assert not (tmp_path / "data").exists()


def test_a_download_ends_with_its_command_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import downloads\n"
        "from bnrepro.data import mnist; mnist._download = downloads.hang; mnist.fetch(Path(sys.argv[2]), 100)\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command) as process:
        end = time.monotonic() + 90
        while not list(tmp_path.glob(".download-*/begun")):
            assert time.monotonic() < end
            time.sleep(0.05)
        process.kill()
    while list(tmp_path.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_web_page_is_no_archive_of_images(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "_cifar10", downloads.cifar10_from_server)
    serve("a web page")
    with pytest.raises(BadInput, match=r"the download failed \(File not found or corrupted.*\): put the"):
        cifar.fetch(tmp_path / "data", 300)
    assert not (tmp_path / "data").exists()


def test_a_part_of_imagenette_is_not_taken_for_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_sources, "_imagenette", downloads.half_an_imagenette)
    with pytest.raises(BadInput, match="is not whole"):
        data.load(load(["scale=smoke", "network=bn_x5", "data=imagenette"]).data, tmp_path / "data")
    assert not (tmp_path / "data").exists()

"""A full disk, a disk that is read-only, and no memory left."""

import contextlib
import errno
import hashlib
import mmap
import os
import resource
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

import children
from bnrepro import checkpoint, data, files
from bnrepro.data import fetching, mnist
from bnrepro.errors import BadInput
from bnrepro.record import Record, from_parquet
from bnrepro.run import run
from bnrepro.state import initial
from conftest import load
from interruption import stored_state

RUN = ["network=mlp_bn", "steps=60", "runtime.checkpoint_every=10", "probes.evaluate_every=10"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk needs root: sudo make test-root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def fill_before_the_checkpoint(disk: Path, step: int, *overrides: str) -> None:
    """Train, and fill the disk before the checkpoint at ``step`` is written."""
    save = checkpoint.save

    def full(path: Path, config: Any, state: Any, progress: Any) -> None:
        if state.step == step:
            fill(disk)
        save(path, config, state, progress)

    checkpoint.save = full
    children.train(*overrides)


@pytest.mark.parametrize("step", [10, 40])  # of the first checkpoint, and of a later one
def test_a_full_disk_loses_nothing(step: int, small_disk: Path, tmp_path: Path) -> None:
    overrides = [*RUN, f"runs_root={small_disk}"]
    code, said = children.finish(fill_before_the_checkpoint, tmp_path / "said", small_disk, step, *overrides)
    assert code == 2, said
    assert "Traceback" not in said
    (message,) = [line for line in said.splitlines() if line.startswith("error: ")]
    config = load([*children.SMALL, *overrides])
    record = Record.of(config)
    assert f"{record.checkpoint} cannot be written (No space left on device), it takes " in message
    assert " KiB" in message
    assert not list(record.folder.rglob("*.part"))
    assert record.checkpoint.exists() == (step > 10)
    if step > 10:
        content = record.checkpoint.read_bytes()  # the newest itself is whole, no older one is needed
        assert hashlib.sha256(content[checkpoint.DIGEST :]).digest() == content[: checkpoint.DIGEST]
        state = initial(config, data.load(config.data, Path(config.data_root)), torch.device("cpu"))
        assert checkpoint.restore(record.checkpoint, config, state) is not None
        assert state.step == step - 10
        assert record.read_metrics()["step"].max() == step - 10
    (small_disk / "filler").unlink()
    code, said = children.finish(children.train, tmp_path / "again", *overrides)
    assert code == 0, said
    undisturbed = run(load([*children.SMALL, *RUN, f"runs_root={tmp_path / 'undisturbed'}"]))
    assert record.metrics.read_bytes() == undisturbed.metrics.read_bytes()
    theirs = stored_state(undisturbed)
    assert all(torch.equal(value, theirs[name]) for name, value in stored_state(record).items())


def fill_before_the_table(disk: Path, step: int, *overrides: str) -> None:
    """Train, and fill the disk before the table of measurements at ``step`` is written: the checkpoint was."""
    write, save, at = Record.write_metrics, checkpoint.save, [0]

    def seen(path: Path, config: Any, state: Any, progress: Any) -> None:
        save(path, config, state, progress)
        at[0] = state.step

    def full(record: Record, content: bytes) -> None:
        if at[0] == step:
            fill(disk)
        write(record, content)

    checkpoint.save, Record.write_metrics = seen, full  # type: ignore[method-assign]
    children.train(*overrides)


def test_a_table_that_meets_a_full_disk_stays_what_it_was(small_disk: Path, tmp_path: Path) -> None:
    overrides = [*RUN, f"runs_root={small_disk}"]
    before = run(load([*children.SMALL, *RUN, f"runs_root={tmp_path / 'before'}", "steps=60"]))
    code, said = children.finish(fill_before_the_table, tmp_path / "said", small_disk, 40, *overrides)
    assert code == 2, said
    record = Record.of(load([*children.SMALL, *overrides]))
    assert f"{record.metrics} cannot be written (No space left on device), it takes" in said
    table = from_parquet(record.metrics.read_bytes())
    assert table["step"].max() == 30
    pd.testing.assert_frame_equal(table, before.read_metrics().query("step <= 30"), check_exact=True)
    (small_disk / "filler").unlink()
    code, said = children.finish(children.train, tmp_path / "again", *overrides)
    assert code == 0, said
    assert "going on from step 40" in said
    assert record.metrics.read_bytes() == before.metrics.read_bytes()


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the disk: the new content is on it before the old one's name is taken."""
    path = tmp_path / "file"
    files.write_bytes(path, b"old")

    def no_room(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", no_room) if fails == "fsync" else (Path, "replace", no_room)))
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_renaming_that_fails_leaves_what_was_there_at_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint's: it is then read where the one before it is kept (test_kill.py)."""
    path, before, replace = tmp_path / "file", tmp_path / "before", Path.replace
    files.write_bytes(path, b"old")

    def last_fails(source: Path, target: Path) -> Path:
        if target == path:
            raise OSError(errno.EIO, "Input/output error")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", last_fails)
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_bytes(path, b"new", before)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"before": b"old"}


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def replaced(path: Path, target: Path) -> Path:
        done.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    files.write_bytes(tmp_path / "file", b"content")
    assert done == ["file", "name", "folder"]


def test_a_file_system_that_syncs_no_folders_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def of_files_alone(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    files.write_bytes(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def draw_a_tree(root: Path) -> list[str]:
    """Draw small files of which decoded images are made that take 7.5 MB; return the overrides for a step on them."""
    for split, count in (("train", 60), ("test", 20)):
        for name, colour in (("cat", "red"), ("dog", "blue")):
            folder = root / "tree" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (125, 125), colour).save(folder / f"{number}.png")
    images = ["network=bn_x5", "model.width=0.125", "data=image_folder", "data.folder=tree", "data.test=test"]
    return [*images, f"data_root={root}", "augment.crop=32", "batch_size=4", "steps=1", "norm.population_batches=1"]


def test_on_a_full_disk_no_image_is_decoded(small_disk: Path, tmp_path: Path) -> None:
    """The cache is a mapped file: a write into a page that has no room would end the process by SIGBUS."""
    overrides = [*draw_a_tree(small_disk), f"runs_root={tmp_path / 'runs'}"]
    code, said = children.finish(children.train, tmp_path / "said", *overrides)
    assert code == 2, said
    assert len(said.splitlines()) == 1
    assert said.startswith(f"error: {small_disk / '.cache'}")
    assert "cannot be written (No space left on device), it takes 5,494 KiB" in said
    assert [path.name for path in (small_disk / ".cache").iterdir() if path.is_dir()] == []
    assert not (tmp_path / "runs").exists()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    code, said = children.finish(children.train, tmp_path / "again", *overrides)
    assert code == 0, said


def test_a_read_only_disk_is_said(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, said = children.finish(children.train, tmp_path / "said", *RUN, f"runs_root={small_disk / 'runs'}")
    assert code == 2
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
    assert "cannot be written (Read-only file system)" in said
    assert "choose another runs_root=" in said


def test_nothing_is_downloaded_to_a_read_only_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    monkeypatch.setattr(fetching, "_why_not", None)  # would fail if it were called
    for root in (small_disk, small_disk / "data"):
        with pytest.raises(BadInput, match=r"cannot be written \(Read-only file system\).*or set data_root="):
            mnist.fetch(root, seconds=300)


def test_a_folder_below_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code, said = children.finish(children.train, tmp_path / "said", *RUN, f"runs_root={tmp_path / 'file' / 'runs'}")
    assert code == 2
    assert "cannot be written (Not a directory)" in said
    assert len(said.splitlines()) == 1


def leave_little() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))


def take_all() -> None:
    leave_little()
    torch.empty(2**28)  # 1 GiB: torch's RuntimeError


def map_all() -> None:
    leave_little()
    mmap.mmap(-1, 2**30)  # the system's OSError


def take_a_gpu() -> None:
    torch.empty(2 * torch.cuda.mem_get_info()[1], dtype=torch.uint8, device="cuda")  # twice all that it has


def run_out(take: Callable[[], None], *overrides: str) -> None:
    """Train, and after step 25 ``take`` more memory than there is."""
    from bnrepro import probes

    build = probes.build

    class Greedy:
        def when(self, step: int) -> bool:
            return step == 25

        def measure(self, state: Any) -> list[Any]:
            take()
            return []

    probes.build = lambda config, dataset: [*build(config, dataset), Greedy()]
    children.train(*overrides)


@pytest.mark.parametrize(
    ("device", "take"),
    [
        ("cpu", take_all),
        ("cpu", map_all),
        pytest.param("cuda", take_a_gpu, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
    ],
)
def test_out_of_memory_names_what_to_lower_and_leaves_the_checkpoint(
    device: str, take: Callable[[], None], tmp_path: Path
) -> None:
    overrides = [*RUN, f"runtime.device={device}", f"runs_root={tmp_path / 'runs'}"]
    code, said = children.finish(run_out, tmp_path / "said", take, *overrides)
    assert code == 1
    assert "Traceback" not in said
    assert "error: there is not enough memory" in said
    for key in ("batch_size", "seeds", "model.width", "model.hidden"):
        assert key in said
    code, said = children.finish(children.train, tmp_path / "again", *overrides)
    assert code == 0
    assert "going on from step 20" in said


def little_memory() -> None:
    """Have room for half a GiB more than is held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize:"))
    resource.setrlimit(resource.RLIMIT_AS, (held + 2**29, held + 2**29))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_network_that_memory_does_not_hold_is_one_message(tmp_path: Path) -> None:
    typed = ["train.py", "network=mlp", *children.SMALL, "model.hidden=[30000,30000]"]
    done = children.script(*typed, folder=tmp_path, before=little_memory)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("error: there is not enough memory")
    assert "model.hidden" in line


def train_within(kib: int, *overrides: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))
    children.train(*overrides)


def test_tensorboards_files_that_have_no_room_are_one_message(tmp_path: Path) -> None:
    overrides = ["network=mlp", "steps=300", "probes.evaluate_every=2", f"runs_root={tmp_path / 'runs'}"]
    overrides.append("runtime.checkpoint_every=1000000")
    code, said = children.finish(train_within, tmp_path / "said", 3, *overrides)
    assert code == 2
    assert said.count("error: ") == 1
    assert "Traceback" not in said

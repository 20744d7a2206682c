"""Files cut short, with a flipped bit, empty or gone, and what is no file in their places."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import DAMAGES, SETTINGS, ends_undisturbed, flipped, fresh, harm

from bnrepro import checkpoint, door, sweep
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.files import read_json, write_json
from bnrepro.record import Record
from bnrepro.run import run
from conftest import Make
from interruption import interrupted

DAMAGED = pytest.mark.parametrize("damage", list(DAMAGES.values()), ids=list(DAMAGES))


@pytest.fixture
def stopped(small: Make) -> tuple[RunConfig, Record]:
    """A run that ended after step 20: checkpoints of steps 8 and 16."""
    config = small(*SETTINGS)
    return config, interrupted(config, 20)


@DAMAGED
def test_the_checkpoint_before_a_damaged_one_is_used(
    damage: Callable[[bytes], bytes],
    stopped: tuple[RunConfig, Record],
    small: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, record = stopped
    harm(record.checkpoint, damage)
    found = record.checkpoint.read_bytes()
    record = run(config)
    said = capsys.readouterr().out
    assert "checkpoint.pt is damaged, its checksum is wrong: it is kept as checkpoint.pt.damaged" in said
    assert "going on from step 8" in said
    assert (record.folder / "checkpoint.pt.damaged").read_bytes() == found
    ends_undisturbed(record, small, tmp_path)


def test_with_no_whole_checkpoint_left_a_run_starts_anew_and_says_so(
    stopped: tuple[RunConfig, Record], small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, record = stopped
    for path in (record.checkpoint, checkpoint.before(record.checkpoint)):
        harm(path, flipped)
    record = run(config)
    said = capsys.readouterr().out
    assert said.count("its checksum is wrong") == 2
    kept = {path.name for path in record.folder.glob("*.damaged")}
    assert kept == {"checkpoint.pt.damaged", "checkpoint.before.pt.damaged"}
    assert "has no whole checkpoint: the run starts anew" in said
    assert "going on" not in said
    ends_undisturbed(record, small, tmp_path)


@DAMAGED
@pytest.mark.parametrize("name", ["metrics.parquet", "status.json"])
def test_tables_and_status_follow_from_the_checkpoint(
    name: str,
    damage: Callable[[bytes], bytes],
    stopped: tuple[RunConfig, Record],
    small: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, record = stopped
    harm(record.folder / name, damage)
    capsys.readouterr()
    ended = run(config)
    said = [line for line in capsys.readouterr().out.splitlines() if "damaged" in line]
    assert said == [f"{record.folder / name} is damaged: it is made anew"]
    ends_undisturbed(ended, small, Path(config.runs_root).parent)


@DAMAGED
def test_a_damaged_table_of_a_finished_run_is_made_anew(
    damage: Callable[[bytes], bytes], small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(small(*SETTINGS))
    harm(record.metrics, damage)
    with pytest.raises(BadInput, match=r"metrics\.parquet is missing or damaged"):
        record.read_metrics()
    capsys.readouterr()
    run(small(*SETTINGS))
    said = capsys.readouterr().out
    assert "metrics.parquet is not what the run wrote: it is kept as metrics.parquet.damaged and made anew" in said
    assert "going on from step 60" in said  # the last: nothing is trained
    ends_undisturbed(record, small, tmp_path)


@pytest.mark.parametrize("where", ["status.json", "checkpoint.before.pt", ".lock"])
def test_a_folder_in_a_files_place_is_to_be_moved_and_nothing_else_is(
    where: str, stopped: tuple[RunConfig, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    config, record = stopped
    place = record.folder / where
    place.unlink(missing_ok=True)
    place.mkdir()
    assert door.command(lambda: bool(run(config)), "") == 2
    said = capsys.readouterr().err
    assert "(Is a directory)" in said
    assert f"move {place} away" in said or (said.startswith(f"error: {place} cannot") and "move it away" in said)


def test_what_was_put_aside_before_stays(stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    (record.folder / "checkpoint.pt.damaged").write_bytes(b"of an earlier damage")
    (record.folder / "metrics.parquet.damaged").mkdir()
    (record.folder / "metrics.parquet.damaged1").symlink_to("nowhere")
    harm(record.checkpoint, flipped)
    found = record.checkpoint.read_bytes()
    run(config)
    harm(record.metrics, flipped)
    run(config)
    assert (record.folder / "checkpoint.pt.damaged").read_bytes() == b"of an earlier damage"
    assert (record.folder / "checkpoint.pt.damaged1").read_bytes() == found
    assert (record.folder / "metrics.parquet.damaged1").is_symlink()
    assert (record.folder / "metrics.parquet.damaged2").is_file()


def test_a_table_that_another_process_mends_meanwhile_is_left_alone(
    small: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(small(*SETTINGS))
    whole = record.metrics.read_bytes()
    harm(record.metrics, flipped)
    locked = Record.locked

    def after_another(self: Record) -> Any:
        self.metrics.write_bytes(whole)
        return locked(self)

    monkeypatch.setattr(Record, "locked", after_another)
    capsys.readouterr()
    record.mend()
    assert capsys.readouterr().out == ""
    assert record.ended


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("name", ["config.json", "provenance.json"])
def test_a_run_that_cannot_say_what_it_is_is_refused(name: str, damage: str, stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    path = record.folder / name
    harm(path, DAMAGES[damage])
    found = path.read_bytes()
    with pytest.raises(BadInput, match=rf"{name} is missing or damaged"):
        run(config)
    assert path.read_bytes() == found


@pytest.mark.parametrize("name", ["config.json", "provenance.json"])
def test_a_run_that_lost_what_it_is_keeps_its_checkpoints(name: str, stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    kept = record.checkpoint.read_bytes()
    (record.folder / name).unlink()
    with pytest.raises(BadInput, match=rf"{name} is missing or damaged"):
        run(config)
    assert record.checkpoint.read_bytes() == kept


def test_predictions_that_are_gone_are_made_anew(small: Make) -> None:
    images = ["data=shapes", "data.train_images=100", "data.test_images=50", "data.train_examples=0"]
    images += ["data.test_examples=0", "model.width=0.0625", "batch_size=8", "seeds=[0]", "probes.activation_steps=0"]
    config = small("network=bn_x30", *images, "steps=2", "probes.predictions=true")
    record = run(config)
    expected = record.predictions.read_bytes()
    harm(record.metrics, flipped)
    assert run(config).predictions.read_bytes() == expected  # which is whole, and stays where it is
    assert not list(record.folder.glob("predictions.parquet.damaged"))
    record.predictions.unlink()
    with pytest.raises(BadInput, match=r"the run's command, given again, makes it anew"):
        record.read_predictions()
    assert run(config).predictions.read_bytes() == expected


@pytest.mark.parametrize("key", ["data_sha256", "commit", "threads"])
def test_a_provenance_that_lacks_something_is_named(key: str, stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    path = record.folder / "provenance.json"
    write_json(path, {one: value for one, value in read_json(path).items() if one != key})
    with pytest.raises(BadInput, match=r"provenance\.json is missing or damaged"):
        run(config)


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_a_checkpoints_place_is_named(
    put: Callable[[Path], None], stopped: tuple[RunConfig, Record]
) -> None:
    config, record = stopped
    record.checkpoint.unlink()
    put(record.checkpoint)
    with pytest.raises(BadInput, match=r"checkpoint\.pt cannot be read \(it is no regular file\); move it away"):
        run(config)


@pytest.mark.parametrize("both", [True, False])
def test_a_link_to_nothing_in_a_checkpoints_place_is_named(both: bool, stopped: tuple[RunConfig, Record]) -> None:
    """As to a disk that is not mounted: what is there is not taken for all there is."""
    config, record = stopped
    for path in (record.checkpoint, checkpoint.before(record.checkpoint))[: 1 + both]:
        path.unlink()
        path.symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"checkpoint\.pt is a link to nothing: bring it back"):
        run(config)
    assert record.checkpoint.is_symlink()


def test_a_run_that_lost_its_checkpoints_says_that_it_starts_anew(
    stopped: tuple[RunConfig, Record], small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, record = stopped
    for path in (record.checkpoint, checkpoint.before(record.checkpoint)):
        path.unlink()
    capsys.readouterr()
    ends_undisturbed(run(config), small, tmp_path)
    assert "has no whole checkpoint: the run starts anew" in capsys.readouterr().out


def test_a_summary_names_the_file_that_is_gone(small: Make) -> None:
    record = run(small("network=mlp", "steps=2"))
    (record.folder / "provenance.json").unlink()
    (missing,) = sweep.summary([record]).missing
    assert "provenance.json is missing or damaged" in missing


def test_a_checkpoint_of_nothing_is_named(stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    record.checkpoint.write_bytes(hashlib.sha256(b"").digest())  # and its checksum is right
    with pytest.raises(BadInput, match=r"cannot be read as a checkpoint of this run"):
        run(config)


def test_any_flipped_bit_of_a_checkpoint_or_table_is_seen(stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    table = record.read_metrics()
    checkpoint.before(record.checkpoint).unlink()
    seen = 0
    for path in (record.checkpoint, record.metrics):
        whole = path.read_bytes()
        for position in range(0, len(whole), max(1, len(whole) // 40)):
            changed = bytearray(whole)
            changed[position] ^= 16
            path.write_bytes(changed)
            if path == record.checkpoint:
                assert checkpoint.restore(path, config, fresh(config)) is None
                seen += 1
                continue
            with pytest.raises(BadInput, match=r"metrics\.parquet is missing or damaged"):
                record.read_metrics()
        path.write_bytes(whole)
    assert seen >= 40
    assert record.read_metrics().equals(table)

"""Whole files that are another run's, another version's or no run's, and files that would do harm."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import SETTINGS, ends_undisturbed, fresh, sealed

from bnrepro import checkpoint
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.files import read_json, write_json
from bnrepro.record import Record
from bnrepro.run import run
from conftest import Make
from interruption import interrupted


@pytest.fixture
def stopped(small: Make) -> tuple[RunConfig, Record]:
    """A run that ended after step 20: checkpoints of steps 8 and 16."""
    config = small(*SETTINGS)
    return config, interrupted(config, 20)


@pytest.mark.parametrize("theirs", [["metrics.parquet"], ["status.json"], ["status.json", "metrics.parquet"]])
def test_a_finished_runs_files_make_no_results_of_another(
    theirs: list[str], small: Make, stopped: tuple[RunConfig, Record], tmp_path: Path
) -> None:
    config, record = stopped
    for name in theirs:
        (record.folder / name).write_bytes((run(small("network=mlp")).folder / name).read_bytes())
    assert not record.ended
    ends_undisturbed(run(config), small, tmp_path)


def test_a_status_is_of_one_provenance(small: Make) -> None:
    """The same config on other data is another run."""
    record = run(small(*SETTINGS))
    path = record.folder / "provenance.json"
    write_json(path, {**read_json(path), "data_sha256": "0" * 64})
    assert not record.ended
    with pytest.raises(BadInput, match="is of other data"):
        run(small(*SETTINGS))


@pytest.mark.parametrize("whose", ["another run's", "the same run's, of an earlier step"])
def test_another_table_of_a_finished_run_is_put_aside(
    whose: str, small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = interrupted(small(*SETTINGS), 20).metrics.read_bytes()
    record = run(small(*SETTINGS))
    record.metrics.write_bytes(run(small("network=mlp")).metrics.read_bytes() if whose == "another run's" else earlier)
    with pytest.raises(BadInput, match=r"metrics\.parquet is missing or damaged"):
        record.read_metrics()
    run(small(*SETTINGS))
    assert "metrics.parquet is not what the run wrote" in capsys.readouterr().out
    ends_undisturbed(record, small, tmp_path)


def test_a_status_that_only_says_that_it_is_finished_is_not_believed(
    stopped: tuple[RunConfig, Record], small: Make, tmp_path: Path
) -> None:
    config, record = stopped
    write_json(record.folder / "status.json", {"status": "finished"})
    assert record.status == {"status": "missing"}
    ends_undisturbed(run(config), small, tmp_path)


def test_an_older_format_is_explained(stopped: tuple[RunConfig, Record]) -> None:
    config, record = stopped
    record.checkpoint.write_bytes(sealed(fresh(config).state_dict()))  # what format 1 was
    with pytest.raises(
        BadInput, match=rf"format 1 of checkpoints, this version reads {checkpoint.FORMAT}: .* began it"
    ):
        run(config)


class Executes:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return Path.touch, (Path("executed"),)  # type: ignore[return-value]


OURS = {"format": checkpoint.FORMAT}


@pytest.mark.parametrize("value", [Executes(), {**OURS, "state": Executes()}, [1], {**OURS, "state": {}}])
def test_a_hostile_or_foreign_checkpoint_is_refused(
    value: Any, stopped: tuple[RunConfig, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, record = stopped
    monkeypatch.chdir(tmp_path)
    record.checkpoint.write_bytes(sealed(value))
    with pytest.raises(BadInput, match=r"checkpoint\.pt cannot be read as a checkpoint of this run"):
        run(config)
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", -5),
        ("step", 10**9),
        ("step", 10.5),
        ("step", "abc"),
        ("diverged_at", torch.zeros(1, dtype=torch.int64)),
        ("loss", torch.zeros(7)),
        ("optimiser", {"lr": float("nan"), "momenta": []}),
        ("optimiser", {"lr": 1e9, "momenta": []}),
        ("seconds", float("nan")),
        ("metrics", torch.zeros(10, dtype=torch.uint8)),
    ],
)
def test_a_checkpoint_that_no_run_can_have_written_is_refused(
    key: str, value: Any, stopped: tuple[RunConfig, Record]
) -> None:
    """Its checksum, config and data are right."""
    config, record = stopped
    kept = torch.load(io.BytesIO(record.checkpoint.read_bytes()[checkpoint.DIGEST :]), weights_only=True)
    (kept if key in kept else kept["state"])[key] = value
    record.checkpoint.write_bytes(sealed(kept))
    with pytest.raises(BadInput, match=r"checkpoint\.pt cannot be read as a checkpoint of this run"):
        run(config)


@pytest.mark.parametrize(
    ("override", "key"), [("network=mlp", "norm.name"), ("optim.lr=0.3", "optim.lr"), ("steps=61", "steps")]
)
def test_another_runs_checkpoint_is_refused(
    override: str, key: str, stopped: tuple[RunConfig, Record], small: Make
) -> None:
    """One of another network, and one that would fit: only what it says of itself tells that it is another's."""
    config, record = stopped
    other = interrupted(small(*SETTINGS, override), 20)
    record.checkpoint.write_bytes(other.checkpoint.read_bytes())
    with pytest.raises(BadInput, match=rf"checkpoint\.pt is of a run with another config: .*{key} is"):
        run(config)
    assert record.status["status"] == "failed"


def test_a_checkpoint_of_other_data_is_refused(stopped: tuple[RunConfig, Record]) -> None:
    """Of the same config: data under the same name may be others."""
    config, record = stopped
    kept = torch.load(io.BytesIO(record.checkpoint.read_bytes()[checkpoint.DIGEST :]), weights_only=True)
    record.checkpoint.write_bytes(sealed({**kept, "data_sha256": "0" * 64}))
    with pytest.raises(BadInput, match=rf"checkpoint\.pt is of other data: their SHA-256 is {'0' * 64} there"):
        run(config)
    assert record.status["status"] == "failed"

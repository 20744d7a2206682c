"""The command around the measures: what ends it, what was measured is kept and shown."""

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bnrepro import results, tables
from bnrepro.bench import command, rows
from bnrepro.errors import BadInput
from bnrepro.files import sha256

COMMITTED = Path(__file__).resolve().parents[2] / "results"


def row(case: str) -> pd.DataFrame:
    return rows.seconds(case, "measured now", [1.25], 2.0)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was measured, of which no figure is drawn; and two parts that are measured at once."""
    monkeypatch.setattr(
        command, "MEASURES", {"first": lambda *_: row("a new case"), "second": lambda *_: row("another new case")}
    )
    monkeypatch.setattr(command, "ON_MNIST", ())
    monkeypatch.chdir(tmp_path)
    place, runs = tmp_path / "results", tables.read(COMMITTED / "runs.csv").head(1).assign(data="shapes")
    tables.write(place / "shapes/other.csv", pd.DataFrame({"scale": ["cpu"]}))
    tables.write(place / "runs.csv", runs)
    there = tables.read(COMMITTED / "bench.csv")
    tables.write(place / "bench.csv", there[there["case"] == "start-up"])
    shutil.copy(COMMITTED / "bench.json", place)
    sums = {path: sha256(path.read_bytes()) for path in (*place.glob("*.*"), *place.glob("*/*"))}
    (place / "SHA256SUMS").write_text("".join(f"{s}  {path.relative_to(place)}\n" for path, s in sums.items()))
    return place


def bench(target: Path, *arguments: str) -> int:
    return command.main(["--images", "shapes", "--results", str(target), *arguments])


def test_all_is_kept_and_shown_in_its_place(target: Path) -> None:
    before = (target / "bench.csv").read_text().splitlines()
    assert bench(target) == 0
    after = (target / "bench.csv").read_text().splitlines()
    assert after[: len(before)] == before  # what is not measured anew keeps its digits
    assert after[len(before)].startswith("a new case,measured now,")
    for page in ("README.md", "report.html"):
        assert "another new case" in (target / page).read_text()
    assert bench(target, "--only", "first") == 0
    assert (target / "bench.csv").read_text().splitlines() == after
    results.check(target)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_was_measured_on_the_pages(
    signum: int, code: int, target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(command.MEASURES, "second", lambda *_: signal.raise_signal(signum))
    assert bench(target) == code
    assert capsys.readouterr().err.splitlines() == [command.INTERRUPTED]
    assert "a new case" in (target / "README.md").read_text()


def test_an_interruption_is_said_though_the_pages_cannot_be_made(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def harm(*_: object) -> None:
        (target / "shapes/other.csv").write_text("of something else")
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(command.MEASURES, "second", harm)
    assert bench(target) == 130
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "the pages stay as they were",
        command.INTERRUPTED,
    ]


def test_an_interruption_while_the_pages_are_made_leaves_all_in_the_table(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "refresh", lambda _: signal.raise_signal(signal.SIGTERM))
    assert bench(target) == 143
    assert capsys.readouterr().err.splitlines() == [command.INTERRUPTED]
    assert "another new case" in (target / "bench.csv").read_text()
    results.check(target)


def test_what_cannot_be_written_is_still_told(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise BadInput("the disk is full")

    monkeypatch.setattr(results, "add_bench", refuse)
    assert bench(target, "--only", "first") == 2
    assert "a new case" in capsys.readouterr().out


def test_a_file_is_no_folder_of_results(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(target / "bench.csv") == 2
    assert "bench.csv is no folder" in capsys.readouterr().err


def test_an_interruption_before_anything_is_measured_makes_no_pages(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(command.MEASURES, "first", lambda *_: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(results, "refresh", None)  # would fail if it were called
    assert bench(target) == 130


def test_a_part_alone_does_not_throw_the_others_away(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where bench.csv was touched, all of it has to be measured anew: before that nothing is lost."""
    with open(target / "bench.csv", "a") as table:
        table.write("a line of one's own\n")
    touched = (target / "bench.csv").read_bytes()
    assert bench(target, "--only", "first") == 2
    assert "bench.csv is not the table that was made" in capsys.readouterr().err
    assert (target / "bench.csv").read_bytes() == touched
    assert bench(target) == 0


def test_what_was_measured_is_kept_though_the_output_is_closed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: Callable[..., Any] = print

    def until_measured(*words: object, **named: Any) -> None:
        if "median" in str(words):
            raise BrokenPipeError
        closed(*words, **named)

    monkeypatch.setattr(command, "print", until_measured, raising=False)
    monkeypatch.setattr(command.door, "output_closed", lambda: 1)
    assert bench(target, "--only", "first") == 1
    assert "a new case" in (target / "README.md").read_text()


@pytest.mark.parametrize("name", ["bench.csv", "bench.json"])
def test_what_is_no_file_is_refused_before_anything_is_measured(
    name: str, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (target / name).unlink()
    (target / name).mkdir()
    assert bench(target) == 2
    said = capsys.readouterr()
    assert f"{name} is no regular file; remove it" in said.err
    assert "measuring" not in said.out


def test_images_that_are_not_there_are_refused_before_anything_is_measured(
    target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--images", "cifar10_jpeg", "--results", str(target)]) == 2
    assert "measuring" not in capsys.readouterr().out


def test_without_git_the_pages_say_that_no_commit_is_known(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[command.provenance.__module__], "git", lambda *_: None)
    assert bench(target, "--only", "first") == 0
    assert json.loads((target / "bench.json").read_text())["first"]["commit"] is None
    assert "at a commit that is not known" in (target / "README.md").read_text()


def test_a_part_without_rows_leaves_numbers_numbers(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the time to compile where there is no compiler."""
    none = pd.DataFrame(columns=rows.COLUMNS)
    monkeypatch.setitem(command.MEASURES, "first", lambda *_: pd.concat([row("a new case").assign(median=1 / 3), none]))
    assert bench(target, "--only", "first") == 0
    assert "0.333333," in (target / "bench.csv").read_text().splitlines()[-1]

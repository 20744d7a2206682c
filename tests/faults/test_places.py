"""Odd places: names with spaces and accents, no home, a clock that jumps, thousands of runs."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import children
import image_tree
from bnrepro import door, report_command, reproduce, results, sweep, sweep_page
from bnrepro.compose import load
from bnrepro.errors import BadInput
from bnrepro.record import Record
from bnrepro.run import run
from conftest import Make

ROOT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(
    sys.platform != "linux" and not os.geteuid(), reason="root gives up its rights by a call of Linux"
)


def test_paths_may_have_spaces_accents_and_quotes_and_home_may_be_missing(tmp_path: Path) -> None:
    place = tmp_path / "Läufe of 'mine', β"
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "MPLCONFIGDIR")}
    command = [sys.executable, str(ROOT / "scripts/train.py"), "scale=smoke", "data=digits", "steps=5"]
    quoted = str(place).replace("'", "\\'")
    done = subprocess.run(
        [*command, "runtime.device=cpu", f"runs_root='{quoted}'"],
        cwd=tmp_path,
        env={**environment, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [Record(path.parent).status["status"] for path in place.rglob("status.json")] == ["finished"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [place.name]


def test_a_clock_that_jumps_changes_nothing(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = run(small("network=mlp"))
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: 1.6e9 + (-1) ** next(jumps) * 1e8)
    jumped = run(small("network=mlp", f"runs_root={tmp_path / 'jumped'}"))
    assert jumped.metrics.read_bytes() == still.metrics.read_bytes()
    assert 0 <= jumped.status["seconds"] < 120


def test_three_thousand_runs_in_one_folder(small: Make, tmp_path: Path) -> None:
    settings = ["network=mlp", "steps=2", "seeds=[0]", "probes.activation_steps=0"]
    one = run(small(*settings))
    many = one.folder.parent
    for number in range(2999):
        folder = many / f"run-{number}"
        folder.mkdir()
        for name in ("config.json", "provenance.json", "status.json", "metrics.parquet"):
            os.link(one.folder / name, folder / name)
    began = time.monotonic()
    found = list(sweep.records([many.parent]))
    assert len(found) == 3000
    summary = sweep.summary(found)
    assert not summary.missing
    assert len(summary.twice) == 2999  # all of one seed
    assert time.monotonic() - began < 120
    assert run(small(*settings)).folder == one.folder  # found among them, and not run again
    assert run(small(*settings, "name=another")).ended
    shutil.rmtree(many)


LONG = "x" * 300
STEP = ["train.py", "network=mlp", "scale=smoke", "data=digits", "steps=1"]


def said_by(script: list[str], folder: Path, before: Callable[[], None] | None = None) -> str:
    """Return the one line with which a command refuses."""
    done = children.script(*script, folder=folder, before=before)
    assert done.code == 2, done.err
    (line,) = done.err.splitlines()
    return line


@pytest.mark.parametrize(
    "script",
    [
        [*STEP, f"runs_root={LONG}"],
        [*STEP, f"runs_root={LONG}", "-m", "optim.lr=0.1,0.2"],
        ["report.py", "--runs", LONG],
    ],
    ids=["run", "sweep", "report"],
)
def test_a_name_that_is_too_long_is_said(script: list[str], tmp_path: Path) -> None:
    assert said_by(script, tmp_path).endswith("(File name too long); allow it, or choose another place")


@contextlib.contextmanager
def rights_of(mode: int, *folders: Path) -> Iterator[None]:
    for folder in folders:
        folder.chmod(mode)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o700)


@pytest.mark.parametrize("script", [STEP, ["report.py", "--runs", "runs"], ["report.py"]], ids=["run", "sum", "report"])
@LINUX
def test_a_folder_that_may_not_be_entered_is_said(script: list[str], tmp_path: Path) -> None:
    for name in ("runs", "results"):
        (tmp_path / name / "single").mkdir(parents=True)
    with rights_of(0, tmp_path / "runs", tmp_path / "results"):
        assert "Permission denied" in said_by(script, tmp_path, children.as_one_of_many)


@LINUX
def test_a_class_of_images_that_may_not_be_entered_is_no_smaller_class(tmp_path: Path) -> None:
    image_tree.plant(tmp_path)
    asked = ["train.py", "network=bn_x5", "data=image_folder", "data.folder=tree", "data.test=test", "data_root=."]
    with rights_of(0, tmp_path / "tree/train/cat"):
        assert "tree/train/cat cannot be read (Permission denied)" in said_by(asked, tmp_path, children.as_one_of_many)


@LINUX
def test_what_may_only_be_read_is_read_and_not_written(small: Make, tmp_path: Path) -> None:
    """A run's folder and results: a summary and a dry run are given, training and a report are refused."""
    record = run(small("network=mlp", "steps=2"))
    script = [*STEP[:-1], "steps=2", "runtime.device=cpu", f"runs_root={tmp_path / 'runs'}"]
    record.metrics.write_bytes(b"damaged")  # so that there is something to do
    target = tmp_path / "results"
    results.add(target, "fig1", [run(small("network=mlp", "experiment=fig1"))], ["command"])
    with rights_of(0o555, record.folder, record.folder.parent, target):
        for given in (["report.py", "--runs", str(tmp_path / "runs")], [*script, "dry_run=true"]):
            done = children.script(*given, folder=tmp_path, before=children.as_one_of_many)
            assert done.code == 0, done.err
        for refused in (script, ["report.py", "--results", str(target)]):
            assert "Permission denied" in said_by(refused, tmp_path, children.as_one_of_many)


def test_a_studys_failure_names_the_table_that_has_no_room(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(record: Record, *given: object, **named: object) -> None:
        raise BadInput("no room for status.json")

    def table(record: Record, content: bytes) -> None:
        raise BadInput("no room for metrics.parquet")

    monkeypatch.setattr(Record, "write_status", full)
    monkeypatch.setattr(Record, "write_metrics", table)
    with pytest.raises(BadInput, match="no room for metrics"):
        run(small("study=architecture"))


@pytest.mark.parametrize("instead", ["a file", "a link to nowhere"])
def test_results_that_cannot_be_written_are_said_before_anything_runs(
    instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path("runs/smoke/results")
    place.parent.mkdir(parents=True)
    if instead == "a file":
        place.write_text("")
    else:
        place.symlink_to("nowhere")
    assert reproduce.main(["--scale", "smoke", "--data", "digits", "--experiment", "fig1"]) == 2
    assert "error: runs/smoke/results cannot be written" in capsys.readouterr().err
    assert [path.name for path in place.parent.iterdir()] == ["results"]


def test_of_two_that_write_results_the_second_waits_for_its_turn(tmp_path: Path) -> None:
    done: list[str] = []

    def second() -> None:
        with results.alone(tmp_path):
            done.append("second")

    with results.alone(tmp_path):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.5)
        done.append("first")
    other.join(60)
    assert done == ["first", "second"]


def test_who_waits_too_long_for_its_turn_says_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "TURN", 0.1)
    with results.alone(tmp_path):
        (tmp_path / "SHA256SUMS").write_text("")
        for write in (lambda: results.refresh(tmp_path), lambda: results.add(tmp_path, "fig1", [], [])):
            with pytest.raises(BadInput, match=rf"another process is working on {tmp_path}"):
                write()


def test_a_summary_goes_through_links_and_into_pipes(small: Make, tmp_path: Path) -> None:
    record = run(small("network=mlp", "steps=2"))
    (tmp_path / "link").symlink_to(tmp_path / "table.csv")
    sweep_page.show([record.folder], tmp_path / "link", Path(os.devnull))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "table.csv").read_text().startswith("network,")
    assert Path(os.devnull).is_char_device()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_summary_that_cannot_be_written_is_said(small: Make, tmp_path: Path) -> None:
    record = run(small("network=mlp", "steps=2"))
    said = said_by(["report.py", "--runs", str(record.folder), "--csv", "/dev/full"], tmp_path)
    assert said.startswith("error: /dev/full cannot be written (No space left on device)")


def test_a_summary_on_the_output_follows_what_is_there(small: Make, tmp_path: Path) -> None:
    record = run(small("network=mlp", "steps=2"))
    log = tmp_path / "log"
    log.write_text("an earlier line\n")
    script = ["report.py", "--runs", str(record.folder), "--csv", "/dev/stdout"]
    assert children.script(*script, folder=tmp_path, before=partial(children.redirect, 1, str(log))).code == 0
    said = log.read_text()
    assert said.startswith("an earlier line\n")
    assert "\nmlp," in said
    assert "1 of 1 runs have ended" in said


def test_a_pending_list_that_is_damaged_is_no_obstacle(small: Make, tmp_path: Path) -> None:
    record = run(small("network=mlp", "experiment=fig1"))
    for _ in range(2):
        results.add(tmp_path / "results", "fig1", [record], ["command"])
        (tmp_path / "results" / results.PENDING).write_bytes(b"\xff\xfe")


def test_a_runs_folder_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"runs_root is .*a folder whose name is UTF-8"):
        load([f"runs_root='{os.fsdecode(bytes(tmp_path) + bytes([255]))}'"])


def test_a_link_to_itself_is_said(small: Make, tmp_path: Path) -> None:
    record = run(small("network=mlp", "steps=2"))
    link = tmp_path / "link.csv"
    link.symlink_to("link.csv")
    with pytest.raises(BadInput, match=r"link\.csv is a link that leads to itself"):
        sweep_page.show([record.folder], link, None)
    assert link.is_symlink()


def test_a_name_that_is_no_utf_8_is_written_out(
    small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(small("network=mlp", "steps=2"))
    place = tmp_path / os.fsdecode(b"of \xff")
    place.mkdir()
    record.folder.rename(place / record.folder.name)
    arguments = ["--runs", str(tmp_path), "--csv", str(place / "table.csv")]
    assert report_command.main(arguments) == 0
    assert "1 of 1 runs have ended" in capsys.readouterr().out
    assert Record(place / record.folder.name).name == rf"of \xff/{record.folder.name}"


def test_what_is_no_folder_is_to_be_moved(small: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = replace(small("network=mlp", "steps=2"), runs_root=str(tmp_path / "file"))
    with pytest.raises(
        BadInput, match=r"\(Not a directory\).*move what is no folder out of its path, or choose another"
    ):
        run(config)
    assert (tmp_path / "file").is_file()


def test_a_files_name_is_not_taken_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    place = "/tmp/out of memory/settings.yaml"

    def reach() -> int:
        raise IsADirectoryError(errno.EISDIR, "Is a directory", place)

    assert door.command(reach, "") == 2
    assert (
        capsys.readouterr().err
        == f"error: {place} cannot be reached (Is a directory); move it away, or choose another place\n"
    )


@pytest.mark.parametrize("script", [STEP, ["report.py"], ["reproduce.py"]], ids=["run", "report", "reproduce"])
def test_a_current_folder_that_is_gone_is_said(script: list[str], tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    leave = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh"]
    command = [*leave, sys.executable, str(ROOT / "scripts" / script[0]), *script[1:]]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the current folder is gone")


def test_who_closes_the_output_wants_none(small: Make, tmp_path: Path) -> None:
    record = run(small("network=mlp", "steps=2"))
    for script in (f"report.py --runs {record.folder}", "train.py network=mlp scale=smoke data=digits steps=1"):
        command = f"{sys.executable} {ROOT / 'scripts' / script} >&-"
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_in_a_files_place_is_not_waited_for(
    small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run(small("network=mlp", "steps=2"))
    for name in ("config.json", "status.json"):
        copy = tmp_path / name
        shutil.copytree(record.folder, copy)
        (copy / name).unlink()
        os.mkfifo(copy / name)
    sweep_page.show([tmp_path], None, None)
    assert "1 of 3 runs have ended" in capsys.readouterr().out


def test_files_have_the_rights_that_the_umask_leaves(small: Make) -> None:
    before = os.umask(0o027)
    try:
        record = run(small("network=mlp", "steps=2"))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in record.folder.glob("*.json")} == {0o640}

"""make reproduce from end to end, at the scale that takes seconds."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bnrepro import at_hand, report_command, reproduce, tables
from bnrepro.data import mnist
from bnrepro.errors import BadInput
from bnrepro.mnist_files import MNIST_SHA256, mnist_folder, where_to_put_mnist
from bnrepro.run import run

ROOT = Path(__file__).resolve().parents[1]


def refuse(root: Path, seconds: float) -> None:
    raise BadInput(f"MNIST could not be downloaded: {where_to_put_mnist(root)}")


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "holder.json"]
    return {str(path): path.read_bytes() for path in paths}


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts/reproduce.py"), "--scale", "smoke", "--data", "digits", *arguments]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder runs/ with Figure 1's two runs, ended."""
    root = tmp_path_factory.mktemp("trained") / "runs"
    for job in reproduce.plan("smoke", {"fig1": "digits"}, "cpu", root / "smoke"):
        run(job.config)
    return root


def all_but_one(trained: Path) -> None:
    """Put the runs into the current folder, and leave one to be made."""
    shutil.copytree(trained, "runs")
    (left_out,) = Path("runs/smoke/fig1").glob("mlp,*")
    shutil.rmtree(left_out)


def test_digits_from_nothing_to_a_report_and_no_run_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = subprocess.run(command("--experiment", "fig1"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    results = tmp_path / "runs/smoke/results"
    claims = tables.read(results / "claims.csv")
    judged = claims[claims["verdict"] != "not run"]
    assert set(judged["id"].str.partition("-")[0]) == {"fig1a", "fig1b", "fig1c"}
    assert set(judged["data"]) == {"digits"}
    assert set(judged["scale"]) == {"smoke"}
    assert set(judged.loc[judged["id"] != "fig1a-faster", "seeds"]) == {3}  # in seconds nothing is learned without BN
    assert "digits" in (results / "report.html").read_text()
    assert "digits" in (results / "README.md").read_text()
    listed = tables.read(results / "runs.csv")
    assert listed["network"].tolist() == ["mlp", "mlp_bn"]
    assert set(listed["status"]) == {"finished"}
    assert not (tmp_path / "results").exists()

    before = contents(tmp_path / "runs")
    (results / "claims.csv").write_text("")
    (results / "report.html").write_text("of something else")
    monkeypatch.chdir(tmp_path)
    assert reproduce.main(["--scale", "smoke", "--data", "digits", "--experiment", "fig1"]) == 0
    assert "every run is finished" in capsys.readouterr().out
    assert contents(tmp_path / "runs") == before

    assert report_command.main(["--results", str(results)]) == 0
    assert contents(tmp_path / "runs") == before  # the report comes from the tables alone


@pytest.mark.slow
def test_the_whole_of_the_smallest_scale(tmp_path: Path) -> None:
    done = subprocess.run(command(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "runs/smoke/results"
    claims = tables.read(results / "claims.csv").query("verdict != 'not run'")
    assert set(claims["data"]) == {"digits", "shapes"}
    assert set(claims.loc[claims["data"] == "shapes", "verdict"]) == {"inconclusive"}  # of one seed
    listed = tables.read(results / "runs.csv")
    assert listed["network"].tolist()[:4] == ["mlp", "mlp_bn", "inception", "bn_baseline"]
    assert len(listed) == 10
    assert set(listed["status"]) == {"finished"}


def test_without_mnist_it_says_so_and_takes_digits(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "runs")
    monkeypatch.setattr(mnist, "fetch", refuse)
    assert reproduce.main(["--scale", "smoke", "--experiment", "fig1"]) == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert printed.count("MNIST COULD NOT BE HAD") == 2  # before the runs and after them
    assert "data digits: 2 runs" in printed
    assert str(mnist_folder(Path("data"))) in printed

    results = Path("runs/smoke/results")
    made, foreign = results / "digits/fig1_drift.csv", results / "digits/fig1_tuned.csv"
    whole = made.read_bytes()
    made.write_bytes(whole.replace(b"0", b"1", 1))
    assert reproduce.main(["--scale", "smoke", "--experiment", "fig1"]) == 0  # made anew, as its message advises
    assert made.read_bytes() == whole
    foreign.write_bytes(whole)
    (run,) = Path("runs/smoke/fig1").glob("mlp,*")
    shutil.rmtree(run)
    assert reproduce.main(["--scale", "smoke", "--experiment", "fig1"]) == 2  # but nothing that was made is lost
    assert "fig1_tuned.csv is not in" in capsys.readouterr().err
    assert (run / "metrics.parquet").exists()
    foreign.unlink()
    assert reproduce.main(["--scale", "smoke", "--experiment", "fig1"]) == 0


def test_asked_for_mnist_it_stops_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist, "fetch", refuse)
    assert reproduce.main(["--data", "mnist", "--scale", "smoke"]) == 2
    assert "error: MNIST could not be downloaded" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", [None, "mnist"])
def test_damaged_mnist_stops_it_in_any_case(asked: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = mnist_folder(Path("data"))
    folder.mkdir(parents=True)
    for name in MNIST_SHA256:
        (folder / name).write_bytes(b"planted")
    with pytest.raises(BadInput, match="train-images-idx3-ubyte is not MNIST's file"):
        at_hand.handwritten(asked)


def test_a_run_that_fails_is_named_and_the_results_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = reproduce.plan("smoke", {"fig1": "digits"}, "cpu", Path("runs"))
    jobs[0].overrides.append("optim.lr=-1")
    ended: list[reproduce.Job] = []
    failed = reproduce.run_all(jobs[:1], processes=1, after=ended.append)
    assert ended == jobs[:1]
    assert [(job.experiment, code) for job, code in failed] == [("fig1", 2)]
    assert "optim.lr is -1.0" in capsys.readouterr().out


def test_results_that_could_not_be_written_are_no_success(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs go on and are kept; the end says what the results lack."""
    monkeypatch.chdir(tmp_path)
    all_but_one(trained)
    run_all = reproduce.run_all

    def then_a_file_is_in_the_way(*given: Any, **named: Any) -> Any:
        (tmp_path / "runs/smoke/results/digits").write_text("")
        return run_all(*given, **named)

    monkeypatch.setattr(reproduce, "run_all", then_a_file_is_in_the_way)
    arguments = ["--scale", "smoke", "--data", "digits", "--experiment", "fig1"]
    assert reproduce.main(arguments) == 2
    said = capsys.readouterr().err.splitlines()
    assert {line.partition(": ")[0] for line in said[:-1]} == {"the report waits"}
    assert "results/digits/fig1_accuracy.csv cannot be written" in said[-1]
    (tmp_path / "runs/smoke/results/digits").unlink()
    assert reproduce.main(arguments) == 0
    assert (tmp_path / "runs/smoke/results/report.html").exists()


def test_another_runs_folder_makes_no_results(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole one, in which all files agree."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "runs")
    other, theirs = (job.record for job in reproduce.plan("smoke", {"fig1": "digits"}, "cpu", Path("runs/smoke")))
    shutil.rmtree(theirs.folder)
    other.folder.rename(theirs.folder)
    assert reproduce.main(["--scale", "smoke", "--data", "digits", "--experiment", "fig1"]) == 2
    assert "is of a run with another config: network is mlp there and mlp_bn here" in capsys.readouterr().err
    assert not Path("runs/smoke/results").exists()


def test_what_was_killed_from_outside_is_told_why() -> None:
    assert reproduce.ended_with(-9) == "exit code -9, killed from outside, as by a system without memory"
    assert reproduce.ended_with(2) == "exit code 2"


def test_an_experiments_tables_are_written_when_its_last_run_ends(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One experiment fails, the other's tables, claims and report are there all the same."""
    monkeypatch.chdir(tmp_path)
    all_but_one(trained)
    plan = reproduce.plan

    def one_is_wrong(*arguments: Any) -> list[reproduce.Job]:
        jobs = plan(*arguments)
        jobs[-1].overrides.append("data.held_out=1000000")  # more than there are
        return jobs

    monkeypatch.setattr(reproduce, "plan", one_is_wrong)
    monkeypatch.setitem(reproduce.EXPERIMENTS, "smoke", ["fig1", "fig2_samples"])
    assert reproduce.main(["--scale", "smoke", "--data", "digits"]) == 1
    assert "failed with exit code 2: python scripts/train.py experiment=fig2_samples" in capsys.readouterr().err
    results = tmp_path / "runs/smoke/results"
    assert set(tables.read(results / "runs.csv")["experiment"]) == {"fig1"}
    assert "fig1a-faster" in (results / "README.md").read_text()


def test_the_papers_scale_is_imagenets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reproduce.main(["--scale", "smoke", "--images", "nonsense", "--dry-run"]) == 2
    assert "unknown images 'nonsense'; allowed: " in capsys.readouterr().err
    for asked in (["--images", "shapes"], ["--images", "cifar10", "--dry-run"]):
        assert reproduce.main(["--scale", "paper", "--experiment", "fig2", *asked]) == 2
        assert "scale paper has the steps and the crops of ImageNet" in capsys.readouterr().err
    assert reproduce.main(["--scale", "paper", "--experiment", "fig2"]) == 2
    assert "data/imagenet is not there" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

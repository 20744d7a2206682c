"""Input that means harm: it is refused or escaped."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from bnrepro import cli, results, sweep_page
from bnrepro.compose import load
from bnrepro.errors import BadInput
from bnrepro.run import run
from conftest import Make

ROOT = Path(__file__).resolve().parents[2]


OUTSIDE = ["../../x", "/tmp/x", "a/b", "..", ".hidden", "a\nb", "<b>"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_path_leaves_the_runs_folder(name: str) -> None:
    settings = load(["network=mlp"])
    for key in ("name", "experiment"):
        with pytest.raises(BadInput, match=f"{key} is "):
            replace(settings, **{key: name})  # type: ignore[arg-type]


def test_nor_does_an_experiment_of_a_file_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own/experiment").mkdir(parents=True)
    (tmp_path / "own/experiment/evil.yaml").write_text("# @package _global_\nexperiment: ../../escaped\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    arguments = ["--config-dir", str(tmp_path / "own"), "experiment=evil", "scale=smoke", "data=digits"]
    monkeypatch.setattr("sys.argv", ["train.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main(lambda config: run(config) and None)
    assert stop.value.code == 2
    assert "experiment is '../../escaped'" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*escaped*"))
    assert not list((tmp_path / "here").iterdir())


def test_yaml_that_constructs_objects_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim/evil.yaml").write_text("lr: !!python/object/apply:os.system ['touch executed']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py", "--config-dir", str(tmp_path), "optim=evil"])
    with pytest.raises(SystemExit) as stop:
        cli.main(lambda config: None)
    assert stop.value.code == 2
    assert "cannot be read as settings: could not determine a constructor" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


CALLBACK = "x: {_target_: pathlib.Path.touch, self: executed}"


THAT_CALLS = f"# @package hydra.callbacks\n{CALLBACK}\n"


def a_file(folder: Path, text: str = THAT_CALLS, said: str = "sets hydra.callbacks: ") -> str:
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment/evil.yaml").write_text(text)
    return said


LOG = "version: 1, root: {handlers: [x]}, handlers: {x: {class: logging.FileHandler, filename: executed}}"
LOG_FILE = LOG.replace(", ", "\n", 2) + "\n"


def one_that_chooses_it_among_the_defaults(folder: Path) -> str:
    a_file(folder, "# @package _global_\ndefaults:\n  - /own@hydra.job_logging: log\n")
    (folder / "own").mkdir()
    (folder / "own/log.yaml").write_text(LOG_FILE)
    return "sets hydra.job_logging: "


def one_in_hydras_folder(folder: Path, name: str = "hydra") -> str:
    a_file(folder, "# @package _global_\ndefaults: [{override /hydra/callbacks: call}]\n")
    (folder / name / "callbacks").mkdir(parents=True)
    (folder / name / "callbacks/call.yaml").write_text(f"{CALLBACK}\n")
    return "sets hydra.callbacks: "


def one_in_hydras_folder_by_a_link(folder: Path) -> str:
    said = one_in_hydras_folder(folder, "a")
    (folder / "hydra").symlink_to("a")
    return said


def one_of_which_a_later_job_does(folder: Path) -> str:
    grid = "hydra: {mode: MULTIRUN, sweeper: {params: {optim: 'sgd,other'}}}"
    a_file(folder, f"# @package _global_\n{grid}\n")
    (folder / "optim").mkdir()
    (folder / "optim/other.yaml").write_text("defaults: [sgd, /own@_global_.hydra.job_logging: log]\n")
    (folder / "own").mkdir()
    (folder / "own/log.yaml").write_text(LOG_FILE)
    return "sets hydra.job_logging: "


def one_that_takes_the_types_away(folder: Path) -> str:
    a_file(folder, "# @package _global_\nsteps: many\n")
    (folder / "schema").mkdir()
    (folder / "schema/run.yaml").write_text("{}\n")
    return "own/schema/run.yaml: schema takes files of configs/ alone: the types of the settings lie there"


def one_of_ours_by_name(folder: Path) -> str:
    a_file(folder, "# @package _global_\n")
    (folder / "optim").mkdir()
    (folder / "optim/sgd.yaml").write_text("lr: 7.0\n")
    return "own/optim/sgd.yaml: configs/optim/sgd.yaml would be taken instead; give yours another name"


def one_behind_a_link(folder: Path) -> str:
    folder.mkdir()
    (folder / "experiment").symlink_to("../elsewhere")
    (folder / "again").symlink_to(".")
    (folder / "../elsewhere").mkdir()
    (folder / "../elsewhere/evil.yaml").write_text(f"# @package hydra.callbacks\n{CALLBACK}\n")
    return "sets hydra.callbacks: "


def one_that_only_hydra_reads(folder: Path) -> str:
    a_file(folder)
    with (folder / "experiment/evil.yaml").open("a") as file:
        file.write("y: {when: 2001-99-99}\n")
    return "evil.yaml cannot be read as settings: month must be in 1..12"


def a_link_to_nothing(folder: Path) -> str:
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment/evil.yaml").symlink_to("gone.yaml")
    return "own/experiment/evil.yaml is a link to nothing: bring it back"


def a_pipe(folder: Path) -> str:
    (folder / "experiment").mkdir(parents=True)
    os.mkfifo(folder / "experiment/evil.yaml")
    return "(it is no regular file); move it away"


def one_that_takes_a_file_from_elsewhere(folder: Path) -> str:
    a_file(folder, "# @package _global_\ndefaults: [../../elsewhere/evil]\n")
    (folder / "../elsewhere").mkdir()
    (folder / "../elsewhere/evil.yaml").write_text(f"# @package _global_\nhydra: {{callbacks: {{{CALLBACK}}}}}\n")
    return "sets hydra.callbacks: "


def one_whose_grid_takes_it(folder: Path) -> str:
    one_that_takes_a_file_from_elsewhere(folder)
    grid = "hydra: {mode: MULTIRUN, sweeper: {params: {data: '../../elsewhere/evil'}}}"
    (folder / "experiment/evil.yaml").write_text(f"# @package _global_\n{grid}\n")
    return "data=../../elsewhere/evil: name one of configs/data"


HYDRAS = "# @package _global_\nhydra: "
SWEEP = HYDRAS + "{mode: MULTIRUN, sweeper: {params: "
DECODED = "${oc.decode:'{_target_: pathlib.Path.touch, self: executed}'}"
MORE = "{hydra: ['++hydra.callbacks.x={_target_: pathlib.Path.touch, self: executed}']}"
TEXTS = {  # of an experiment's file, and what is said of it
    f'# @package hydra.callbacks\nx: "{DECODED}"\n': "sets hydra.callbacks: ",
    f"{HYDRAS}{{job_logging: {{{LOG}}}}}\n": "sets hydra.job_logging: ",
    f"# @package hydra.job_logging\n{LOG_FILE}": "sets hydra.job_logging: ",
    SWEEP + "{+hydra.callbacks.x: '{_target_: pathlib.Path.touch}'}}}\n": "keys can be set, not added",
    SWEEP + "{hydra/launcher: local, seeds: '[0],[1]'}}}\n": "sets hydra.launcher: ",
    f"{SWEEP}{{steps: '1,2'}}}}, overrides: {MORE}}}\n": "sets hydra.overrides: ",
    HYDRAS + "null\n": "error: what is set of Hydra cannot be composed",
    HYDRAS + "{sweeper: null}\n": "error: hydra.sweeper is None: leave it",
    "\ufeff# @package _global_\nsteps: 3\n": "evil.yaml begins with a byte order mark",
    "# @package _global_\ndefaults: [evil]\n": "error: a file of settings has itself among its defaults",
    "a: " + "x" * 200_000: "own/experiment/evil.yaml has more than 100,000 bytes",
}
MAKERS: list[Callable[[Path], str]] = [
    one_behind_a_link,
    one_that_only_hydra_reads,
    a_pipe,
    a_link_to_nothing,
    one_that_chooses_it_among_the_defaults,
]
MAKERS += [one_of_which_a_later_job_does, one_that_takes_the_types_away, one_of_ours_by_name, one_in_hydras_folder]
MAKERS += [one_in_hydras_folder_by_a_link, one_whose_grid_takes_it, one_that_takes_a_file_from_elsewhere]
MAKERS += [partial(a_file, text=text, said=said) for text, said in TEXTS.items()]
FORMS = [["--config-dir=own"], ["--config-dir", "own"], ["-cd", "own"], ["-cd=own"]]


@pytest.mark.parametrize(("make", "option"), [*((m, FORMS[0]) for m in MAKERS), *((a_file, form) for form in FORMS)])
def test_a_file_of_ones_own_calls_no_function(
    make: Callable[[Path], str],
    option: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = make(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py", *option, "experiment=evil"])
    with pytest.raises(SystemExit) as stop:
        cli.main(lambda config: None)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("chosen", ["${network}", "log_${oc.env:HOME,none}", "log_${now:%S}"])
def test_what_hydra_would_compose_otherwise_it_does_not(
    chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a whole sweep, in another process, a second later: it is not asked, and what was checked is what is run."""
    call = f"callbacks: {{{CALLBACK}}}\n"
    (tmp_path / "own/data").mkdir(parents=True)
    (tmp_path / "own/of").mkdir()
    defaults = f"[digits, optional /of@_global_.hydra: '{chosen}']"
    (tmp_path / "own/data/evil.yaml").write_text(f"defaults: {defaults}\n")
    (tmp_path / "own/of/mlp.yaml").write_text(call)  # Hydra composes a sweep with the network that stands in configs/
    for second in range(60):
        (tmp_path / f"own/of/log_{second:02}.yaml").write_text(call)
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    typed = ["--config-dir=own", "-m", "data=evil", "network=mlp_bn,mlp_whitening"]
    monkeypatch.setattr("sys.argv", ["train.py", *typed])
    with pytest.raises(SystemExit) as stop:
        cli.main(lambda config: seen.append(config.network))
    refused = "now" in chosen
    assert (stop.value.code, seen) == ((2, []) if refused else (0, ["mlp_bn", "mlp_whitening"]))
    made = sorted(path.name for path in tmp_path.rglob("*") if path.suffix != ".yaml")
    assert made == ["data", "of", "own", *([] if refused else ["runs"])]


@pytest.mark.parametrize("option", ["--run", "-r", "--multi", "--package=x", "--cfg=job", "--info=all"])
def test_no_option_brings_a_file_of_ones_own_past_the_check(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_file(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py", option, "--config-dir=own", "experiment=evil"])
    with pytest.raises(SystemExit) as stop:
        cli.main(lambda config: None)
    assert stop.value.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n".join(["a0: &a0 [0,0]", *(f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]" for i in range(1, 40))]),
            "than 10,000 values",
        ),
        ("a: &a [*a]", "than 10,000 values"),
        (f"a: {'[' * 5000}{']' * 5000}", "nested too deeply"),
    ],
    ids=["a billion laughs", "of itself", "deep"],
)
def test_a_file_of_ones_own_that_never_ends_is_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil.yaml").write_text(text)
    monkeypatch.setattr("sys.argv", ["train.py", "--config-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main(lambda config: None)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_an_image_bomb_is_named_and_not_decoded(small: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "tree" / split / name
            folder.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32)).save(folder / f"{number}.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "tree/train/a/9.png")
    prepare = PngImageFile.load_prepare

    def decode(image: PngImageFile) -> None:
        assert image.width < 1000
        prepare(image)

    monkeypatch.setattr(PngImageFile, "load_prepare", decode)
    settings = ["network=bn_x5", "data=image_folder", f"data.folder={tmp_path / 'tree'}", "data.test=test", "steps=1"]
    with pytest.raises(BadInput, match=r"9\.png has 20000 x 20000 pixels"):
        run(small(*settings, "data.size=32", "batch_size=4", "model.width=0.125"))


def test_names_are_shown_as_text(small: Make, tmp_path: Path) -> None:
    """A name with HTML in it, in every table that the report shows."""
    evil = "<script>alert(1)</script>"
    target = tmp_path / "results"
    runs = [run(small(f"network={network}", "experiment=fig1")) for network in ("mlp", "mlp_bn")]
    results.add(target, "fig1", runs, [f"python scripts/train.py {evil}"] * 2)
    listed = pd.read_csv(target / "runs.csv", keep_default_na=False)
    listed["device"] = listed["commit"] = evil
    listed.to_csv(target / "runs.csv", index=False)
    lines = [line for line in (target / "SHA256SUMS").read_text().splitlines() if "runs.csv" not in line]
    (target / "SHA256SUMS").write_text("\n".join([*lines, f"{results._sha256(target / 'runs.csv')}  runs.csv\n"]))
    results.refresh(target)
    page = (target / "report.html").read_text()
    assert evil not in page
    assert "&lt;script&gt;" in page


def test_what_would_steer_a_terminal_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "\x1b[2Jrun").mkdir()
    (tmp_path / "\x1b[2Jrun/config.json").write_text("{")
    sweep_page.show([tmp_path], None, None)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"\x1b[2Jrun: " in said


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}  # as Linux writes 127.0.0.1 and ::1


def listening(pid: int) -> set[str]:
    """List where a process and those that it has started wait for someone: ADDRESS:PORT in hex digits."""
    pids = [str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    held = {os.readlink(link) for each in pids for link in Path(f"/proc/{each}/fd").iterdir() if link.is_symlink()}
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    sockets = [line.split() for table in tables for line in table]
    return {socket[1] for socket in sockets if socket[3] == "0A" and f"socket:[{socket[9]}]" in held}


@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="the sockets are read from Linux's /proc")
def test_tensorboard_answers_this_machine_alone(tmp_path: Path) -> None:
    make = ["make", "--silent", "--dry-run", "tensorboard", "PORT=0"]  # any that is free
    said = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (_, *arguments) = said.splitlines()[-1].split()
    command = [sys.executable, "-m", "tensorboard.main", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as it:
        try:
            assert it.stderr is not None
            line = next(line for line in it.stderr if line.startswith("TensorBoard "))
            opened = listening(it.pid)
        finally:
            it.terminate()
    port = re.search(r"at http://localhost:(\d+)/", line)
    assert port
    assert f"{int(port[1]):04X}" in {socket.partition(":")[2] for socket in opened}
    assert {socket.partition(":")[0] for socket in opened} <= LOOPBACK

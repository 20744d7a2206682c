"""The door: what is accepted, and what each mistake is answered with."""

import io
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnrepro import cli
from bnrepro.compose import CONFIGS, experiments, grid, load
from bnrepro.config import RunConfig, flatten
from bnrepro.record import Record, digest

ROOT = Path(__file__).resolve().parents[1]


def door(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[RunConfig]]:
    """Give the command line to the door; return its exit code and the runs that it lets through."""
    seen: list[RunConfig] = []
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main(seen.append)
    assert isinstance(stop.value.code, int)
    return stop.value.code, seen


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["optim.lrr=0.1"], "unknown key optim.lrr; allowed here: decay_speed, half_life, l2, lr, "),
        (["lr=0.1"], "unknown key lr; allowed here: augment, batch_size"),
        (["data=cifar11"], "unknown data 'cifar11'; allowed: cifar10, cifar100, "),
        (["network=mpl"], "unknown network 'mpl'; allowed: bn_baseline, "),
        (["experiment=fig9"], "unknown experiment 'fig9'; allowed: ablations, ensemble, fig1, fig1_calibrate"),
        (["optim.lr=fast"], "optim.lr is 'fast': it must be a number, such as 0.1"),
        (["optim.lr=-0.1"], "optim.lr is -0.1: it must be a finite number above 0"),
        (["optim.lr=0"], "optim.lr is 0.0"),
        (["optim.lr=nan"], "optim.lr is nan"),
        (["optim.lr=inf"], "optim.lr is inf"),
        (["steps=1.5"], "steps is '1.5': it must be a whole number, such as 10"),
        (["dry_run=maybe"], "dry_run is 'maybe': it must be true or false"),
        (["steps=0"], "steps is 0: it must be 1 or more"),
        (["steps=100000000000000000000"], "steps is 100000000000000000000: it must be at most 10^12"),
        (["network=mlp_bn", "batch_size=1"], "batch_size is 1: it must be 2 or more with BN"),
        (["seeds=[]"], "seeds is []: it must be a list of one or more"),
        (["seeds=[1,2,1]"], "seeds is [1, 2, 1]: it must be a list that names each seed once"),
        (["seeds=[-1]"], "seeds is [-1]"),
        (["seeds=3"], "seeds: it must be a list, such as [0,1,2]"),
        (["data.encoding=rgb"], "data.encoding is 'rgb': it must be binary or grey"),
        (["data.threshold=1"], "data.threshold is 1.0"),
        (["data.name=digits"], "data.name is 'digits'"),
        (["model.hidden=[]"], "model.hidden is []"),
        (["model.init_std=nan"], "model.init_std is nan"),
        (["network=mlp_bn", "norm.momentum=2"], "norm.momentum is 2.0"),
        (["runtime.device=tpu"], "runtime.device is 'tpu': it must be auto, cpu or cuda"),
        (["runtime.threads=0"], "runtime.threads is 0"),
        (["name=../elsewhere"], "name is '../elsewhere'"),
        (["+optim.momentum=0.9"], "+optim.momentum=0.9: keys can be set, not added or removed"),
        (["~optim.lr"], "~optim.lr: keys can be set"),
        (["optim.lr=0.1,0.2"], "optim.lr=0.1,0.2: several values are a sweep: give -m"),
        (["optim.lr={"], "optim.lr={: it cannot be read; write key=value"),
        (["optim.lr"], "optim.lr: it has no value; write optim.lr=value"),
        (["-m", "optim.lr=,"], "optim.lr=,: it cannot be read"),
        (["-m", "optim.lr=0.1;0.2"], "optim.lr=0.1;0.2: it cannot be read"),
        (["-m", "optim.lr=interval(1,2)"], "an interval is for hydra/sweeper=search"),
        (["-m", "network=glob(mlpx*)"], "network=glob(mlpx*): the sweep is empty"),
        (["-m", "optim.lr=0.1,nan"], "optim.lr is nan: it must be a finite number above 0 and at most 1e+38; that is"),
        (["-m", "seeds=[0],[0,0]"], "the job seeds=[0,0]; nothing was started"),
        (["-m", "runtime.checkpoint_every=5,6"], "same run: runtime.checkpoint_every=5 and runtime.checkpoint_every=6"),
        (["-m", "optim.lr=0.1"], "the sweep is empty: give a key several values"),
        (["-m", "optim.lr=range(1,1000000000)"], "a sweep has at most 10,000 values"),
        (["-m", "optim.lr=range(1,200)", "steps=range(1,200)"], "the sweep would have more than 10,000 jobs"),
        (["--experimental-rerun", "job.pickle"], "--experimental-rerun: settings are given as KEY=VALUE"),
        (["--config-name=other"], "--config-name=other: settings are given as KEY=VALUE"),
        (["--config-d=own"], "--config-d=own: settings are given as KEY=VALUE"),
        (["--hel"], "--hel: settings are given as KEY=VALUE, files of your own in --config-dir=FOLDER"),
        (
            ["experiment=../../elsewhere/x"],
            "name one of configs/experiment; files of your own go in",
        ),
        (["--config-dir=x", "network=mlp"], "--config-dir=x: it must be a folder, as in --config-dir=FOLDER"),
        (["--config-dir=", "network=mlp"], "--config-dir=: it must be a folder"),
        (["--config-dir", "network=mlp"], "--config-dir=network=mlp: it must be a folder"),
        (["network=mlp", "-cd"], "--config-dir=: it must be a folder"),
        (["--config-dir=.", "-cd", "."], "--config-dir is given 2 times"),
        (["network=[mlp,mlp_bn]"], "network=[mlp,mlp_bn]: it is one of them; several are a sweep: network=NAME,NAME"),
        (["-m", "hydra.sweeper=null", "network=mlp,mlp_bn"], "hydra.sweeper is None: leave it as it is"),
        (["hydra.job.env_copy=[NOPE]"], "what is set of Hydra cannot be composed (KeyError: 'NOPE')"),
        (["-r", "network=mlp"], "-r: settings are given as KEY=VALUE"),
        (["--package=optim", "network=mlp"], "--package=optim: it goes with --cfg"),
        (["hydra/callbacks=x"], "it cannot be set; files of your own go in --config-dir=FOLDER"),
        (["hydra.searchpath=[file:///tmp]"], "it cannot be set; files of your own go in --config-dir=FOLDER"),
        (
            ["experiment=fig2", "network=mlp"],
            "scale/of/fig2/quick.yaml sets model.width, which the model that",
        ),
        (["hydra/launcher=local"], "hydra/launcher=local: it launches sweeps: give -m"),
        (["-m", "hydra/launcher=local", "seeds=[0],[1]", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0"),
        (["-m", "hydra/launcher=local", "seeds=[0],[1]", "runtime.threads=0"], "runtime.threads is 0"),
        (["data=null"], "data is null; allowed: cifar10, "),
        (
            ["network=mlp_bn", "norm=none"],
            "norm is none, but network=mlp_bn has norm=batch; choose the network instead",
        ),
        (["network=mlp", "norm=batch", "norm.name=none"], "norm.name is none, but its settings are another norm's"),
        (["network=mlp_bn", "norm=none", "norm.name=batch"], "norm.name is batch, but its settings are another norm's"),
        (["optim@other=sgd"], "Could not override 'optim@other'"),
        (["network=mlp_bm"], "mlp, mlp_bn"),
        (["norm.impl=cudnn", "network=mlp_bn"], "norm.impl is 'cudnn': it must be fused or paper"),
        (["study.trials=0", "study=exact"], "study.trials is 0"),
        (["study.name=exact"], "study.name is 'exact': it must be training; choose another study with study="),
        (["study=population"], "study population compares with BN: take network=mlp_bn, not network=mlp"),
        (["study=population", "network=mlp_bn", "study.batch_sizes=[4,4]"], "a list of different batch sizes"),
        (["network=bn_x5", "data=mnist"], "network bn_x5 takes colour images: data=mnist has none"),
        (["network=bn_x5", "data=shapes", "seeds=[0,1]"], "it must be one seed: this network is not stacked"),
        (["network=bn_x5", "data=shapes", "study=exact"], "study exact is about fully connected networks"),
        (["network=bn_x5", "data=shapes", "model.width=0"], "model.width is 0.0: it must be above 0"),
        (["network=bn_x5", "data=shapes", "model.stem=3"], "model.stem is 3: it must be 2, 4 or 8"),
        (["network=bn_x5", "data=shapes", "model.init=orthogonal"], "gaussian, xavier, he"),
        (["network=bn_x5", "data=shapes", "model.dropout=1"], "model.dropout is 1.0"),
        (["network=inception", "data=shapes", "model.per_activation=true"], "the network has no BN"),
        (["network=bn_x5", "data=shapes", "data.train_images=5"], "data.train_images is 5"),
        (
            ["network=bn_x5", "data=shapes", "augment.shuffle=none"],
            "augment.shuffle is 'none'",
        ),
        (["network=bn_x5", "data=shapes", "optim.half_life=-1"], "optim.half_life is -1.0"),
        (["network=bn_x5", "data=shapes", "optim.l2=nan"], "optim.l2 is nan"),
        (["optim.rates=[0.1,0.1]"], "optim.rates is [0.1, 0.1]"),
        (["name=${nothing}"], "name: Interpolation key 'nothing' not found"),
        (["runs_root="], "runs_root is '': it must be a folder"),
        (["-m", "steps=1,2", "runs_root="], "runs_root is ''"),
        (["optim.rates=[0.1]", "optim.multiple=5"], "optim.multiple is 5.0"),
        (["network=bn_x5", "data=shapes", "optim.multiple=1", "optim.rates=[0.1]"], "optim.rates is [0.1]"),
        (["augment=images"], "augment is for colour images"),
        (["probes.predictions=true"], "probes.predictions is for colour images"),
        (["study.widths=[16]", "study=whitening_cost"], "study.widths is [16]"),
        (["runtime.threads=100000"], "runtime.threads is 100000: it must be from 1 to 1024"),
        (["-m", "seeds=[0],[1]", "hydra.sweeper.max_batch_size=0"], "it must be null or 1 or more"),
        (
            ["-m", "seeds=[0],[1]", "hydra.launcher={_target_:os.abort}"],
            "choose hydra/launcher= or hydra/sweeper= instead",
        ),
        (
            ["-m", "seeds=[0],[1]", "hydra.launcher._target_=os.abort"],
            "choose hydra/launcher= or hydra/sweeper= instead",
        ),
    ],
)
def test_a_mistake_gets_one_message_and_exit_code_2(
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, seen = door(monkeypatch, *arguments)
    printed = capsys.readouterr()
    assert code == 2
    assert seen == []
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("error: ") == 1
    assert says in printed.err
    assert "Traceback" not in printed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--config-dir", "own"], ["--config-dir=own"]])
def test_options_may_stand_between_settings(
    options: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own_experiment(tmp_path / "own", "steps: 7")
    monkeypatch.chdir(tmp_path)
    code, (seen,) = door(monkeypatch, "network=mlp", *options, "experiment=mine", "batch_size=10")
    assert (code, seen.experiment, seen.steps, seen.batch_size) == (0, "mine", 7, 10)


def own_experiment(folder: Path, *lines: str) -> None:
    (folder / "experiment").mkdir(parents=True)
    named = [] if "experiment: " in lines[0] else ["experiment: mine"]
    (folder / "experiment/mine.yaml").write_text("\n".join(["# @package _global_", *named, *lines, ""]))


@pytest.mark.parametrize("name", ["ö 'o\\'\"w=n$,", "{own}\\"])
def test_an_experiment_of_ones_own_has_its_grid(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own_experiment(tmp_path / name, "hydra: {mode: MULTIRUN, sweeper: {params: {steps: '7,8'}}}")
    monkeypatch.chdir(tmp_path)
    code, seen = door(monkeypatch, "experiment=mine", "--config-dir", name)
    assert code == 0
    assert [(config.experiment, config.steps) for config in seen] == [("mine", 7), ("mine", 8)]


GRID = "hydra: {sweeper: {params: {+optim.lrr: '7', steps: '5,6'}}"


@pytest.mark.parametrize(
    ("text", "typed", "says"),
    [
        ("nope: 3", [], "your own experiment/mine.yaml sets nope, which is no setting; configs/config.yaml has those"),
        ("optim: {nope: 3}", [], "your own experiment/mine.yaml sets optim.nope, which the optim that you chose does"),
        ("experiment: fig2", [], "experiment is 'fig2', which is one of configs/experiment; give yours another name"),
        ("hydra: 5", [], "your own experiment/mine.yaml has one value where hydra has settings of its own; write {KEY"),
        ("optim.lr: 0.3", [], "mine.yaml has the key optim.lr: write it as optim: {lr: ...}"),
        ("scale: paper", [], "a file in --config-dir sets scale to 'paper': it is chosen with scale=NAME alone"),
        ("experiment: ''", [], "experiment is '': it must be 1 to 150 letters"),
        ("null: 3", [], "mine.yaml has the key None: a key is a word"),
        ("steps: many", [], "your own experiment/mine.yaml: steps: Value 'many'"),
        ("steps: 0", [], "steps is 0: it must be 1 or more"),
        (f"{GRID}, mode: MULTIRUN}}", [], "+optim.lrr=7: keys can be set, not added or removed"),
        (f"{GRID.replace('+optim.lrr', 'optim.lr')}}}", [], "the experiment has a grid, but no hydra.mode: MULTIRUN"),
        ("steps: 1", ["experiment=mime"], "unknown experiment 'mime'; allowed: ablations, "),
        (
            "steps: 1",
            ["-m", "steps=range(0,201)"],
            "201 jobs, more than 200: Hydra sees to it, from configs/ alone: put",
        ),
        (
            "steps: 1",
            ["-m", "steps=1,2", "hydra/sweeper=search"],
            "hydra/sweeper=: Hydra sees to it, from configs/ alone",
        ),
    ],
)
def test_a_mistake_in_a_file_of_ones_own_is_one_message(
    text: str, typed: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own_experiment(tmp_path, text)
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    code, seen = door(monkeypatch, f"--config-dir={tmp_path}", "experiment=mine", *typed)
    assert (code, seen) == (2, [])
    assert says in said.getvalue()
    assert said.getvalue().startswith("error: ")
    assert said.getvalue().count("\n") == 1


@pytest.mark.parametrize("many", [[], ["-m", "network=mlp,mlp_bn"]], ids=["a run", "a sweep"])
def test_hydra_can_be_asked_in_a_setting(many: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, seen = door(monkeypatch, "runs_root=${hydra:runtime.cwd}/runs", *many)
    assert code == 0
    assert {config.runs_root for config in seen} == {f"{tmp_path}/runs"}


def test_what_hydra_is_set_to_do_it_does_for_one_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    with (tmp_path / "configs/config.yaml").open("a") as file:
        file.write("  job: {env_set: {OF_HYDRA: told}}\n")
    monkeypatch.delenv("OF_HYDRA", raising=False)
    for module in ("bnrepro.compose", "bnrepro.cli.command"):
        monkeypatch.setattr(sys.modules[module], "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr(sys, "argv", ["train.py", "network=mlp", "seed_offset=77"])
    told: list[str | None] = []
    with pytest.raises(SystemExit):
        cli.main(lambda config: told.append(os.environ.get("OF_HYDRA")))
    assert told == ["told"]


def test_a_dry_run_is_listed_here_whatever_would_run_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    slurm = ["hydra/launcher=slurm", "hydra.launcher.partition=none"]
    code, seen = door(monkeypatch, "-m", *slurm, "optim.lr=0.1,0.2", "dry_run=true")
    assert code == 0
    assert [config.optim.lr for config in seen] == [0.1, 0.2]


def test_a_fault_in_a_run_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def break_down(config: RunConfig) -> None:
        raise ZeroDivisionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with pytest.raises(SystemExit) as stop:
        cli.main(break_down)
    assert stop.value.code == 1


@pytest.mark.parametrize("experiment", [path.stem for path in sorted((CONFIGS / "experiment").glob("*.yaml"))])
@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(path.stem, marks=[] if path.stem in ("smoke", "cpu") else [pytest.mark.slow])
        for path in sorted((CONFIGS / "scale").glob("*.yaml"))
    ],
)
def test_every_experiment_composes_at_every_scale(experiment: str, scale: str) -> None:
    jobs = grid([f"experiment={experiment}", f"scale={scale}"])
    whole = scale == "smoke" and len(jobs) <= 8  # composing a job takes a third of a second
    configs = [load(job) for job in (jobs if whole else jobs[-1:])]
    assert len({Record.of(config).folder for config in configs}) == len(configs)
    assert len(jobs) > 1 or experiment == "fig2_samples"
    for config in configs:
        assert (config.experiment, config.scale) == (experiment, scale)
        if experiment.startswith("fig1"):
            assert config.steps == (60 if scale == "smoke" else 50_000)
            assert len(config.seeds) >= 3
    if experiment == "fig2":  # three seeds of each of the seven networks
        assert len(jobs) == (7 if scale == "smoke" else 21)
        assert configs[0].steps == {"smoke": 30, "quick": 500, "cpu": 6000, "gpu": 8000, "paper": 31_000_000}[scale]
    assert experiment in experiments()


@pytest.mark.parametrize(
    "path", [*CONFIGS.glob("scale/**/*.yaml"), *CONFIGS.glob("study/*.yaml")], ids=lambda path: path.stem
)
def test_neither_a_scale_nor_a_study_chooses_data(path: Path) -> None:
    """A run's name takes the data from the network and the experiment."""
    assert "/data" not in path.read_text()


def test_a_run_is_named_by_the_whole_key_where_the_short_one_is_anothers() -> None:
    names = {load(["network=mlp_bn", setting]).name for setting in ("norm.momentum=0.05", "optim.momentum=0.05")}
    assert names == {"mlp_bn,norm.momentum=0.05", "mlp_bn,optim.momentum=0.05"}
    assert load(["optim.lr=0.2", "runtime.threads=2"]).name == "mlp,lr=0.2,threads=2"


def test_an_experiment_runs_its_grid_and_the_command_line_narrows_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _, seen = door(monkeypatch, "experiment=fig1")
    assert [config.network for config in seen] == ["mlp", "mlp_bn"]
    assert [load(job).network for job in grid(["experiment=fig1"])] == ["mlp", "mlp_bn"]
    _, narrowed = door(monkeypatch, "experiment=fig1_tuned", "network=mlp_bn", "optim.lr=0.1,0.5")
    assert [(config.network, config.optim.lr) for config in narrowed] == [("mlp_bn", 0.1), ("mlp_bn", 0.5)]


def test_a_folder_is_named_by_what_differs() -> None:
    assert load(["experiment=fig1", "network=mlp_bn"]).name == "mlp_bn"
    assert load(["optim.lr=0.3", "seeds=[0,1,2]", "data=digits"]).name == "mlp,data=digits,seeds=0-2,lr=0.3"
    assert load(["name=mine"]).name == "mine"


def test_every_setting_that_changes_numbers_changes_the_hash() -> None:
    plain = digest(load([]))
    for override in ("steps=7", "seeds=[9]", "optim.lr=0.2", "network=mlp_bn", "runtime.threads=2", "data=digits"):
        assert digest(load([override])) != plain, override
    for override in ("runs_root=elsewhere", "data_root=elsewhere", "runtime.progress_seconds=1", "name=mine"):
        assert digest(load([override])) == plain, override


def test_the_paper_s_settings_are_the_default() -> None:
    settings = flatten(load([]))
    assert settings["model.hidden"] == [100, 100, 100]
    assert (settings["steps"], settings["batch_size"], settings["data.encoding"]) == (50_000, 60, "binary")


def test_help_answers_without_torch() -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['train.py', '--help']\n"
        "try:\n    runpy.run_path('scripts/train.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began
    assert done.returncode == 0, done.stderr
    assert spent < 1.0  # seconds of a processor
    for group in ("network", "experiment"):
        names = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
        assert set(names) <= set(done.stdout.split())

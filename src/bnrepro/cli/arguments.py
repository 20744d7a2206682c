"""What is typed: the help, and every argument checked before Hydra sees it."""

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnrepro.cli import own_files
from bnrepro.cli.explain import explain
from bnrepro.compose import CONFIGS, choices, grid, to_config, whole, without_hydra
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.machine import cores

WRONG = (HydraException, OmegaConfBaseException, BadInput, YAMLError, ValueError)  # ValueError: group=null
SWEEPS = ("-m", "--multirun")
SHOWS = ("-c", "--cfg", "-i", "--info", "--version", "--hydra-help", "-sc", "--shell-completion")  # and nothing is run
OPTIONS = (*SWEEPS, *SHOWS, "-p", "--package", "--resolve")
SIDE_BY_SIDE = ("hydra/launcher=local", "hydra/launcher=joblib")
CHECKED = 200  # jobs of a sweep at most: composing one takes a third of a second


@dataclass(frozen=True)
class Asked:
    """What a command line asks for, found good.

    Attributes:
        runs: what this process is to run: how a message calls it, and all its settings. None where Hydra is to see to
            it: of a launcher, a search, which finds its jobs as it goes, or of ``--cfg`` and the like.
        jobs: of a sweep, the overrides of each run.
        typed: what Hydra is to be given.
    """

    runs: list[tuple[str, RunConfig]] | None = None
    jobs: list[list[str]] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)


def usage() -> str:
    """Say how the command line is used, and what can be chosen."""
    groups = ["experiment", "scale", "network", "data", "norm", "optim", "augment", "study", "hydra/launcher"]
    listed = {group: sorted(path.stem for path in (CONFIGS / group).glob("*.yaml")) for group in groups}
    rows = [
        textwrap.fill(f"{group}: {' '.join(names)}", 96, subsequent_indent="    ") for group, names in listed.items()
    ]
    return "\n".join(
        [
            "usage: python scripts/train.py [-m] KEY=VALUE ...",
            "  network=mlp_bn optim.lr=0.3 'seeds=[0,1,2]'          one run",
            "  -m network=mlp,mlp_bn optim.lr=0.03,0.1,0.3          a sweep: every combination",
            "  experiment=fig1                                      an experiment, with its own grid",
            "  ... dry_run=true                                     how far each run is and what it costs",
            "  --config-dir=own experiment=mine                     your own, in own/experiment/mine.yaml",
            "Given again, the same command goes on, or finds its runs finished.",
            "",
            "Choices (GROUP=NAME):",
            *(textwrap.indent(row, "  ") for row in rows),
            "",
            "Every other key stands in configs/; --cfg job prints the whole of a run, --hydra-help what Hydra takes.",
        ]
    )


def refuse_arguments(arguments: list[str]) -> None:
    """Refuse what Hydra would take without a word, or answer with its own documentation.

    Raises:
        BadInput: ``+key``, ``~key``, ``group=null``, a word without ``=``, or Slurm where there is none.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if argument.startswith("-") and argument.partition("=")[0] not in OPTIONS:  # nor Hydra's for other configs
            raise BadInput(f"{argument}: settings are given as KEY=VALUE, files of your own in --config-dir=FOLDER")
        if argument.startswith("-") or (before.startswith("-") and before not in SWEEPS and "=" not in argument):
            continue
        if argument.startswith(("+", "~")):
            raise BadInput(f"{argument}: keys can be set, not added or removed; write key=value without {argument[0]}")
        if "=" not in argument:
            raise BadInput(f"{argument}: it has no value; write {argument}=value")
        if re.match(r"hydra[./](searchpath|callbacks)", argument):
            raise BadInput(f"{argument}: it cannot be set; files of your own go in --config-dir=FOLDER")
        if argument.startswith("hydra") and "_target_" in argument:
            raise BadInput(f"{argument}: choose hydra/launcher= or hydra/sweeper= instead")
        if re.fullmatch("hydra/launcher=(submitit_)?slurm", argument) and not (which("sbatch") or dry(arguments)):
            raise BadInput(f"{argument}: there is no sbatch here; give the command where Slurm takes jobs")
        _refuse_choice(argument)


def _refuse_choice(argument: str) -> None:
    group, _, value = argument.partition("=")
    if (CONFIGS / group).is_dir() and ".." in value:
        raise BadInput(f"{argument}: name one of configs/{group}; files of your own go in --config-dir=FOLDER")
    allowed = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml")) if re.fullmatch(r"\w+", group) else []
    if allowed and value.startswith("["):  # Hydra would take them all, one over the other
        raise BadInput(f"{argument}: it is one of them; several are a sweep: {group}=NAME,NAME with -m")
    if allowed and re.fullmatch(r"null|true|false|[-+\d.e]*", value):
        raise BadInput(f"{group} is {value or 'empty'}; allowed: {', '.join(allowed)}")


def check_jobs(arguments: list[str]) -> Asked:
    """Compose what is asked for.

    Raises:
        BadInput: a job is bad, or is another one's run; there is nothing to sweep; the launcher's settings are bad; a
            person's own files are given with what only Hydra itself can do.
    """
    if dry(arguments):
        arguments = without_launcher(arguments)
    options = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if "=" in argument and argument not in options]
    shown = {option.partition("=")[0] for option in options} & {*SHOWS}
    searches = any(override.startswith("hydra/sweeper=") for override in overrides)
    if shown or searches:
        own_files.refuse_hydra(overrides, min(shown, default="hydra/sweeper="))
        return Asked(typed=arguments)
    if stray := [option for option in options if option not in SWEEPS]:
        raise BadInput(f"{stray[0]}: it goes with --cfg")
    for override in overrides:
        if "interval(" in override:
            raise BadInput(f"{override}: an interval is for hydra/sweeper=search; name the values, as in key=a,b")
    first = whole(overrides)
    refuse_arguments([f"{key}={value}" for key, value in (first.hydra.sweeper.params or {}).items()])
    own_files.refuse_more_than_a_grid(first, overrides, overrides)
    launcher = next((override for override in overrides if override.startswith("hydra/launcher=")), "")
    jobs = _jobs(overrides, launcher, first, swept=bool(options) or first.hydra.mode == RunMode.MULTIRUN)
    many = f"{len(jobs):,} jobs, more than {CHECKED}" if len(jobs) > CHECKED else ""
    runs = [] if many else _checked(jobs, overrides)
    _check_launch(first)
    if launcher and _one_by_one(first, launcher):
        launcher, arguments, overrides = "", without_launcher(arguments), without_launcher(overrides)
    if of_hydra := launcher or _hydras_own(overrides, first) or many:
        own_files.refuse_hydra(overrides, of_hydra)
    return Asked(None, jobs, arguments) if of_hydra else Asked(runs)


def _jobs(overrides: list[str], launcher: str, first: DictConfig, swept: bool) -> list[list[str]]:
    several = [override for override in overrides if choices(override)]
    if first.hydra.sweeper.params and not swept and not any(text.startswith("hydra.mode=") for text in overrides):
        raise BadInput("the experiment has a grid, but no hydra.mode: MULTIRUN in its file; write it there, or give -m")
    if swept:
        if not (several or first.hydra.sweeper.params or launcher):  # which may be there for one run
            raise BadInput("the sweep is empty: give a key several values, such as optim.lr=0.1,0.3, or leave out -m")
        return grid(overrides)
    if several:
        raise BadInput(f"{several[0]}: several values are a sweep: give -m; a list is written key=[a,b]")
    if launcher:
        raise BadInput(f"{launcher}: it launches sweeps: give -m")
    return [overrides]


def _check_launch(first: DictConfig) -> None:
    at_once = first.hydra.sweeper.get("max_batch_size")
    if at_once is not None and at_once < 1:
        raise BadInput(f"hydra.sweeper.max_batch_size is {at_once}: it must be null or 1 or more")
    for key, allowed in (("timeout_min", "1 minute or more"), ("n_jobs", "1 or more, or -1 for all cores")):
        value = first.hydra.launcher.get(key, 1)
        if value == 0 or (key == "timeout_min" and value < 0):
            raise BadInput(f"hydra.launcher.{key} is {value}: it must be {allowed}")


def _one_by_one(first: DictConfig, launcher: str) -> bool:
    """Say whether a sweep side by side has room for one run at a time: this process then does them itself."""
    at_once = first.hydra.launcher.get("n_jobs")
    return launcher in SIDE_BY_SIDE and (at_once == 1 or (at_once < 0 and cores() == 1))


def _hydras_own(overrides: list[str], composed: DictConfig) -> str:
    """Name what sets Hydra itself or gives it something to do, and does not only tell it what to run; else empty."""
    ours = ("hydra.mode=", own_files.PATH)
    typed = [override for override in overrides if override.startswith("hydra") and not override.startswith(ours)]
    settled = composed.hydra.job.env_set or composed.hydra.job.chdir or composed.hydra.callbacks
    return typed[0] if typed else "configs/config.yaml" if settled else ""


def _checked(jobs: list[list[str]], typed: list[str]) -> list[tuple[str, RunConfig]]:
    """Compose each job as it will be run, and refuse two that are the same run."""
    from bnrepro.record import Record  # imports pandas

    seen: dict[Path, str] = {}
    runs = []
    for job in jobs:
        named = said(job)
        try:
            for override in job:
                _refuse_choice(override)  # of an experiment's own grid
            composed = whole(job)
            own_files.refuse_more_than_a_grid(composed, job, typed)
            HydraConfig.instance().set_config(composed)  # which ${hydra:runtime.cwd} asks
            config = to_config(without_hydra(composed))
            folder = Record.of(config).folder
        except WRONG as error:
            if len(jobs) == 1:
                raise
            raise BadInput(f"{explain(error)}; that is the job {named}; nothing was started") from error
        if folder in seen:
            raise BadInput(f"two jobs are the same run: {seen[folder]} and {named}; leave one out; nothing was started")
        seen[folder] = named
        runs.append((named, config))
    return runs


def said(job: list[str]) -> str:
    """Name a job by its settings, without Hydra's."""
    return " ".join(override for override in job if not override.startswith("hydra"))


def options_first(arguments: list[str]) -> list[str]:
    """Put options, and the word that belongs to one, in front of the settings, where Hydra's parser takes them."""
    front, settings = list[str](), list[str]()
    for before, argument in zip(["", *arguments], arguments, strict=False):
        of_an_option = before.startswith("-") and before not in SWEEPS and "=" not in before + argument
        (front if argument.startswith("-") or of_an_option else settings).append(argument)
    return front + settings


def without_launcher(arguments: list[str]) -> list[str]:
    """Leave out what says how a sweep is launched: its runs are then done in this process."""
    return [argument for argument in arguments if not argument.startswith(("hydra/launcher=", "hydra.launcher."))]


def dry(arguments: list[str]) -> bool:
    """Say whether runs are only to be listed."""
    return any(re.fullmatch("dry_run=(true|yes|on|1)", argument, re.IGNORECASE) for argument in arguments)

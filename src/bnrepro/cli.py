"""The command line's door: Hydra in front, one clear message and exit code 2 for what a person got wrong."""

import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from pathlib import Path
from shutil import which
from subprocess import CalledProcessError
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnrepro import door
from bnrepro.compose import CONFIGS, choices, cores, explain, grid, load, to_config, whole
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.stopping import Stopped, StopRequest, Worker, leaving, tell_children

WRONG = (HydraException, OmegaConfBaseException, BadInput, YAMLError, ValueError)  # ValueError: group=null
SWEEPS = ("-m", "--multirun")
SIDE_BY_SIDE = ("hydra/launcher=local", "hydra/launcher=joblib")
CHECKED = 200  # jobs of a sweep at most: composing one takes a third of a second
SUBMISSION = "Slurm took no job, for the reason above; set hydra.launcher.KEY=VALUE so that it does"


def main(task: Callable[[RunConfig], float | None]) -> NoReturn:
    """Run ``task`` for each configuration that the command line names, and exit (door.py has the exit codes).

    What it returns is what a search (``hydra/sweeper=search``) maximises. Every job of a sweep is checked before the
    first one starts; a run that fails leaves the others alone.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own reports end in exit code 1
    if {"--help", "-h"} & set(sys.argv[1:]):  # Hydra's own takes seconds, for it lists every folder of configs/
        sys.exit(door.command(_help, "stopped"))
    arguments = sorted(sys.argv[1:], key=lambda given: given not in SWEEPS)  # argparse takes it in front

    def work() -> int:
        try:
            with leaving():
                jobs = prepare(arguments)
            launchers = [argument for argument in sys.argv[1:] if argument.startswith("hydra/launcher=")]
            if set(launchers) & set(SIDE_BY_SIDE):
                with StopRequest(tell_children) as stop:
                    return _through(_in_worker(task), jobs, stop)
            with nullcontext() if launchers else leaving():  # Slurm's jobs go on without the command
                return _through(task, jobs, StopRequest())
        except WRONG as error:
            return report(error)
        except Exception as error:
            if not isinstance(error.__cause__, CalledProcessError):  # sbatch's, as submitit wraps it
                raise
            return door.refuse(SUBMISSION)

    sys.exit(door.command(work, "stopped; the same command goes on from the last checkpoint"))


def _help() -> int:
    print(usage())
    return 0


def _in_worker(task: Callable[[RunConfig], float | None]) -> Callable[[RunConfig], float | None]:
    """Return ``task`` for a launcher's processes: stopped, it returns None, for an exception would end the others."""
    command = os.getpid()

    def work(config: RunConfig) -> float | None:
        if os.getpid() == command:
            return task(config)
        try:
            with Worker():
                return task(config)
        except Stopped:
            return None

    return work


def prepare(arguments: list[str]) -> list[list[str]]:
    """Refuse what cannot be run, and leave to Hydra what it is given; return the jobs of a sweep."""
    refuse_arguments(arguments)
    jobs = check_jobs(arguments)
    here = _dry(arguments) or (jobs and _one_by_one(arguments))
    sys.argv[1:] = _without_launcher(arguments) if here else arguments
    return jobs


def _one_by_one(arguments: list[str]) -> bool:
    """Say whether a sweep side by side has room for one run at a time: this process then does them itself."""
    if not set(arguments) & set(SIDE_BY_SIDE):
        return False
    at_once = whole(argument for argument in arguments if "=" in argument).hydra.launcher.n_jobs
    return bool(at_once == 1 or (at_once < 0 and cores() == 1))


def _through(task: Callable[[RunConfig], float | None], jobs: list[list[str]], stop: StopRequest) -> int:
    """Have Hydra run all; return the largest exit code, those of a sweep that did not end named.

    Raises:
        Stopped: ``stop`` came, and what a launcher has started has come to its end.
    """
    codes, missing = [0], list[str]()

    @hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")
    def each(composed: DictConfig) -> float | None:
        code, why, value = _run(task, composed)
        codes.append(code)
        if code:
            typed: Any = OmegaConf.to_container(HydraConfig.get().overrides.task)  # ${...} as typed
            missing.append(f"  {' '.join(typed)}: {why}")
        return value

    try:
        try:
            each()
        finally:
            if stop.came():
                stop.obey()
    except SystemExit as left:  # Hydra's, where --package or the like is none
        return 2 if left.code else 0
    except (BrokenExecutor, RuntimeError) as error:
        if not isinstance(error, BrokenExecutor) and type(error).__name__ != "UncompletedJobError":  # submitit's
            raise
        door.tell("a job was killed and took its launcher along; the same command goes on")
    if len(codes) == 1:  # a launcher ran them in processes of their own, or nothing was to run, as for --cfg
        codes, missing = _left_over(jobs)
    if stop.came():  # meanwhile
        stop.obey()
    if missing and len(codes) > 2:  # a sweep
        said = f"{len(missing)} of {len(codes) - 1} runs did not end; the same command runs only these:"
        door.tell(said, *missing)
    return max(codes)


def _run(task: Callable[[RunConfig], float | None], composed: DictConfig) -> tuple[int, str, float | None]:
    """Return the exit code of one run, why it did not end, and its value for a search."""
    try:
        config = to_config(composed)
        if HydraConfig.get().runtime.choices.get("hydra/sweeper") not in (None, "basic"):
            _check_search(config)
        return 0, "", task(config)
    except (OmegaConfBaseException, BadInput) as error:
        return report(error), explain(error), None
    except Exception as error:
        if isinstance(error, OSError) and door.output_gone(error):
            return door.output_closed(), "its output cannot be written", None
        if isinstance(error, OSError) and error.filename is not None:
            return door.refuse(door.unreachable(error)), door.unreachable(error), None
        if door.lacks_memory(error):
            return door.lacking_memory(), door.MEMORY, None
        traceback.print_exc()
        return 1, f"{type(error).__name__}: {error}".splitlines()[0], None


def _check_search(config: RunConfig) -> None:
    if not config.data.held_out:
        raise BadInput("data.held_out is 0: a search chooses by training images kept aside; set it, such as 10000")
    if config.dry_run:
        raise BadInput("dry_run is true: a search chooses its runs as it goes, they cannot be listed")


def _left_over(jobs: list[list[str]]) -> tuple[list[int], list[str]]:
    """Return, from the records of a sweep's jobs, the exit code of each and why those that did not end did not."""
    from bnrepro.record import Record
    from bnrepro.run import here  # imports torch

    codes, missing = [0], []
    for job in jobs:
        try:
            record = Record.of(here(load(job)))
            status = record.status
            how_far = f"{status['status']} at step {status['step']:,}" if "step" in status else "not begun, or damaged"
            code, why = (0, "") if record.ended else (1, f"{how_far}; its own output says why")
        except BadInput as error:
            code, why = 2, explain(error)
        codes.append(code)
        if code:
            missing.append(f"  {' '.join(job)}: {why}")
    return codes, missing


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
        if argument.startswith("-") or (before.startswith("-") and before not in SWEEPS and "=" not in argument):
            continue
        if argument.startswith(("+", "~")):
            raise BadInput(f"{argument}: keys can be set, not added or removed; write key=value without {argument[0]}")
        if "=" not in argument:
            raise BadInput(f"{argument}: it has no value; write {argument}=value")
        if re.match(r"hydra\..*\._target_=", argument):
            raise BadInput(f"{argument}: choose hydra/launcher= or hydra/sweeper= instead")
        if re.fullmatch("hydra/launcher=(submitit_)?slurm", argument) and not (which("sbatch") or _dry(arguments)):
            raise BadInput(f"{argument}: there is no sbatch here; give the command where Slurm takes jobs")
        group, _, value = argument.partition("=")
        allowed = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml")) if re.fullmatch(r"\w+", group) else []
        if allowed and re.fullmatch(r"null|true|false|[-+\d.e]*", value):
            raise BadInput(f"{group} is {value or 'empty'}; allowed: {', '.join(allowed)}")


def check_jobs(arguments: list[str]) -> list[list[str]]:
    """List the overrides of each job of a sweep, all of them found good; none of one run or a search.

    Raises:
        BadInput: a job is bad, or is another one's run; there is nothing to sweep; the launcher's settings are bad.
    """
    options = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if "=" in argument and argument not in options]
    swept = [override for override in overrides if choices(override)]
    searches = any(override.startswith("hydra/sweeper=") for override in overrides)
    if searches or not set(options) <= set(SWEEPS):  # a search finds its jobs as it goes; --cfg and the like run none
        return []
    for override in overrides:
        if "interval(" in override:
            raise BadInput(f"{override}: an interval is for hydra/sweeper=search; name the values, as in key=a,b")
    launcher = next((override for override in overrides if override.startswith("hydra/launcher=")), "")
    if _dry(arguments):
        overrides = _without_launcher(overrides)
    first = whole(overrides)
    if not options and first.hydra.mode != RunMode.MULTIRUN:
        if swept:
            raise BadInput(f"{swept[0]}: several values are a sweep: give -m; a list is written key=[a,b]")
        if launcher:
            raise BadInput(f"{launcher}: it launches sweeps: give -m")
        return []
    if not (swept or first.hydra.sweeper.params or launcher):  # which may be there for one run
        raise BadInput("the sweep is empty: give a key several values, such as optim.lr=0.1,0.3, or leave out -m")
    jobs = [[one for one in job if not one.startswith("hydra")] for job in grid(overrides)]
    if len(jobs) <= CHECKED:
        _check_each(jobs)
    at_once = first.hydra.sweeper.get("max_batch_size")
    if at_once is not None and at_once < 1:
        raise BadInput(f"hydra.sweeper.max_batch_size is {at_once}: it must be null or 1 or more")
    for key, allowed in (("timeout_min", "1 minute or more"), ("n_jobs", "1 or more, or -1 for all cores")):
        value = first.hydra.launcher.get(key, 1)
        if value == 0 or (key == "timeout_min" and value < 0):
            raise BadInput(f"hydra.launcher.{key} is {value}: it must be {allowed}")
    return jobs


def _check_each(jobs: list[list[str]]) -> None:
    from bnrepro.record import Record  # imports pandas

    seen: dict[Path, str] = {}
    for job in jobs:
        said = " ".join(job)
        try:
            folder = Record.of(load(job)).folder
        except WRONG as error:
            raise BadInput(f"{explain(error)}; that is the job {said}; nothing was started") from error
        if folder in seen:
            raise BadInput(f"two jobs are the same run: {seen[folder]} and {said}; leave one out; nothing was started")
        seen[folder] = said


def _without_launcher(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if not argument.startswith(("hydra/launcher=", "hydra.launcher."))]


def _dry(arguments: list[str]) -> bool:
    return any(re.fullmatch("dry_run=(true|yes|on|1)", argument, re.IGNORECASE) for argument in arguments)


def report(error: Exception) -> int:
    """Print what was wrong in one message and return the exit code 2."""
    return door.refuse(explain(error))

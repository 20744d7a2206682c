"""The command: Hydra in front, one clear message and exit code 2 for what a person got wrong."""

import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from functools import partial
from subprocess import CalledProcessError
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnrepro import door
from bnrepro.cli import own_files
from bnrepro.cli.arguments import (
    SIDE_BY_SIDE,
    WRONG,
    Asked,
    check_jobs,
    options_first,
    refuse_arguments,
    said,
    usage,
)
from bnrepro.cli.explain import explain
from bnrepro.compose import CONFIGS, load, to_config
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.stopping import Stopped, StopRequest, Worker, leaving, tell_children

SUBMISSION = "Slurm took no job, for the reason above; set hydra.launcher.KEY=VALUE so that it does"


def main(task: Callable[[RunConfig], float | None]) -> NoReturn:
    """Run ``task`` for each configuration that the command line names, and exit (door.py has the exit codes).

    What it returns is what a search (``hydra/sweeper=search``) maximises. Every job of a sweep is checked before the
    first one starts, unless there are more than arguments.CHECKED; a run that fails leaves the others alone.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own reports end in exit code 1
    if {"--help", "-h"} & set(sys.argv[1:]):  # Hydra's own takes seconds, for it lists every folder of configs/
        sys.exit(door.command(_help, "stopped"))

    def work() -> int:
        try:
            with leaving():
                asked = prepare(sys.argv[1:])
            if asked.runs is not None:  # exactly what was found good; Hydra would compose it anew
                with leaving():
                    return _each(task, asked.runs)
            launchers = [argument for argument in sys.argv[1:] if argument.startswith("hydra/launcher=")]
            if set(launchers) & set(SIDE_BY_SIDE):
                with StopRequest(tell_children) as stop:
                    return _through(_in_worker(task), asked.jobs, stop)
            with nullcontext() if launchers else leaving():  # Slurm's jobs go on without the command
                return _through(task, asked.jobs, StopRequest())
        except WRONG as error:
            return report(error)
        except RecursionError:  # of composing: a run's own ends in _run
            return door.refuse("a file of settings has itself among its defaults, or among theirs; take it out")
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


def prepare(arguments: list[str]) -> Asked:
    """Refuse what cannot be run, and leave to Hydra what it is given; return what is asked for."""
    own, others = own_files.folder(arguments)
    typed = options_first(others)
    refuse_arguments(typed)
    asked = check_jobs([*typed, own_files.searched(own)] if own else typed)
    sys.argv[1:] = asked.typed
    return asked


def _each(task: Callable[[RunConfig], float | None], runs: list[tuple[str, RunConfig]]) -> int:
    """Run all, one after another; return the largest exit code, those that did not end named.

    Raises:
        OSError: the folder of a sweep's runs cannot be made: said once, not by each of them.
    """
    if len(runs) > 1:
        for root in {config.runs_root for _, config in runs if not config.dry_run}:
            os.makedirs(root, exist_ok=True)
    codes, missing = [0], list[str]()
    for named, config in runs:
        code, why, _ = _run(partial(task, config))
        codes.append(code)
        if code:
            missing.append(f"  {named}: {why}")
    return _summed_up(codes, missing)


def _through(task: Callable[[RunConfig], float | None], jobs: list[list[str]], stop: StopRequest) -> int:
    """Have Hydra run all; return the largest exit code, those of a sweep that did not end named.

    Raises:
        Stopped: ``stop`` came, and what a launcher has started has come to its end.
    """
    codes, missing = [0], list[str]()

    @hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")
    def each(composed: DictConfig) -> float | None:
        search = HydraConfig.get().runtime.choices.get("hydra/sweeper") not in (None, "basic")
        work = _of_a_search(task) if search else task
        code, why, value = _run(lambda: work(to_config(composed)))
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
    return _summed_up(codes, missing)


def _summed_up(codes: list[int], missing: list[str]) -> int:
    if missing and len(codes) > 2:  # a sweep
        door.tell(f"{len(missing)} of {len(codes) - 1} runs did not end; the same command runs only these:", *missing)
    return max(codes)


def _run(work: Callable[[], float | None]) -> tuple[int, str, float | None]:
    """Return the exit code of one run, why it did not end, and its value for a search."""
    try:
        return 0, "", work()
    except (HydraException, OmegaConfBaseException, BadInput) as error:
        return report(error), explain(error), None
    except Exception as error:
        if refused := door.by_the_machine(error):
            return *refused, None
        traceback.print_exc()
        return 1, f"{type(error).__name__}: {error}".splitlines()[0], None


def _of_a_search(task: Callable[[RunConfig], float | None]) -> Callable[[RunConfig], float | None]:
    def work(config: RunConfig) -> float | None:
        if not config.data.held_out:
            raise BadInput("data.held_out is 0: a search chooses by training images kept aside; set it, such as 10000")
        if config.dry_run:
            raise BadInput("dry_run is true: a search chooses its runs as it goes, they cannot be listed")
        return task(config)

    return work


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
            missing.append(f"  {said(job)}: {why}")
    return codes, missing


def report(error: Exception) -> int:
    """Print what was wrong in one message and return the exit code 2."""
    return door.refuse(explain(error))

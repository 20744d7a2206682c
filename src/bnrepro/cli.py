"""The command line's door: Hydra in front, one clear message and exit code 2 for what a person got wrong."""

import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from bnrepro.compose import CONFIGS, choices, grid, load, to_config
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.stopping import Stopped

# what a value must be, by OmegaConf's name of its type
KINDS = {"Float": "a number, such as 0.1", "Integer": "a whole number, such as 10", "bool": "true or false"}
MEMORY = (
    "there is not enough memory: lower batch_size, the number of seeds or optim.rates, model.width or model.hidden, or "
    "data.train_examples, or run fewer at once; the last checkpoint is whole, for the same command with more memory"
)


def main(task: Callable[[RunConfig], float | None]) -> NoReturn:
    """Run ``task`` for each configuration that the command line names, and exit.

    What it returns is what a search (``hydra/sweeper=search``) maximises.

    Exit codes: 0 when every run ended, 1 when one failed, 2 when something given was wrong, 130 when
    interrupted (SIGINT), 143 when told to end (SIGTERM).
    A run that fails leaves the other runs of its sweep alone.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own reports end in exit code 1
    if {"--help", "-h"} & set(sys.argv[1:]):  # Hydra's own takes seconds, for it lists every folder of configs/
        print(usage())
        sys.exit(0)
    sys.argv[1:] = sorted(
        sys.argv[1:], key=lambda given: given not in ("-m", "--multirun")
    )  # argparse takes it in front
    codes, missing = [0], list[str]()

    @hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")
    def each(composed: DictConfig) -> float | None:
        code, why, value = _run(task, composed)
        codes.append(code)
        if code:
            missing.append(f"  {' '.join(HydraConfig.get().overrides.task)}: {why}")
        return value

    try:
        overrides = [argument for argument in sys.argv[1:] if "=" in argument and not argument.startswith("-")]
        refuse_overrides(sys.argv[1:])
        for override in overrides:
            choices(override)
        each()
        if len(codes) == 1 and not any(choice.startswith("hydra/sweeper=") for choice in overrides):
            # a launcher ran them in processes of their own, or there was nothing to run, as for --help
            codes, missing = _left_over(overrides)
    except (HydraException, OmegaConfBaseException, BadInput, ValueError) as error:  # ValueError: group=null
        sys.exit(report(error))
    except BrokenExecutor:
        print("a job was killed and took its launcher along; the same command goes on", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        print("stopped, with a checkpoint; the same command goes on from it", file=sys.stderr)
        sys.exit(stopped.code)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    if missing and len(codes) > 2:  # a sweep
        said = f"{len(missing)} of {len(codes) - 1} runs did not end; the same command runs only these:"
        print(said, *missing, sep="\n", file=sys.stderr)
    sys.exit(max(codes))


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
        if lacks_memory(error):
            print(f"error: {MEMORY}", file=sys.stderr)
            return 1, MEMORY, None
        traceback.print_exc()
        return 1, f"{type(error).__name__}: {error}".splitlines()[0], None


def lacks_memory(error: Exception) -> bool:
    """Say whether the host or the GPU had no memory left. torch has no one class for it."""
    said = f"{type(error).__name__}: {error}"
    return isinstance(error, MemoryError) or "OutOfMemory" in said or "allocate memory" in said


def _check_search(config: RunConfig) -> None:
    if not config.data.held_out:
        raise BadInput("data.held_out is 0: a search chooses by training images kept aside; set it, such as 10000")
    if config.dry_run:
        raise BadInput("dry_run is true: a search chooses its runs as it goes, they cannot be listed")


def _left_over(overrides: list[str]) -> tuple[list[int], list[str]]:
    """Return, from the records of a sweep's jobs, the exit code of each and why those that did not end did not."""
    from bnrepro.record import Record
    from bnrepro.run import here  # imports torch

    codes, missing = [0], []
    for job in grid(overrides):
        try:
            config = here(load(job))
            record = Record.of(config)
            ended = record.ended or config.dry_run
            code, why = (0, "") if ended else (1, f"{record.status['status']} at step {record.status.get('step', 0):,}")
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


def refuse_overrides(arguments: list[str]) -> None:
    """Refuse ``+key`` and ``~key``, which pass a structured config without a word, ``group=null``, Slurm without Slurm.

    Raises:
        BadInput: such an override is among ``arguments``.
    """
    for argument in arguments:
        if argument == "hydra/launcher=slurm" and not shutil.which("sbatch"):
            raise BadInput(f"{argument}: there is no sbatch here; give the command where Slurm takes jobs")
        if argument.startswith(("+", "~")):
            raise BadInput(f"{argument}: keys can be set, not added or removed; write key=value without {argument[0]}")
        group, _, value = argument.partition("=")
        allowed = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml")) if re.fullmatch(r"\w+", group) else []
        if allowed and re.fullmatch(r"null|true|false|[-+\d.e]*", value):
            raise BadInput(f"{group} is {value or 'empty'}; allowed: {', '.join(allowed)}")


def report(error: Exception) -> int:
    """Print what was wrong in one message and return the exit code 2."""
    print(f"error: {explain(error)}", file=sys.stderr)
    return 2


def explain(error: Exception) -> str:
    """Say in plain words which key is wrong and what is allowed."""
    cause: Any = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    first = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    if isinstance(cause, OmegaConfBaseException):
        key = getattr(cause, "full_key", None)
        return _explain_key(cause, key, first) if key else first
    if re.search("LexerNoViableAlt|viable alternative|(mismatched|extraneous) input", str(error)):
        return f"{first}; close every bracket; quote a value with spaces or special characters twice: 'key=\"value\"'"
    plugin = re.search(r"Could not find 'hydra/(launcher/submitit|sweeper/optuna)", str(error))
    if plugin:
        choice, extra = ("launcher=slurm", "slurm") if "submitit" in plugin[1] else ("sweeper=search", "search")
        return f"hydra/{choice} is not installed: .venv/bin/pip install -e '.[{extra}]'"
    group = re.search(r"Could not find '([\w/]+)/([^']*)'\s+Available options in '[\w/]+':\n((?:\t\S+\n)+)", str(error))
    return f"unknown {group[1]} {group[2]!r}; allowed: {', '.join(group[3].split())}" if group else str(error)


def _explain_key(cause: OmegaConfBaseException, key: str, first: str) -> str:
    if " not in " in first or "not in struct" in first:
        keys = _keys_beside(cause)
        return f"unknown key {key}" + (f"; allowed here: {', '.join(keys)}" if keys else "")
    if "is not Optional" in first or "NoneType is not a subclass" in first:
        return f"{key}: it needs a value"
    if "is not a ListConfig" in first:
        return f"{key}: it must be a list, such as [0,1,2]"
    wrong = re.search(r"Value (.*) (?:of type .* could not be converted to|is not a valid) (Float|Integer|bool)", first)
    if wrong:
        return f"{key} is {wrong[1]}: it must be {KINDS[wrong[2]]}"
    return f"{key}: {first}"


def _keys_beside(error: Any) -> list[str]:
    parent = getattr(error, "parent_node", None)
    return sorted(map(str, parent.keys())) if isinstance(parent, DictConfig) else []

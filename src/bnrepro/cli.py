"""The command line's door: Hydra in front, one clear message and exit code 2 for what a person got wrong."""

import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from bnrepro.compose import CONFIGS, to_config
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput


def main(task: Callable[[RunConfig], None]) -> NoReturn:
    """Run ``task`` for each configuration that the command line names, and exit.

    Exit codes: 0 when every run ended, 1 when one failed, 2 when something given was wrong, 130 when interrupted.
    A run that fails leaves the other runs of its sweep alone.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra's own reports end in exit code 1
    codes = [0]

    @hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")
    def each(composed: DictConfig) -> None:
        codes.append(_run(task, composed))

    try:
        refuse_overrides(sys.argv[1:])
        each()
    except (HydraException, OmegaConfBaseException, BadInput, ValueError) as error:  # ValueError: group=null
        sys.exit(report(error))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    failed = sum(code > 0 for code in codes)
    if failed and len(codes) > 2:
        print(f"{failed} of {len(codes) - 1} runs did not end; the same command runs only these", file=sys.stderr)
    sys.exit(max(codes))


def _run(task: Callable[[RunConfig], None], composed: DictConfig) -> int:
    try:
        task(to_config(composed))
    except (OmegaConfBaseException, BadInput) as error:
        return report(error)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def refuse_overrides(arguments: list[str]) -> None:
    """Refuse ``+key`` and ``~key``, which pass a structured config without a word, and ``group=null``.

    Raises:
        BadInput: such an override is among ``arguments``.
    """
    for argument in arguments:
        if argument.startswith(("+", "~")):
            raise BadInput(f"{argument}: keys can be set, not added or removed; write key=value without {argument[0]}")
        group, _, value = argument.partition("=")
        choices = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml")) if re.fullmatch(r"\w+", group) else []
        if choices and re.fullmatch(r"null|true|false|[-+\d.e]*", value):
            raise BadInput(f"{group} is {value or 'empty'}; allowed: {', '.join(choices)}")


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
    choices = re.search(r"Could not find '(\w+)/([^']*)'\s+Available options in '\w+':\n((?:\t\S+\n)+)", str(error))
    return f"unknown {choices[1]} {choices[2]!r}; allowed: {', '.join(choices[3].split())}" if choices else str(error)


def _explain_key(cause: OmegaConfBaseException, key: str, first: str) -> str:
    if " not in " in first or "not in struct" in first:
        keys = _keys_beside(cause)
        return f"unknown key {key}" + (f"; allowed here: {', '.join(keys)}" if keys else "")
    if "is not Optional" in first:
        return f"{key}: it needs a value"
    if "is not a ListConfig" in first:
        return f"{key}: it must be a list, such as [0,1,2]"
    return f"{key}: {first}"


def _keys_beside(error: Any) -> list[str]:
    parent = getattr(error, "parent_node", None)
    return sorted(map(str, parent.keys())) if isinstance(parent, DictConfig) else []

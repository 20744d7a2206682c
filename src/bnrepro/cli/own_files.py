"""A person's own files of settings (``--config-dir=FOLDER``): found beside ours, and no more than settings of runs.

Hydra's own settings can call functions and write files anywhere, so with such files Hydra composes and runs nothing:
what was composed of them and found good is what this process runs.
"""

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from bnrepro.compose import CONFIGS, MOST, experiments, whole
from bnrepro.door import unreachable
from bnrepro.errors import BadInput
from bnrepro.files import read_bytes

OPTION = re.compile(r"(?:--config-dir|-cd)(?:=(.*))?", re.DOTALL)
PATH = "hydra.searchpath="
LARGEST = 100_000  # bytes of a file
OURS_ALONE = {
    "schema": "the types of the settings lie there",
    "network": "tables and claims trust a network's name; set what it is made of instead",
    "scale": "what your experiment spends goes into the experiment",
}


def folder(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Return the folder of ``--config-dir``, None where there is none, and the other arguments.

    Raises:
        BadInput: it is no folder, or there are two.
    """
    found, others, rest = list[str](), list[str](), iter(arguments)
    for argument in rest:
        if option := OPTION.fullmatch(argument):
            found.append(next(rest, "") if option[1] is None else option[1])
        else:
            others.append(argument)
    if len(found) > 1:
        raise BadInput(f"--config-dir is given {len(found)} times: put your files of settings in one folder")
    if found and not (found[0] and os.path.isdir(found[0])):
        raise BadInput(f"--config-dir={found[0]}: it must be a folder, as in --config-dir=FOLDER")
    return (Path(found[0]) if found else None), others


def searched(where: Path) -> str:
    """Check the files below ``where``, and return the override by which they are found too, after those of configs/.

    Raises:
        BadInput: one cannot be read as plain YAML, stands for more values than settings have, or would not be found or
            taken.
    """
    for path in _files(where):
        _refuse_place(path, path.relative_to(where))
        try:
            if path.stat().st_size > LARGEST:
                raise BadInput(f"{path} has more than {LARGEST:,} bytes; no settings have")
            content = read_bytes(path)
            settings = yaml.safe_load(content.decode())
        except FileNotFoundError as error:
            raise BadInput(f"{path} is a link to nothing: bring it back, or remove the link") from error
        except OSError as error:
            raise BadInput(unreachable(error)) from error
        except RecursionError as error:
            raise BadInput(f"{path} is nested too deeply; no settings are") from error
        except (YAMLError, ValueError) as error:  # Hydra's own loader may take it all the same
            raise BadInput(f"{path} cannot be read as settings: {' '.join(str(error).split())}") from error
        if content.startswith(BOM_UTF8):
            raise BadInput(
                f"{path} begins with a byte order mark, behind which Hydra sees no # @package; save it without"
            )
        if not isinstance(settings, dict | None):
            raise BadInput(f"{path} holds no settings; write KEY: VALUE in it, or move it away")
        _refuse_endless(path, settings)
        if dotted := [key for key in settings or {} if "." in key]:
            key, _, rest = dotted[0].partition(".")
            raise BadInput(f"{path} has the key {dotted[0]}: write it as {key}: {{{rest}: ...}}")
    quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), str(where.resolve()))
    return f"{PATH}['file://{quoted}']"


def _refuse_place(path: Path, within: Path) -> None:
    if path.suffix == ".yml":
        raise BadInput(f"{path} would not be found: Hydra reads .yaml alone; rename it")
    if (CONFIGS / within).exists():
        raise BadInput(f"{path}: configs/{within} would be taken instead; give yours another name")
    group = within.parts[0]
    if group in OURS_ALONE and within.parts[:2] != ("scale", "of"):  # what an experiment spends at each scale
        raise BadInput(f"{path}: {group} takes files of configs/ alone: {OURS_ALONE[group]}")


def refuse_hydra(overrides: list[str], what: str) -> None:
    """Refuse own files where Hydra itself would compose them anew and act on them: for ``what`` is asked.

    Raises:
        BadInput: there are such files.
    """
    if any(override.startswith(PATH) for override in overrides):
        raise BadInput(
            f"{what}: Hydra sees to it, from configs/ alone: put what --config-dir has there, or leave it out"
        )


def refuse_more_than_a_grid(composed: DictConfig, job: list[str], typed: list[str]) -> None:
    """Refuse own files that set what would not be heeded: of Hydra more than a grid; or an experiment of ours by name.

    Args:
        composed: a job.
        job: its overrides.
        typed: the overrides without the grid of an experiment.

    Raises:
        BadInput: the message names it.
    """
    if not any(override.startswith(PATH) for override in typed):
        return
    of_hydra = [override for override in typed if override.startswith("hydra") and not override.startswith(PATH)]
    theirs, ours = _of_hydra(composed), _of_hydra(whole(of_hydra))
    differing = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    if len(composed.hydra.overrides.hydra) + len(composed.hydra.overrides.task) > len(job):
        differing.append("overrides")
    if differing:
        raise BadInput(
            f"a file in --config-dir sets hydra.{differing[0]}: of Hydra's own settings it may have hydra.mode and "
            "hydra.sweeper.params alone; take the others out"
        )
    name = composed.experiment
    if name in experiments() and composed.hydra.runtime.choices.get("experiment") != name:
        raise BadInput(f"experiment is {name!r}, which is one of configs/experiment; give yours another name")
    if composed.scale != composed.hydra.runtime.choices.scale:
        raise BadInput(f"a file in --config-dir sets scale to {composed.scale!r}: it is chosen with scale=NAME alone")


def _of_hydra(composed: DictConfig) -> dict[str, Any]:
    """Return Hydra's settings, as written, without the grid and without what Hydra itself notes of the overrides."""
    settings: Any = OmegaConf.to_container(composed.hydra, resolve=False)
    del settings["sweeper"]["params"], settings["job"]["override_dirname"]
    noted = ("mode", "overrides", "runtime", "searchpath")
    return {key: value for key, value in settings.items() if key not in noted}


def _refuse_endless(path: Path, settings: Any) -> None:
    pending, values = [settings], 0
    while pending:
        value = pending.pop()
        values += 1
        if values > MOST:  # an alias may stand for a million, or for itself
            raise BadInput(f"{path} stands for more than {MOST:,} values; no settings do; take out its aliases")
        if isinstance(value, dict) and (odd := [key for key in value if not isinstance(key, str)]):
            raise BadInput(f"{path} has the key {odd[0]}: a key is a word")
        if isinstance(value, dict | list):
            pending += [*value, *value.values()] if isinstance(value, dict) else value


def _files(where: Path) -> Iterator[Path]:
    """List the files that Hydra could be told to read, each under one of its names."""
    found, seen = 0, set[str]()
    for place, folders, names in os.walk(where, followlinks=True):
        if os.path.realpath(place) in seen:  # a link to what was listed, or that leads back
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        found += len(names)
        if found > MOST:
            raise BadInput(f"{where} has more than {MOST:,} files; name a folder of settings alone")
        yield from (Path(place, name) for name in sorted(names) if name.endswith((".yaml", ".yml")))

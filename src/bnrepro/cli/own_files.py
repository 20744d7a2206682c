"""A person's own files of settings (``--config-dir=FOLDER``): found beside ours, and no more than settings of runs.

Hydra's own settings can call functions and write files anywhere. So what is composed with the folder is held against
what is composed without it: of Hydra's settings a grid may differ, as in our experiments, and nothing else.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from bnrepro.compose import MOST
from bnrepro.door import unreachable
from bnrepro.errors import BadInput
from bnrepro.files import read_bytes

OPTION = re.compile(r"(?:--config-dir|-cd)(?:=(.*))?", re.DOTALL)
TYPES = "schema"  # the group in which compose.py has the types of the settings


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
    """Check the files below ``where``, and return the override by which Hydra looks there too, after configs/.

    Raises:
        BadInput: one cannot be read as plain YAML, or stands for more values than settings have; the folder would take
            the place of the settings' types.
    """
    for path in _files(where):
        try:
            settings = yaml.safe_load(read_bytes(path).decode())
        except OSError as error:
            raise BadInput(unreachable(error)) from error
        except RecursionError as error:
            raise BadInput(f"{path} is nested too deeply; no settings are") from error
        except (YAMLError, ValueError) as error:  # Hydra's own loader may take it all the same
            raise BadInput(f"{path} cannot be read as settings: {' '.join(str(error).split())}") from error
        if path.suffix == ".yml":
            raise BadInput(f"{path} would not be found: Hydra reads .yaml alone; rename it")
        if not isinstance(settings, dict | None):
            raise BadInput(f"{path} holds no settings; write KEY: VALUE in it, or move it away")
        _refuse_endless(path, settings)
    if (where / TYPES).exists():
        raise BadInput(f"{where / TYPES}: this name is taken by the types of the settings; choose another")
    quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), str(where.resolve()))
    return f"hydra.searchpath=['file://{quoted}']"


def refuse_more_than_a_grid(composed: DictConfig, ours: DictConfig) -> None:
    """Compare Hydra's settings as composed with own files and, ``ours``, without.

    Raises:
        BadInput: they differ in more than a grid.
    """
    theirs, without = _of_hydra(composed), _of_hydra(ours)
    differing = sorted(key for key in theirs.keys() | without.keys() if theirs.get(key) != without.get(key))
    if differing:
        raise BadInput(
            f"a file in --config-dir sets hydra.{differing[0]}: of Hydra's own settings it may have hydra.mode and "
            "hydra.sweeper.params alone; take the others out"
        )


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

"""A person's own files of settings (``--config-dir``): what Hydra would do with them is looked at before it does.

Hydra's own settings can call functions and write files anywhere. So a file may hold an experiment's grid, as ours do,
and no other setting of Hydra's; nor an interpolation that computes, which could make one.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml import YAMLError

from bnrepro.compose import MOST
from bnrepro.door import unreachable
from bnrepro.errors import BadInput
from bnrepro.files import read_bytes

ALLOWED = "of Hydra's own settings a file may have hydra.mode and hydra.sweeper.params alone; take the others out"
GRID: dict[str, Any] = {"mode": None, "sweeper": {"params": None}}


def check(folder: Path) -> None:
    """Look at every file below ``folder`` that Hydra could be told to read, through links too.

    Raises:
        BadInput: one cannot be read as plain YAML, sets more of Hydra than a grid, computes, or stands for more values
            than settings have.
    """
    for path in _files(folder):
        try:
            text = read_bytes(path).decode()
            settings = yaml.safe_load(text)
        except OSError as error:
            raise BadInput(unreachable(error)) from error
        except RecursionError as error:
            raise BadInput(f"{path} is nested too deeply; no settings are") from error
        except (YAMLError, ValueError) as error:  # Hydra's own loader may take it all the same
            raise BadInput(f"{path} cannot be read as settings: {' '.join(str(error).split())}") from error
        _check_values(path, settings)
        if isinstance(settings, dict) and ".." in f"{settings.get('defaults', '')}{settings.get('hydra', '')}":
            raise BadInput(f"{path} names a file by ..: a default, or a choice in a grid, lies in a folder of settings")
        own = isinstance(settings, dict) and not _within(settings.pop("hydra", {}), GRID)
        in_a_package = re.search(r"@package\s.*hydra", text)
        if own or in_a_package or "hydra" in path.relative_to(folder).parts or _names_hydra(settings):
            raise BadInput(f"{path} sets Hydra itself: {ALLOWED}")


def _check_values(path: Path, settings: Any) -> None:
    pending, values = [settings], 0
    while pending:
        value = pending.pop()
        values += 1
        if values > MOST:  # an alias may stand for a million, or for itself
            raise BadInput(f"{path} stands for more than {MOST:,} values; no settings do; take out its aliases")
        if isinstance(value, dict) and "_target_" in value:
            raise BadInput(f"{path} names a _target_: settings call no functions; take it out")
        if isinstance(value, dict | list):
            pending += [*value, *value.values()] if isinstance(value, dict) else value
        elif "${" in re.sub(r"\$\{[\w.]+\}", "", str(value)):
            raise BadInput(f"{path} has {value}: settings do not compute; write the value, or another key as ${{key}}")


def _within(given: Any, allowed: dict[str, Any] | None) -> bool:
    """Say whether ``given`` has no keys but those of ``allowed``, and below them names nothing of Hydra's."""
    if allowed is None:
        return not _names_hydra(given)
    return isinstance(given, dict) and all(key in allowed and _within(given[key], allowed[key]) for key in given)


def _names_hydra(settings: Any) -> bool:
    """Say whether a key, or what stands in the list of defaults, names Hydra's settings."""
    if isinstance(settings, list):
        return any(_names_hydra(value) for value in settings)
    if not isinstance(settings, dict):
        return False
    defaults = "hydra" in str(settings.get("defaults", ""))
    return defaults or any("hydra" in str(key) or _names_hydra(value) for key, value in settings.items())


def _files(folder: Path) -> Iterator[Path]:
    """List the files under each of their names: a link may be named as nothing else is."""
    found = 0
    for place, folders, names in os.walk(folder, followlinks=True):
        above = [Path(place), *Path(place).parents]
        within = above[1 : above.index(folder) + 1]
        if os.path.realpath(place) in {os.path.realpath(one) for one in within}:  # a link that leads back
            folders.clear()
            continue
        found += len(names)
        if found > MOST:
            raise BadInput(f"{folder} has more than {MOST:,} files; name a folder of settings alone")
        yield from (Path(place, name) for name in sorted(names) if name.endswith((".yaml", ".yml")))

"""A person's own files of settings (``--config-dir``): what Hydra would do with them is looked at before it does."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml import YAMLError

from bnrepro.compose import MOST
from bnrepro.door import unreachable
from bnrepro.errors import BadInput
from bnrepro.files import read_bytes


def check(folder: Path) -> None:
    """Look at every file below ``folder`` that Hydra could be told to read, through links too.

    Raises:
        BadInput: one cannot be read as plain YAML, names a function for Hydra to call, or stands for more values than
            settings have.
    """
    for path in _files(folder):
        try:
            settings = yaml.safe_load(read_bytes(path).decode())
        except OSError as error:
            raise BadInput(unreachable(error)) from error
        except RecursionError as error:
            raise BadInput(f"{path} is nested too deeply; no settings are") from error
        except (YAMLError, ValueError) as error:  # Hydra's own loader may take it all the same
            raise BadInput(f"{path} cannot be read as settings: {' '.join(str(error).split())}") from error
        pending, values = [settings], 0
        while pending:
            value = pending.pop()
            values += 1
            if values > MOST:  # an alias may stand for a million, or for itself
                raise BadInput(f"{path} stands for more than {MOST:,} values; no settings do; take out its aliases")
            if isinstance(value, dict) and "_target_" in value:
                raise BadInput(f"{path} names a _target_: settings call no functions; take it out")
            if isinstance(value, dict | list):
                pending += value.values() if isinstance(value, dict) else value


def _files(folder: Path) -> Iterator[Path]:
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        if here in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(here)
        yield from (Path(place, name) for name in sorted(names) if name.endswith((".yaml", ".yml")))

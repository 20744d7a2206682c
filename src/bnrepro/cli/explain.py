"""What Hydra and OmegaConf refuse, in plain words."""

import re
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnrepro.compose import CONFIGS

# what a value must be, by OmegaConf's name of its type
KINDS = {"Float": "a number, such as 0.1", "Integer": "a whole number, such as 10", "bool": "true or false"}


def explain(error: Exception) -> str:
    """Say in plain words which key is wrong and what is allowed."""
    cause: Any = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    first = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    if isinstance(cause, OmegaConfBaseException):
        key = getattr(cause, "full_key", None)
        return _explain_key(cause, key, first) if key else first
    if isinstance(error, YAMLError):
        return f"a file of settings cannot be read: {' '.join(str(error).split())}"
    if file := re.search(r"In '(.+?)': \w+ raised while composing config:\n(.*)", str(error)):
        where = re.search(r"full_key: ([\w.]+)", str(error))
        return _explain_file(file[1], file[2], where[1] if where else "")
    plugin = re.search(r"Could not find 'hydra/(launcher/submitit_(?:slurm|local)|sweeper/optuna)'", str(error))
    if plugin:
        choice, extra = ("launcher=slurm", "slurm") if "submitit" in plugin[1] else ("sweeper=search", "search")
        return f"hydra/{choice} is not installed: .venv/bin/pip install -e '.[{extra}]'"
    group = re.search(r"Could not find '([\w/]+)/([^']*)'\s+Available options in '[\w/]+':\n((?:\t\S+\n)+)", str(error))
    if not group:
        return " ".join(str(error).partition("\n\nConfig search path:")[0].split())
    hydras = group[1].startswith("hydra/")  # of which ours alone are meant
    known = [name for name in group[3].split() if not hydras or (CONFIGS / group[1] / f"{name}.yaml").exists()]
    return f"unknown {group[1]} {group[2]!r}; allowed: {', '.join(known)}"


def _explain_file(name: str, first: str, key: str) -> str:
    group = key.partition(".")[0]
    ours = (CONFIGS / f"{name}.yaml").exists()
    path = f"configs/{name}.yaml" if ours else f"your own {name}.yaml"
    if not ours and group == "experiment":
        return f"{path} must begin with the line # @package _global_, and have experiment: NAME, as ours do"
    if kind := re.search(r"^Merge error: \w+ is not a subclass of (\w+?)Conf", first):
        return f"{path} has one value where {kind[1].lower()} has settings of its own; write {{KEY: VALUE}}"
    if not first.startswith("Key "):
        return f"{path}: {key or 'a setting'}: {first}"
    if key == group:
        return f"{path} sets {key}, which is no setting; configs/config.yaml has those there are"
    whose = f"{path} sets {key}, which the {group} that you chose does not have"
    return f"{whose}; take a network, data or experiment that go together" if ours else whose


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

"""From configs/ and overrides to a RunConfig, by Hydra."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bnrepro import config as schema
from bnrepro.config import RunConfig, identity
from bnrepro.errors import BadInput
from bnrepro.machine import cores

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MOST = 10_000  # values of a key in a sweep, and jobs of one

_store = ConfigStore.instance()
_store.store(group="schema", name="run", node=schema.RunConfig)
_store.store(group="schema/data", name="mnist", node=schema.MNISTConfig)
_store.store(group="schema/data", name="digits", node=schema.DigitsConfig)
_store.store(group="schema/data", name="shapes", node=schema.ShapesConfig)
_store.store(group="schema/data", name="torchvision", node=schema.TorchvisionConfig)
_store.store(group="schema/data", name="image_folder", node=schema.ImageFolderConfig)
_store.store(group="schema", name="augment", node=schema.AugmentConfig)
_store.store(group="schema/model", name="mlp", node=schema.MLPConfig)
_store.store(group="schema/model", name="inception", node=schema.InceptionConfig)
_store.store(group="schema/model", name="small_inception", node=schema.SmallInceptionConfig)
_store.store(group="schema/norm", name="none", node=schema.NoNormConfig)
_store.store(group="schema/norm", name="batch", node=schema.BatchNormConfig)
_store.store(group="schema/norm", name="detached", node=schema.DetachedNormConfig)
_store.store(group="schema/norm", name="whitening", node=schema.WhiteningConfig)
_store.store(group="schema/optim", name="sgd", node=schema.OptimConfig)
_store.store(group="schema/study", name="training", node=schema.TrainingConfig)
_store.store(group="schema/study", name="samples", node=schema.SamplesConfig)
_store.store(group="schema/study", name="architecture", node=schema.ArchitectureConfig)
_store.store(group="schema/study", name="exact", node=schema.ExactConfig)
_store.store(group="schema/study", name="naive_drift", node=schema.NaiveDriftConfig)
_store.store(group="schema/study", name="jacobian", node=schema.JacobianConfig)
_store.store(group="schema/study", name="whitening_cost", node=schema.WhiteningCostConfig)
_store.store(group="schema/study", name="population", node=schema.PopulationConfig)
_store.store(group="schema", name="probes", node=schema.ProbesConfig)
_store.store(group="schema", name="runtime", node=schema.RuntimeConfig)


OmegaConf.register_new_resolver("jobs", lambda threads: max(1, cores() // threads))  # of configs/hydra/launcher/local
# of a sweep's folder, for two may start in one second; cached, so that its jobs see the same
OmegaConf.register_new_resolver("process", os.getpid, use_cache=True)


def to_config(composed: DictConfig) -> RunConfig:
    """Turn what Hydra composed into a checked RunConfig, its folder named.

    Raises:
        BadInput: a value is not allowed.
        omegaconf.errors.OmegaConfBaseException: a value is missing or of the wrong type.
    """
    config = OmegaConf.to_object(composed)
    assert isinstance(config, RunConfig)
    _check_network(config)
    needs_bn = isinstance(config.study, schema.NaiveDriftConfig | schema.PopulationConfig)
    if needs_bn and not isinstance(config.norm, schema.BatchNormConfig):
        raise BadInput(f"study {config.study.name} compares with BN: take network=mlp_bn, not network={config.network}")
    if not config.name:
        config.name = ",".join([config.network, *_what_differs(config)])[:150]
    return config


def _check_network(config: RunConfig) -> None:
    """Refuse a network whose name says another normalisation than it has: tables and claims trust the name."""
    known = sorted(path.stem for path in (CONFIGS / "network").glob("*.yaml"))
    if config.network not in known:
        raise BadInput(f"network is {config.network!r}; allowed: {', '.join(known)}")
    named = _composed(_chosen(config)).norm
    if config.norm.name != named.name:
        raise BadInput(
            f"norm is {config.norm.name}, but network={config.network} has norm={named.name}; "
            f"choose the network instead: {', '.join(known)}"
        )
    if type(config.norm) is not OmegaConf.get_type(named):
        raise BadInput(f"norm.name is {config.norm.name}, but its settings are another norm's; leave norm and its name")


def load(overrides: Iterable[str]) -> RunConfig:
    """Compose one run from ``configs/`` and ``overrides``, as the command line does."""
    return to_config(_compose(list(overrides)))


def whole(overrides: Iterable[str]) -> DictConfig:
    """Compose the first job of a sweep, Hydra's own settings with it."""
    return _whole(tuple((choices(text) or [text])[0] for text in overrides))


@lru_cache(maxsize=8)  # a sweep's command asks three times
def _whole(overrides: tuple[str, ...]) -> DictConfig:
    try:
        composed = _compose(list(overrides), with_hydra=True)
    except (AttributeError, TypeError, KeyError) as error:  # Hydra's, of a setting of its own that it does not check
        raise BadInput(f"what is set of Hydra cannot be composed ({type(error).__name__}: {error})") from error
    for key in ("sweeper", "launcher", "job"):
        if not OmegaConf.is_dict(composed.hydra.get(key)):
            raise BadInput(f"hydra.{key} is {composed.hydra.get(key)}: leave it as it is in configs/config.yaml")
    return composed


def without_hydra(composed: DictConfig) -> DictConfig:
    """Leave Hydra's own settings out of what :func:`whole` composed."""
    run = composed.copy()
    with open_dict(run):
        del run["hydra"]
    return run


def grid(overrides: Iterable[str]) -> list[list[str]]:
    """Expand an experiment's own grid and the sweeps in ``overrides``: the overrides of each job, in order.

    What ``overrides`` itself sets is taken out of the experiment's grid, as in Hydra's basic sweeper.

    Raises:
        BadInput: a sweep names a value twice, or none at all.
    """
    given = list(overrides)
    keys = {text.partition("=")[0] for text in given}
    own = whole(given).hydra.sweeper.params or {}
    jobs: list[list[str]] = [[]]
    for text in [*given, *(f"{key}={values}" for key, values in own.items() if key not in keys)]:
        chosen = choices(text) or [text]
        if len(jobs) * len(chosen) > MOST:
            raise BadInput(f"{text}: the sweep would have more than {MOST:,} jobs; sweep over fewer values")
        jobs = [[*job, one] for job in jobs for one in chosen]
    return jobs


def choices(override: str) -> list[str] | None:
    """List the overrides that a sweep such as ``optim.lr=0.1,0.2`` stands for; None if it stands for none.

    None too for an interval, of which a search draws.

    Raises:
        BadInput: it cannot be read, names a value twice, or none at all.
    """
    try:
        (parsed,) = _parser().parse_overrides([override])
        if not parsed.is_sweep_override() or parsed.is_interval_sweep():
            return None
        values = list(islice(parsed.sweep_string_iterator(), MOST + 1))
    except OverrideParseException as error:
        raise BadInput(
            f"{override}: it cannot be read; write key=value, several values as key=a,b, a list as key=[a,b]; close "
            "every bracket; quote a value with spaces or special characters twice: 'key=\"value\"'"
        ) from error
    if not values:
        raise BadInput(f"{override}: the sweep is empty; name at least one value")
    if len(values) > MOST:
        raise BadInput(f"{override}: a sweep has at most {MOST:,} values")
    value, count = Counter(values).most_common(1)[0]
    if count > 1:
        raise BadInput(f"{override}: {value} stands twice in the sweep; name each value once")
    return [f"{parsed.get_key_element()}={value}" for value in values]


@cache
def _parser() -> OverridesParser:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):  # network=glob(mlp*) asks which networks there are
        return OverridesParser.create(GlobalHydra.instance().config_loader())


def experiments() -> list[str]:
    """Name every experiment that ``configs/experiment`` holds."""
    return sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


def as_named(network: str, scale: str, experiment: str, data: str) -> dict[str, Any]:
    """Return the settings that ``configs/`` itself gives a network there; none where these do not go together."""
    chosen = [f"network={network}", f"scale={scale}", f"data={data}"]
    chosen += [f"experiment={experiment}"] if experiment in experiments() else []
    try:
        return _as_it_stands(tuple(chosen))
    except (HydraException, OmegaConfBaseException, BadInput):
        return {}


def _compose(overrides: list[str], with_hydra: bool = False) -> DictConfig:
    if GlobalHydra.instance().is_initialized():  # within hydra.main
        return compose("config", overrides, return_hydra_config=with_hydra)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config", overrides, return_hydra_config=with_hydra)


def _what_differs(config: RunConfig) -> list[str]:
    """List the settings that differ from those of the experiment, network and scale as they stand in configs/."""
    chosen = _chosen(config)
    differing = ["study.name"] if config.study.name != "training" else []
    known = (CONFIGS / "data" / f"{config.data.name}.yaml").exists()
    if known and _composed(chosen).data.name != config.data.name:
        differing.append("data.name")
        chosen = (*chosen, f"data={config.data.name}")
    ours, theirs = identity(config), _as_it_stands(chosen)
    said = {"experiment", *differing}
    differing += [key for key in ours if key not in said and ours[key] != theirs.get(key)]
    short = {key: key.removesuffix(".name").rpartition(".")[2] for key in ours}
    taken = Counter(short.values())
    words = {key: word if taken[word] == 1 else key for key, word in short.items()}
    return [f"{words[key]}={_word(ours[key])}" for key in differing if key != "runtime.device"]


def _chosen(config: RunConfig) -> tuple[str, ...]:
    """Return the choices from configs/ that ``config`` was made of, but for its data."""
    experiment = [f"experiment={config.experiment}"] if config.experiment in experiments() else []
    return (f"network={config.network}", *experiment, f"scale={config.scale}", f"study={config.study.name}")


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    return _compose(list(overrides))


@cache
def _as_it_stands(overrides: tuple[str, ...]) -> dict[str, Any]:
    plain = OmegaConf.to_object(_composed(overrides))
    assert isinstance(plain, RunConfig)
    return identity(plain)


def _word(value: object) -> str:
    """Write a value so that it can stand in a folder's name: runs of seeds as 0-9."""
    if isinstance(value, list):
        consecutive = len(value) > 2 and all(b - a == 1 for a, b in pairwise(value))
        return f"{value[0]}-{value[-1]}" if consecutive else "+".join(map(str, value))
    return re.sub(r"[^\w.=+-]+", "-", str(value)).lstrip("-")  # a path, say

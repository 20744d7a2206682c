"""The settings of a whole run, and which of them its numbers depend on."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from omegaconf import MISSING

from bnrepro.config.data import AugmentConfig, ColourConfig, DataConfig
from bnrepro.config.network import (
    BatchNormConfig,
    InceptionConfig,
    MLPConfig,
    ModelConfig,
    NoNormConfig,
    NormConfig,
    OptimConfig,
    StatisticsConfig,
)
from bnrepro.config.require import require, require_positive
from bnrepro.config.study import SamplesConfig, StudyConfig, TrainingConfig
from bnrepro.errors import BadInput


@dataclass
class ProbesConfig:
    """What is watched, and when.

    ``evaluate_every``: steps between evaluations on the held-out and test sets. ``activation_steps``: at how many
    steps, denser early, the nonlinearities' inputs are measured (0: never), on ``activation_examples`` test examples:
    the first, or, of test sets that are sorted by class, ``random`` ones, the same for every network and seed
    (``activation_choice``). ``train_accuracy``: whether training examples, as many as there are test examples, are
    evaluated on too. ``predictions``: whether the probabilities of the test images' classes are kept when training
    ends.
    """

    evaluate_every: int = MISSING
    activation_steps: int = MISSING
    activation_examples: int = MISSING
    activation_choice: str = MISSING
    train_accuracy: bool = MISSING
    predictions: bool = MISSING

    def __post_init__(self) -> None:
        require(self.evaluate_every >= 1, "probes.evaluate_every", self.evaluate_every, "1 step or more")
        require(
            0 <= self.activation_steps <= 10**6, "probes.activation_steps", self.activation_steps, "from 0 to 1000000"
        )
        allowed = "2 examples or more"
        require(self.activation_examples >= 2, "probes.activation_examples", self.activation_examples, allowed)
        choices = ("first", "random")
        require(
            self.activation_choice in choices, "probes.activation_choice", self.activation_choice, "first or random"
        )


@dataclass
class RuntimeConfig:
    """Where and how a run happens; the first five change results, if only in the last bits, the others not at all.

    ``step``: the forward and backward pass by ``autograd``, or ``written_out``, which the network of Sec. 4.1 has for
    gradient descent without momentum, L2 and decay, in one process; ``auto``: the latter where it is to be had.
    Several processes take autograd's. ``precision``: of
    autograd's training steps, float32, bfloat16, where parameters, moments and losses stay float32, or tf32, where an
    NVIDIA GPU rounds what it multiplies; evaluation is float32. ``processes``: that train together, each with its
    share of the mini-batch; torchrun starts them.
    """

    device: str = MISSING
    step: str = MISSING
    precision: str = MISSING
    threads: int = MISSING
    processes: int = MISSING
    checkpoint_every: int = MISSING
    progress_seconds: float = MISSING

    def __post_init__(self) -> None:
        require(self.device in ("auto", "cpu", "cuda"), "runtime.device", self.device, "auto, cpu or cuda")
        steps, precisions = ("auto", "written_out", "autograd"), ("float32", "tf32", "bfloat16")
        require(self.step in steps, "runtime.step", self.step, "auto, written_out or autograd")
        require(self.precision in precisions, "runtime.precision", self.precision, "float32, tf32 or bfloat16")
        require(1 <= self.threads <= 1024, "runtime.threads", self.threads, "from 1 to 1024")
        require(1 <= self.processes <= 2**16, "runtime.processes", self.processes, "from 1 to 65536")
        key = "runtime.checkpoint_every"
        require(self.checkpoint_every >= 1, key, self.checkpoint_every, "1 step or more")
        require_positive("runtime.progress_seconds", self.progress_seconds)


@dataclass(frozen=True)
class Replica:
    """One network of a stack: its seed, the seed that its random numbers are drawn from, its initial rate."""

    seed: int
    drawn_from: int
    lr: float


@dataclass
class RunConfig:
    """One network, trained once for each seed and each of ``optim.rates``: these are the replicas of a stack.

    ``seed_offset`` is added to a seed before anything is drawn from it, so that networks with the same seed, such as
    the members of an ensemble, have weights and orders of their own.
    """

    experiment: str = MISSING
    network: str = MISSING
    scale: str = MISSING
    name: str = MISSING
    steps: int = MISSING
    batch_size: int = MISSING
    seeds: list[int] = MISSING
    seed_offset: int = MISSING
    data: DataConfig = MISSING
    augment: AugmentConfig = MISSING
    model: ModelConfig = MISSING
    norm: NormConfig = MISSING
    optim: OptimConfig = MISSING
    probes: ProbesConfig = MISSING
    runtime: RuntimeConfig = MISSING
    study: StudyConfig = MISSING
    data_root: str = MISSING
    runs_root: str = MISSING
    dry_run: bool = MISSING

    def __post_init__(self) -> None:
        for key, least in (("experiment", 1), ("name", 0)):
            value = getattr(self, key)
            word = re.fullmatch(r"[\w.,=+-]*", value) and not value.startswith(".") and least <= len(value) <= 150
            allowed = f"{least} to 150 letters, digits and _ - . , = + without a dot in front"
            require(bool(word), key, value, allowed)
        for key in ("runs_root", "data_root"):
            folder = getattr(self, key)
            text = folder.encode(errors="replace").decode()  # TensorBoard's files hold no other names
            require(bool(folder.strip()) and text == folder, key, text, "a folder whose name is UTF-8")
        require(self.steps >= 1, "steps", self.steps, "1 or more")
        require(self.steps <= 10**12, "steps", self.steps, "at most 10^12")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        if isinstance(self.norm, StatisticsConfig):
            allowed = "2 or more with BN: one example has no variance (Algorithm 1)"
            require(self.batch_size >= 2, "batch_size", self.batch_size, allowed)
        require(bool(self.seeds), "seeds", self.seeds, "a list of one or more seeds, such as seeds=[0,1,2]")
        once = len(set(self.seeds)) == len(self.seeds)
        require(once, "seeds", self.seeds, "a list that names each seed once")
        allowed = "a list of whole numbers from 0 to 4294967295"
        require(all(0 <= seed < 2**32 for seed in self.seeds), "seeds", self.seeds, allowed)
        require(0 <= self.seed_offset < 2**31, "seed_offset", self.seed_offset, "from 0 to 2147483647")
        self._check_together()
        if self.runtime.step == "auto":
            self.runtime = replace(self.runtime, step="written_out" if self._has_written_out() else "autograd")
        allowed = "auto or autograd here: only the network of Sec. 4.1 is written out, for optim=sgd in float32"
        require(self.runtime.step == "autograd" or self._has_written_out(), "runtime.step", self.runtime.step, allowed)

    def _has_written_out(self) -> bool:
        """Say whether models/written_out.py has the step of this network and optimiser; studies keep to autograd."""
        fused = isinstance(self.norm, BatchNormConfig) and self.norm.impl == "fused"
        plain = self.optim.momentum == self.optim.l2 == self.optim.half_life == 0
        return (
            isinstance(self.model, MLPConfig)
            and (fused or isinstance(self.norm, NoNormConfig))
            and plain
            and isinstance(self.study, TrainingConfig)
            and self.runtime.processes == 1
            and self.runtime.precision == "float32"
        )

    @property
    def replicas(self) -> list[Replica]:
        """The networks of the stack, in order; ``lr`` is the initial learning rate."""
        rates, offset = self.optim.rates or [self.optim.initial], self.seed_offset
        return [Replica(seed, seed + offset, lr) for seed in self.seeds for lr in rates]

    def _check_together(self) -> None:
        """Check what fits only some other setting."""
        if isinstance(self.model, MLPConfig):
            pass
        elif not isinstance(self.data, ColourConfig):
            raise BadInput(f"network {self.network} takes colour images: data={self.data.name} has none; set data=")
        elif not isinstance(self.study, TrainingConfig | SamplesConfig):
            raise BadInput(f"study {self.study.name} is about fully connected networks, not network={self.network}")
        else:
            allowed = "one seed: this network is not stacked; for more give each a run: -m 'seeds=[0],[1],[2]'"
            require(len(self.seeds) == 1, "seeds", self.seeds, allowed)
            allowed = "[]: this network is not stacked; give each rate a run: -m optim.lr=0.01,0.02"
            require(not self.optim.rates, "optim.rates", self.optim.rates, allowed)
        if not isinstance(self.data, ColourConfig) and isinstance(self.study, SamplesConfig):
            raise BadInput(f"study samples is about colour images: data={self.data.name} has none; set data=")
        if not isinstance(self.data, ColourConfig) and self.augment.distorts:
            raise BadInput(f"augment is for colour images: data={self.data.name} has none; take augment=none")
        if self.probes.predictions and not isinstance(self.data, ColourConfig):
            raise BadInput(f"probes.predictions is for colour images: data={self.data.name} has none; set it to false")
        per_activation = isinstance(self.model, InceptionConfig) and self.model.per_activation
        if per_activation and isinstance(self.norm, NoNormConfig):
            raise BadInput("model.per_activation is true: the network has no BN; choose a network with it")


NOT_IDENTITY = {  # where a run is kept, how it is shown, how its data come: these do not change its numbers
    *("data_root", "runs_root", "name", "dry_run"),
    *("runtime.checkpoint_every", "runtime.progress_seconds"),
    *("data.choosing", "data.download", "data.download_seconds"),
}


# settings that older runs do not have, and what these were made with
LATER: dict[str, Any] = {
    "optim.rates": [],
    "norm.synchronised": False,
    "runtime.step": "autograd",
    "runtime.precision": "float32",
    "runtime.processes": 1,
    "probes.activation_choice": "first",
    "probes.train_accuracy": False,
    "seed_offset": 0,
    "augment.crop_at": "random",
}


def identity(config: RunConfig) -> dict[str, Any]:
    """Return the settings that a run's numbers depend on, under dotted keys."""
    settings = {key: value for key, value in flatten(config).items() if key not in NOT_IDENTITY}
    return {key: value for key, value in settings.items() if key not in LATER or value != LATER[key]}


def flatten(config: RunConfig) -> dict[str, Any]:
    """Return every setting under its dotted key, plain values only."""

    def walk(prefix: str, node: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        for key, value in node.items():
            if isinstance(value, dict):
                yield from walk(f"{prefix}{key}.", value)
            else:
                yield f"{prefix}{key}", value

    return dict(walk("", asdict(config)))

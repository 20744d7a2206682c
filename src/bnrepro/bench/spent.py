"""What the seconds of a command go to: its imports; and of a run, its steps and its probes."""

import pstats
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import pandas as pd
import torch

from bnrepro import data, probes
from bnrepro.bench import rows
from bnrepro.bench.rounds import Variant, seconds
from bnrepro.config import RunConfig
from bnrepro.errors import BadInput
from bnrepro.state import initial
from bnrepro.train import advance

STEPS, MEASUREMENTS = 500, 7
PACKAGES = {
    "pandas and pyarrow": ("pandas", "pyarrow", "dateutil", "fsspec"),
    "Hydra, OmegaConf and what they parse with": ("hydra", "omegaconf", "antlr4", "yaml", "importlib_resources"),
    "TensorBoard and protobuf": ("tensorboard", "google", "absl", "torch.utils.tensorboard"),
    "NumPy, SciPy, Matplotlib and Pillow": (
        "numpy",
        "scipy",
        "matplotlib",
        "mpl_toolkits",
        "PIL",
        "kiwisolver",
        "contourpy",
    ),
    "this project's own modules": ("bnrepro",),
    "more of torch": ("torch", "torchvision", "triton", "sympy"),
}
TORCH, OTHERS, REST = "torch, and what it imports at once", "other modules", "all but imports"
IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$")  # microseconds of its own, and its name


def imports(case: str, command: list[str]) -> pd.DataFrame:
    """Return the seconds that ``command``, of Python, spends importing, package by package, and on all else.

    Python's own watch of imports is on, which makes them a little slower.

    Raises:
        BadInput: the command failed.
    """
    modules, whole = _imported(command)
    with_torch = _imported([sys.executable, "-c", "import torch"])[0] if "torch" in modules else {}
    spent: defaultdict[str, float] = defaultdict(float)
    for name, time_taken in modules.items():
        own = [kind for kind, packages in PACKAGES.items() for package in packages if _within(name, package)]
        spent[TORCH if name in with_torch else own[0] if own else OTHERS] += time_taken
    spent[REST] = whole - sum(spent.values())
    largest_first = sorted(spent.items(), key=lambda item: -item[1])
    return pd.concat([rows.seconds(case, kind, [amount]) for kind, amount in largest_first])


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _imported(command: list[str]) -> tuple[dict[str, float], float]:
    """Return the seconds of each module that a command imports, and those of all of it."""
    python, *rest = command
    began = time.monotonic()
    said = output([python, "-X", "importtime", *rest])
    whole = time.monotonic() - began
    found = [match for line in said.splitlines() if (match := IMPORTED.match(line))]
    return {match[2]: int(match[1]) / 1e6 for match in found}, whole


def output(command: list[str], folder: str | None = None) -> str:
    """Run a command in ``folder`` and return what it says on stderr.

    Raises:
        BadInput: it failed; the message has its last line.
    """
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BadInput(f"{' '.join(command)} failed with exit code {done.returncode}: {last}")
    return done.stderr


def functions(case: str, command: list[str], of: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Return the shares of a command's time, of Python, that it spends in functions and what they call.

    Python's profiler watches, which makes what calls much slower than what computes.

    Args:
        case: of the rows.
        command: what to run.
        of: the file and the name of each function, by what to call it.

    Raises:
        BadInput: the command failed.
    """
    python, *rest = command
    with tempfile.TemporaryDirectory() as folder:
        stored = f"{folder}/profile"
        output([python, "-m", "cProfile", "-o", stored, *rest])
        seen = pstats.Stats(stored)
    timed = seen.stats.items()  # type: ignore[attr-defined]  # (file, line, name): (calls, ..., seconds, seconds in all)
    amounts = {
        kind: sum(times[3] for (path, _, called), times in timed if path.endswith(file) and called == name)
        for kind, (file, name) in of.items()
    }
    whole = seen.total_tt  # type: ignore[attr-defined]
    return pd.concat(
        [rows.measured(case, kind, "share", pd.Series([spent / whole])) for kind, spent in amounts.items()]
    )


def run(case: str, config: RunConfig) -> pd.DataFrame:
    """Return the seconds of the steps of a run, and of each probe as often as the run has it.

    They are computed: the median of some, times how many there are. One run works, other cores idle.
    """
    device = torch.device(config.runtime.device)
    dataset = data.load(config.data, Path(config.data_root), config.augment.crop).to(device)
    state = initial(config, dataset, device)

    def each(call: Callable[[], object], calls: int = 1) -> float:
        variant = Variant("", call, 1, config.runtime.threads, precision=config.runtime.precision)
        return median(seconds(variant, calls) for _ in range(MEASUREMENTS)) / calls

    step = partial(advance, state, gradients=False)
    each(step)
    pieces = {f"{config.steps:,} steps of {len(config.replicas)} replicas": each(step, STEPS) * config.steps}
    for probe in probes.build(config, dataset):
        count = sum(map(probe.when, range(1, config.steps + 1)))
        pieces[f"{type(probe).__name__} × {count:,}"] = each(partial(probe.measure, state)) * count
    return pd.concat([rows.value(case, name, "s, computed", seconds, config) for name, seconds in pieces.items()])

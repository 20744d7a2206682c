"""Whole commands: Figure 1 from command to figure, the time to a first step, the report."""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from bnrepro import compose
from bnrepro.bench import rows, spent

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS, RESULTS = ROOT / "scripts", ROOT / "results"
BEYOND = "beyond importing torch"
SPENT = "where the seconds go: "  # in the names of cases
FIGURE_1, START_UP = 180.0, 5.0  # seconds at most
STARTS, REPORTS = 7, 7  # times
OF_REPORT = {
    "judging the claims": ("bnrepro/claims/claim.py", "judge"),
    "drawing the pictures, once plotted, and compressing them": ("bnrepro/report/style.py", "png"),
}


def measure(_: str, device: str) -> pd.DataFrame:
    """Return the rows of whole commands."""
    return pd.concat([_start_up(device), _figure_1(device), _report()], ignore_index=True)


def _start_up(device: str) -> pd.DataFrame:
    """Time a command of one step, evaluation and record included, its data known already; and the import of torch."""
    taken: dict[str, list[float]] = {"torch imported": [], "a run of one step": [], BEYOND: []}
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(STARTS + 1):
            imports = _seconds([sys.executable, "-c", "import torch"])
            step = _seconds(_one_step(device, f"{folder}/{attempt}"))
            if attempt:  # the first one reads files that the system then has in memory
                for name, seconds in zip(taken, (imports, step, step - imports), strict=True):
                    taken[name].append(seconds)
        goes_to = spent.imports(f"{SPENT}start-up", _one_step(device, f"{folder}/imports"))
    goals = {BEYOND: START_UP}
    timed = [rows.seconds("start-up", name, times, goals.get(name)) for name, times in taken.items()]
    return pd.concat([*timed, goes_to])


def _one_step(device: str, folder: str) -> list[str]:
    return [
        *(sys.executable, str(SCRIPTS / "train.py"), "network=mlp_bn", "steps=1", "seeds=[0]"),
        *(f"runtime.device={device}", f"runs_root={folder}", "probes.activation_steps=0"),
    ]


def _figure_1(device: str) -> pd.DataFrame:
    """Time Figure 1 with five seeds as make reproduce has it: both networks, evaluations, probes, tables, figures."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").symlink_to(Path("data").resolve())
        taken = _seconds(
            [sys.executable, str(SCRIPTS / "reproduce.py"), "--scale", "quick", "--experiment", "fig1"], folder
        )
    whole = rows.seconds("Figure 1, five seeds", "from the command to the figures", [taken], FIGURE_1)
    jobs = compose.grid(["experiment=fig1", "scale=quick", f"runtime.device={device}"])
    runs = [spent.run(f"{SPENT}Figure 1, {job[-1]}", compose.load(job)) for job in jobs]
    return pd.concat([whole, *runs])


def _report() -> pd.DataFrame:
    """Time the report of the committed tables, and the imports that it cannot do without."""
    taken: dict[str, list[float]] = {"pandas, SciPy and Matplotlib imported": [], "from the tables to the pages": []}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "results"
        shutil.copytree(RESULTS, target)
        command = [sys.executable, str(SCRIPTS / "report.py"), "--results", str(target)]
        for _ in range(REPORTS):
            imports = _seconds([sys.executable, "-c", "import pandas, scipy.stats, matplotlib.figure"])
            report = _seconds(command)
            for name, seconds in zip(taken, (imports, report), strict=True):
                taken[name].append(seconds)
        goes_to = [spent.imports(f"{SPENT}make report", command)]
        goes_to.append(spent.functions(f"{SPENT}make report, two of its tasks", command, OF_REPORT))
    return pd.concat([*(rows.seconds("make report", name, times) for name, times in taken.items()), *goes_to])


def _seconds(command: list[str], folder: str | None = None) -> float:
    """Return how long a command takes."""
    began = time.monotonic()
    spent.output(command, folder)
    return time.monotonic() - began

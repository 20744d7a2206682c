"""What an experiment spent: the table above the list of runs."""

from typing import Any

import pandas as pd

from bnrepro.report.cells import NONE

EXAMPLES = ("train_examples", "test_examples")
SETTINGS = ("width", "stem", "batch_size", "steps", *EXAMPLES)


def spent(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each experiment and scale of runs.csv: networks, seeds, settings, examples seen, hours.

    A study that is no training has no settings here: its own table names them.
    """
    whole = runs.assign(study=runs.get("study", "training"))
    groups = whole.groupby(["experiment", "scale"], sort=False)
    return [_row(str(experiment), str(scale), of_it) for (experiment, scale), of_it in groups]


def _row(experiment: str, scale: str, runs: pd.DataFrame) -> dict[str, Any]:
    seeds = [str(of_run).split() for of_run in runs["seeds"]]
    replicas = pd.Series(map(len, seeds), runs.index)  # which runs of one rate alone do not say
    runs = runs.assign(replicas=runs["replicas"].fillna(replicas) if "replicas" in runs else replicas)
    trained = runs[runs["study"].isna() | (runs["study"] == "training")]
    seen = int((trained["steps"] * trained["batch_size"] * trained["replicas"]).sum())
    return {
        "experiment": experiment,
        "scale": scale,
        "networks": runs["network"].nunique(),
        "seeds": len({seed for of_run in seeds for seed in of_run}),
        **{key: _values(trained, key) for key in SETTINGS},
        "examples": f"{seen:,}" if seen else NONE,
        "hours": float(runs["seconds"].sum()) / 3600,
    }


def _values(runs: pd.DataFrame, column: str) -> str:
    """Write the values that a setting takes in an experiment; of images, 0 is all of them."""
    values = sorted(runs[column].dropna().unique()) if column in runs else []
    texts = ["all" if column in EXAMPLES and value == 0 else f"{value:,.6g}" for value in values]
    return ", ".join(texts) or NONE

"""The table of Figure 3: steps to Inception's maximum and the maximum, the paper's beside ours."""

from typing import Any

import pandas as pd

from bnrepro import paper
from bnrepro.claims.fig2 import maximum, steps_to_maximum
from bnrepro.claims.fig2_readings import with_figure_2
from bnrepro.claims.verdict import estimate
from bnrepro.report.fig2_figures import STYLE
from bnrepro.tables import Tables

TITLES = {
    "fig2": "The table of Figure 3",
    "fig2_equal_decay": "The same, all rates decaying alike",
    "fig2_paper_rates": "The same at the paper's own rates",
}

SMALL = {"small_inception": "without BN", "small_inception_bn": "with BN"}


def figure_3(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    """Return a title and a row for each network, of each of Figure 2's experiments that was run."""
    return {title: _rows(name, tables) for name, title in TITLES.items() if f"{name}_accuracy" in tables}


def _rows(name: str, tables: Tables) -> list[dict[str, Any]]:
    accuracy, ends = tables[f"{name}_accuracy"], tables[f"{name}_ends"]
    trained = set(accuracy["network"])
    if name == "fig2_equal_decay" and "fig2_accuracy" in tables:
        accuracy = with_figure_2(accuracy, tables["fig2_accuracy"])
    return [_row(network, accuracy, ends) for network in STYLE if network in trained]


def _row(network: str, accuracy: pd.DataFrame, ends: pd.DataFrame) -> dict[str, Any]:
    end = ends[ends["network"] == network]
    steps = steps_to_maximum(accuracy, network)
    printed_steps, printed_maximum = paper.INCEPTION.get(network, (None, None))
    return {
        "network": STYLE[network][0],
        "rate": float((end["lr"] * end["multiple"]).iloc[0]),
        "seeds": len(end),
        "diverged": int(end["diverged_at"].notna().sum()),
        "reached": int(steps.notna().sum()),
        "steps": vars(estimate(steps)),
        "maximum": vars(estimate(maximum(accuracy, network))),
        "printed_steps": printed_steps,
        "printed_maximum": printed_maximum,
    }


def base_rate(tables: Tables) -> float | None:
    """Return the rate whose accuracy on held-out images at the end, mean over the seeds, is best."""
    return _best_rate(tables["fig2_base_rate"]) if "fig2_base_rate" in tables else None


def inherited_rate(tables: Tables) -> str:
    """Say where Figure 2's base rate is not the one that its own data and scale chose; empty where it is."""
    if "fig2_ends" not in tables:
        return ""
    ends, rates = tables["fig2_ends"], tables.get("fig2_base_rate")
    scale, lr = ends["scale"].iloc[0], float(ends["lr"].iloc[0])
    chosen = None if rates is None else _best_rate(rates[rates["scale"] == scale])
    if chosen == lr:
        return ""
    found = "was not measured" if chosen is None else f"is {chosen:g}"
    return f"Figure 2's base rate here, {lr:g}, is inherited: the best of this data at scale {scale} {found}."


def _best_rate(table: pd.DataFrame) -> float | None:
    mean = table.groupby("lr")["held_out_last"].mean()
    return None if mean.empty else float(mean.index[int(mean.to_numpy().argmax())])


def small_inception(tables: Tables) -> list[dict[str, Any]]:
    """Return a row for each of Zhang et al.'s networks that was run: our accuracy, and theirs."""
    if "small_inception" not in tables:
        return []
    by_network = dict(list(tables["small_inception"].groupby("network")["accuracy"]))
    return [
        {"network": name, "theirs": paper.SMALL_INCEPTION[network], **vars(estimate(by_network[network]))}
        for network, name in SMALL.items()
        if network in by_network
    ]

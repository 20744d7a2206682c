"""The table of Figure 3: steps to Inception's maximum and the maximum, the paper's beside ours."""

from typing import Any

import pandas as pd

from bnrepro import paper
from bnrepro.claims.fig2 import maximum, steps_to_inception
from bnrepro.claims.fig2_readings import with_figure_2
from bnrepro.claims.verdict import estimate
from bnrepro.report.fig2_figures import STYLE
from bnrepro.tables import Tables

TITLES = {
    "fig2": "The table of Figure 3",
    "fig2_equal_decay": "The same, all rates decaying alike",
    "fig2_paper_rates": "The same at the paper's own rates",
}


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
    steps = steps_to_inception(accuracy, network)
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
    if "fig2_base_rate" not in tables:
        return None
    mean = tables["fig2_base_rate"].groupby("lr")["held_out_last"].mean()
    return float(mean.index[int(mean.to_numpy().argmax())])

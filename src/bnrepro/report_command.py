"""``make report``: judge the claims and build the report from the tables, or sum up runs. No torch."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bnrepro import door, results, sweep_page
from bnrepro.errors import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked for; return the exit code (door.py). Whoever reads the output may leave before its end."""
    parser = argparse.ArgumentParser(description="Judge the claims and build the report, from tables alone.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the tables (default: results)")
    parser.add_argument("--runs", type=Path, nargs="+", help="sum up the runs in these folders instead")
    parser.add_argument("--csv", type=Path, help="with --runs: write the summary there too")
    parser.add_argument("--markdown", type=Path, help="with --runs: write the summary there too")
    given = parser.parse_args(arguments)

    def work() -> int:
        if not given.runs:
            if given.csv or given.markdown:
                raise BadInput("--csv and --markdown go with --runs")
            results.refresh(given.results)
            return 0
        try:
            sweep_page.show(given.runs, given.csv, given.markdown)
            sys.stdout.flush()
        except BrokenPipeError:  # | head has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0

    return door.command(work, "stopped; the same command makes the whole report")

"""Build the report from the tables; or sum up runs: python scripts/report.py --runs runs/single."""

import argparse
import os
import sys
from pathlib import Path

from bnrepro.stopping import leaving


def main() -> int:
    from bnrepro import door, results, sweep_page
    from bnrepro.errors import BadInput

    parser = argparse.ArgumentParser(description="Judge the claims and build the report, from tables alone.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the tables (default: results)")
    parser.add_argument("--runs", type=Path, nargs="+", help="sum up the runs in these folders instead")
    parser.add_argument("--csv", type=Path, help="with --runs: write the summary there too")
    parser.add_argument("--markdown", type=Path, help="with --runs: write the summary there too")
    given = parser.parse_args()

    def work() -> int:
        try:
            show()
            sys.stdout.flush()
        except BrokenPipeError:  # | head has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0

    def show() -> None:
        if given.runs:
            sweep_page.show(given.runs, given.csv, given.markdown)
        elif given.csv or given.markdown:
            raise BadInput("--csv and --markdown go with --runs")
        else:
            results.refresh(given.results)

    return door.command(work, "stopped; the same command makes the whole report")


if __name__ == "__main__":
    with leaving():
        sys.exit(main())

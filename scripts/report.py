"""Build the report from the tables; or sum up runs: python scripts/report.py --runs runs/single."""

import argparse
import os
import sys
from pathlib import Path

from bnrepro import results, sweep_page
from bnrepro.errors import BadInput

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Judge the claims and build the report, from tables alone.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the tables (default: results)")
    parser.add_argument("--runs", type=Path, nargs="+", help="sum up the runs in these folders instead")
    parser.add_argument("--csv", type=Path, help="with --runs: write the summary there too")
    parser.add_argument("--markdown", type=Path, help="with --runs: write the summary there too")
    given = parser.parse_args()
    try:
        if given.runs:
            sweep_page.show(given.runs, given.csv, given.markdown)
        elif given.csv or given.markdown:
            raise BadInput("--csv and --markdown go with --runs")
        else:
            results.refresh(given.results)
        sys.stdout.flush()
    except BrokenPipeError:  # | head has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

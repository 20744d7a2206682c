"""Judge the claims and build figures and pages from the tables: python scripts/report.py --results results."""

import argparse
import sys
from pathlib import Path

from bnrepro import results
from bnrepro.errors import BadInput

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Judge the claims and build the report, from tables alone.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the tables (default: results)")
    try:
        results.refresh(parser.parse_args().results)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

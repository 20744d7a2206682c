"""Measure how fast it is, and write results/bench.csv: python scripts/bench.py."""

import sys

from bnrepro.bench.command import main

if __name__ == "__main__":  # processes that are spawned import this file
    sys.exit(main())

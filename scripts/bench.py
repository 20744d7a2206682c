"""Measure how fast it is, and write results/bench.csv: python scripts/bench.py."""

import sys

from bnrepro.stopping import leaving

if __name__ == "__main__":  # processes that are spawned import this file
    with leaving():
        from bnrepro.bench.command import main

    sys.exit(main())

"""Run the experiments of a scale, judge the claims, write the report: python scripts/reproduce.py --scale quick."""

import sys

from bnrepro.reproduce import main

if __name__ == "__main__":
    sys.exit(main())

"""Run the experiments of a scale, judge the claims, write the report: python scripts/reproduce.py --scale quick."""

import sys

from bnrepro.stopping import leaving

if __name__ == "__main__":
    with leaving():
        from bnrepro.reproduce import main

        sys.exit(main())

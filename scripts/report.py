"""Build the report from the tables; or sum up runs: python scripts/report.py --runs runs/single."""

import sys

from bnrepro.stopping import leaving

if __name__ == "__main__":
    with leaving():
        from bnrepro.report_command import main

        sys.exit(main())

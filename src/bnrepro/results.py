"""What is committed: results/, written from records and read by the report. No torch.

results/
    <data>/<table>.csv   tables.py
    <data>/figures/      report/
    runs.csv             every run behind the tables, with the command that made it
    claims.csv           claims/
    README.md, report.html
"""

from pathlib import Path

import pandas as pd

from bnrepro import report, tables
from bnrepro.claims import about, judge
from bnrepro.record import Record

DATA_SETS = ("mnist", "random", "digits")  # in the order of the report


def add(results: Path, experiment: str, records: list[Record], commands: list[str]) -> None:
    """Write one experiment's tables and its rows of runs.csv; what it was before, on the same data, is replaced."""
    made = tables.runs(records, commands)
    for name, table in tables.BUILDERS[experiment](records).items():
        tables.write(results / str(table["data"].iloc[0]) / f"{name}.csv", table)
    kept = _runs(results)
    if kept is not None:
        replaced = kept["data"].isin(made["data"]) & (kept["experiment"] == experiment)
        made = pd.concat([kept[~replaced], made], ignore_index=True)
    order = made.sort_values(["data", "experiment"], key=lambda c: c.map(_rank), kind="stable")
    tables.write(results / "runs.csv", order)


def hold(results: Path, records: list[Record]) -> bool:
    """Say whether ``results`` was made from these runs and is whole."""
    listed = _runs(results)
    files = ("claims.csv", "README.md", "report.html")
    if listed is None or not all((results / name).exists() for name in files):
        return False
    return {record.folder.name for record in records} <= set(listed["run"])


def refresh(results: Path) -> None:
    """Judge every claim anew and rebuild the report, both from the tables alone.

    Raises:
        BadInput: there are no tables.
    """
    present = [data for data in DATA_SETS if (results / data).is_dir()]
    if present:
        judged = [judge(about(data), tables.read_all(results / data), data) for data in present]
        tables.write(results / "claims.csv", pd.concat(judged, ignore_index=True))
    report.build(results)


def _runs(results: Path) -> pd.DataFrame | None:
    path = results / "runs.csv"
    return tables.read(path) if path.exists() else None


def _rank(value: str) -> str:
    return f"{DATA_SETS.index(value)}" if value in DATA_SETS else value

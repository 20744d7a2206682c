"""What is committed: results/, written from records and read by the report. No torch.

results/
    <data>/<table>.csv   tables.py
    <data>/figures/      report/
    runs.csv             every run behind the tables, with the command that made it
    bench.csv            how fast it is; bench.json: on what
    SHA256SUMS           of all these tables, as sha256sum writes it: a table that was touched is not judged
    claims.csv           claims/
    README.md, report.html
    .lock, holder.json   which process writes here: two take turns; .pending: the runs.csv that it was to write last
                         (not committed)
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pandas as pd

from bnrepro import lock, report, tables
from bnrepro.claims import about, judge
from bnrepro.errors import BadInput
from bnrepro.files import cannot_read, read_bytes, sha256, write_text
from bnrepro.record import Record
from bnrepro.tables import BENCH, MADE_BY, SUMS

JUDGED = "claims.csv"
RUNS = "runs.csv"
OF_BENCH = (BENCH, MADE_BY)
PENDING = ".pending"
TURN = 600  # seconds to wait for another process that writes there: a report takes some


def alone(results: Path) -> AbstractContextManager[None]:
    """Hold ``results`` while its tables or pages are written, and make it if it is new.

    Raises:
        BadInput: another process holds it for long, or it cannot be written.
    """
    return lock.held(results, TURN)


def add(results: Path, experiment: str, records: list[Record], commands: list[str]) -> None:
    """Write one experiment's tables and its rows of runs.csv; what it was before, on the same data, is replaced.

    Raises:
        BadInput: runs.csv is damaged.
    """
    made = tables.runs(records, commands)
    with alone(results):
        sums = _sums(results)
        kept = _runs(results, sums.get(RUNS))
        for name, table in tables.BUILDERS[experiment](records).items():
            path = results / str(table["data"].iloc[0]) / f"{name}.csv"
            tables.write(path, table)
            sums[path.relative_to(results).as_posix()] = _sha256(path)
        if kept is not None:
            replaced = kept["data"].isin(made["data"]) & (kept["experiment"] == experiment)
            for scale in kept.loc[replaced & ~kept["scale"].isin(made["scale"]), "scale"].unique():
                print(f"{experiment}: the results of scale {scale} give way to those of scale {made['scale'].iloc[0]}")
            made = pd.concat([kept[~replaced], made], ignore_index=True)
        order = made.sort_values(["data", "experiment"], key=lambda c: c.map(tables.rank), kind="stable")
        listing = tables.as_csv(order)
        sums[RUNS] = sha256(listing.encode())
        write_text(results / PENDING, sums[RUNS])  # killed between the next two, this one knows what was made
        write_text(results / RUNS, listing)
        _write_sums(results, sums)


def add_bench(results: Path, part: str, table: pd.DataFrame, made_by: dict[str, Any]) -> None:
    """Write a part's rows into bench.csv, in the place of those that it had, and what measured them into bench.json.

    Where these two are missing or were touched they are begun anew.

    Raises:
        BadInput: another file of results is damaged.
    """
    with alone(results):
        check(results, without=OF_BENCH)
        sums, path, beside = _sums(results), results / BENCH, results / MADE_BY
        if any(not (results / name).is_file() or _sha256(results / name) != sums.get(name) for name in OF_BENCH):
            if any((results / name).exists() for name in OF_BENCH):
                print(f"{path} or {beside.name} is not what was made: both are begun anew", flush=True)
            path.unlink(missing_ok=True)
            beside.unlink(missing_ok=True)
        parts = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        cases = list(table["case"].unique())
        if path.exists():
            there = tables.read(path)
            old = there["case"].isin([*cases, *parts.get(part, {"cases": []})["cases"]])
            before = (~old).cummin() if old.any() else ~old
            table = pd.concat([there[before], table, there[~old & ~before]], ignore_index=True)
        for by in parts.values():  # a case may have been another part's
            by["cases"] = [case for case in by["cases"] if case not in cases]
        parts[part] = {**made_by, "cases": cases}
        tables.write(path, table.infer_objects())  # a part without rows, such as a compiler's, leaves objects
        write_text(beside, json.dumps(parts, indent=1) + "\n")
        _write_sums(results, {**sums, BENCH: _sha256(path), MADE_BY: _sha256(beside)})


def begun(results: Path) -> bool:
    """Say whether any table was written there."""
    return (results / SUMS).exists()


def check(results: Path, without: Sequence[str] = ()) -> None:
    """Check that every table is there and as it was made, ``without`` some.

    Raises:
        BadInput: one is not; the message names it.
    """
    sums = _sums(results)
    for path in sorted([*results.glob("*.csv"), *results.glob("*/*.csv")]):
        if path.name != JUDGED and path.relative_to(results).as_posix() not in sums:
            raise BadInput(f"{path} is not in {results / SUMS}: restore that, or make both anew with make reproduce")
    for name, expected in sums.items():
        path = results / name
        if name in without:
            continue
        again = f"restore it, or make it anew with make {'bench' if name in OF_BENCH else 'reproduce'}"
        if name == RUNS:
            again = _all_anew(results)
        if not path.is_file():
            raise BadInput(f"{path} is missing; {again}; or restore {results / SUMS}, if there never was such a file")
        if _sha256(path) != expected:
            raise BadInput(
                f"{path} is not the table that was made: its SHA-256 is {_sha256(path)}, "
                f"{results / SUMS} says {expected}; {again}"
            )


def refresh(results: Path) -> None:
    """Judge every claim anew and rebuild the report, both from the tables alone.

    Raises:
        BadInput: there are no tables, or one is missing or was touched.
    """
    if not begun(results):
        raise BadInput(f"{results} holds no results yet; run make reproduce")
    with alone(results):
        check(results)
        if present := tables.present(results):
            judged = [judge(about(data), tables.read_all(results / data), data) for data in present]
            tables.write(results / JUDGED, pd.concat(judged, ignore_index=True))
        report.build(results)


def _runs(results: Path, expected: str | None) -> pd.DataFrame | None:
    """Read the runs behind the tables that are there; None where there are none."""
    path = results / RUNS
    if not path.exists() and expected is None:
        return None
    pending = results / PENDING
    made = [expected, *([pending.read_text(errors="replace")] if pending.is_file() else [])]
    if not path.is_file() or _sha256(path) not in made:
        raise BadInput(f"{path} is missing or not what was made; {_all_anew(results)}")
    return tables.read(path)


def _all_anew(results: Path) -> str:
    return f"restore it, or remove {results} to make all anew"


def _sums(results: Path) -> dict[str, str]:
    """Read the SHA-256 of each table; of none where there are no results yet."""
    path = results / SUMS
    try:
        pairs = [line.split("  ", 1) for line in read_bytes(path).decode().splitlines()]
        return {name: digest for digest, name in pairs}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadInput(cannot_read(path, error)) from error
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}); {_all_anew(results)}") from error


def _write_sums(results: Path, sums: dict[str, str]) -> None:
    write_text(results / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def _sha256(path: Path) -> str:
    return sha256(read_bytes(path))

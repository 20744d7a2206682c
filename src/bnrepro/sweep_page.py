"""The summary of a sweep on the screen, as CSV and as Markdown."""

import os
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from bnrepro import sweep, tables
from bnrepro.errors import BadInput
from bnrepro.files import cannot_write, write_text
from bnrepro.report.cells import NONE, cell, number


def show(folders: list[Path], csv: Path | None, markdown: Path | None) -> None:
    """Print the summary of the runs in some folders, and write it where it is asked for.

    Raises:
        BadInput: a folder has no runs, or a file cannot be written.
    """
    runs = sweep.records(folders)
    table, missing, twice = sweep.summary(runs)
    if csv:
        _write(csv, tables.as_csv(table))
    if markdown:
        _write(markdown, _markdown(table))
    if not table.empty:
        Console().print(_screen(table))
        print("accuracy at the end: mean over the seeds (its 95 % Student t interval, within 0 and 1)")
    for line in [f"{len(runs) - len(missing)} of {len(runs)} runs have ended", *missing, *twice]:
        print(_shown(line))


def _write(path: Path, text: str) -> None:
    """Write a file, through a link to where it leads; a device or pipe takes the text after what it has."""
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        try:
            with open(path, "a") as device:
                device.write(text)
        except OSError as error:
            raise BadInput(cannot_write(path, error)) from error
    elif (target := Path(os.path.realpath(path))).is_symlink():
        raise BadInput(f"{path} is a link that leads to itself; remove it, or choose another file")
    else:
        write_text(target, text)


def _shown(text: str) -> str:
    """Return ``text`` so that no character of it steers a terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _written(table: pd.DataFrame) -> pd.DataFrame:
    """Write numbers as the report does, mean and interval in one column."""
    out = table.copy()
    for split in sweep.SPLITS:
        if split in out:
            ends = [f"{split}_low", f"{split}_high"]
            written = table[[split, *ends]].map(number).to_numpy()
            out[split] = [mean if low == NONE else f"{mean} ({low} to {high})" for mean, low, high in written]
            out = out.drop(columns=ends)
    return out.map(lambda value: NONE if pd.isna(value) else f"{value:g}" if isinstance(value, float) else str(value))


def _screen(table: pd.DataFrame) -> Table:
    screen = Table(box=None, pad_edge=False)
    written = _written(table)
    for column in written:
        screen.add_column(str(column))
    for row in written.itertuples(index=False):
        screen.add_row(*map(_shown, row))
    return screen


def _markdown(table: pd.DataFrame) -> str:
    written = _written(table)
    rows = [list(written.columns), ["---"] * written.shape[1], *written.to_numpy().tolist()]
    return "".join(f"| {' | '.join(cell(value) for value in row)} |\n" for row in rows)

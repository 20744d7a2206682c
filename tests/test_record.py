"""Files are whole or not there; tables survive the way through CSV."""

from pathlib import Path

import pandas as pd
import pytest

from bnrepro import tables
from bnrepro.errors import BadInput
from bnrepro.files import write_atomically, write_text


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def half(aside: Path) -> None:
        aside.write_text("ne")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_comes_back_from_csv_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["NA", "None", "a,b"], "value": [0.1, None, 1e-7], "seed": [0, 1, 2]})
    tables.write(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "t.csv"), table)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.csv"):
        tables.read(tmp_path / "gone.csv")

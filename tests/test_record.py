"""Tables survive the way through CSV."""

from pathlib import Path

import pandas as pd
import pytest

from bnrepro import tables
from bnrepro.errors import BadInput


def test_a_table_comes_back_from_csv_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["NA", "None", "a,b"], "value": [0.1, None, 1e-7], "seed": [0, 1, 2]})
    tables.write(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "t.csv"), table)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.csv"):
        tables.read(tmp_path / "gone.csv")

"""What a run says of itself where output is no terminal."""

import time

import pytest
import torch

from bnrepro.probes import Measurement
from bnrepro.progress import ProgressReport


@pytest.mark.parametrize(
    ("seconds", "values", "said"),
    [
        (4.0, [0.5], "step 10 of 20, 2.5 steps/s, 0 min 04 s left, test accuracy 0.5000"),
        (0.5, [0.25, 0.75], "step 10 of 20, 20 steps/s, 0 min 00 s left, test accuracy 0.5000 (0.2500 to 0.7500)"),
    ],
)
def test_a_slow_pace_has_a_decimal_and_one_replica_no_range(
    seconds: float, values: list[float], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    report = ProgressReport("run", 0, 20, 1.0)
    report.add(10, [Measurement("test", "", "accuracy", torch.tensor(values))])
    report.step = 10
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + seconds)
    assert report.state() == said


def test_of_a_run_that_only_lacked_its_tables_it_says_so() -> None:
    assert ProgressReport("run", 20, 20, 1.0).state().endswith("its tables made anew")

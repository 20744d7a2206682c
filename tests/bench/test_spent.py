"""What the seconds of a command go to."""

import re
import sys
from pathlib import Path

import pytest

from bnrepro.bench import spent, whole
from bnrepro.bench.rounds import Variant
from bnrepro.errors import BadInput
from conftest import Make


def test_imports_are_told_apart_from_all_else() -> None:
    table = spent.imports("a command", [sys.executable, "-c", "import time, pandas; time.sleep(0.5)"])
    seconds = table.set_index("variant")["median"]
    assert list(seconds) == sorted(seconds, reverse=True)
    assert seconds[spent.REST] >= 0.5
    assert seconds["pandas and pyarrow"] > seconds[spent.OTHERS] > 0
    assert spent.TORCH not in seconds


def test_what_torch_imports_later_is_not_what_it_imports_at_once() -> None:
    table = spent.imports("a command", [sys.executable, "-c", "import torch, torch.utils.tensorboard"])
    seconds = table.set_index("variant")["median"]
    assert seconds[spent.TORCH] > seconds["TensorBoard and protobuf"] > 0


def test_a_command_that_fails_has_no_rows() -> None:
    with pytest.raises(BadInput, match="failed with exit code 3"):
        spent.imports("a command", [sys.executable, "-c", "raise SystemExit(3)"])


def test_functions_have_their_share_of_a_commands_time(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\ndef sleep(): time.sleep(0.2)\ndef other(): time.sleep(0.1)\nsleep()\nsleep()\nother()\n"
    )
    of = {"both": ("script.py", "sleep"), "the other": ("script.py", "other"), "none": ("script.py", "another")}
    share = spent.functions("a command", [sys.executable, str(script)], of).set_index("variant")["median"]
    assert 0.5 < share["both"] < 0.9
    assert 0.05 < share["the other"] < share["both"] / 2
    assert share["none"] == 0


def test_the_reports_functions_are_there() -> None:
    for file, name in whole.OF_REPORT.values():
        assert re.search(rf"^def {name}\(", (whole.ROOT / "src" / file).read_text(), re.MULTILINE)


def test_a_runs_seconds_are_those_of_all_its_steps_and_of_each_time_that_a_probe_looks(
    small: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    def two_seconds(variant: Variant, calls: int) -> float:
        called.append(calls)
        assert variant.call() is None or calls == 1  # a step returns nothing, a probe what it saw
        return 2.0

    monkeypatch.setattr(spent, "seconds", two_seconds)
    config = small("network=mlp_bn", "steps=50", "probes.evaluate_every=20", "probes.activation_steps=1", "seeds=[0,1]")
    table = spent.run("a run", config)
    assert dict(zip(table["variant"], table["median"], strict=True)) == {
        "50 steps of 2 replicas": 2.0 * 50 / spent.STEPS,
        "Accuracy × 3": 2.0 * 3,
        "Norms × 1": 2.0,
        "NonlinearityInputs × 1": 2.0,
    }
    assert called == [n for n in (1, spent.STEPS, 1, 1, 1) for _ in range(spent.MEASUREMENTS)]

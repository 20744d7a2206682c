"""SIGKILL at random moments: the same command completes, with the tables and weights of an undisturbed run."""

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import children
import pytest
import torch

from bnrepro.compose import load
from bnrepro.record import Record
from bnrepro.run import run
from interruption import stored_state

RUN = ["network=mlp_bn", "steps=300", "batch_size=60", "probes.evaluate_every=5", "runtime.checkpoint_every=6"]
PLACES = {  # module and function in whose middle the process dies, in which call at most, within how many seconds
    "step": ("bnrepro.train", "advance", 8, 0.002),
    "evaluation": ("bnrepro.probes", "evaluate", 2, 0.002),
    "checkpoint write": ("bnrepro.checkpoint", "write_bytes", 2, 0.004),
    "table write": ("bnrepro.record", "write_bytes", 2, 0.004),
}


def die(place: str, after: int, delay: float, within: str, *overrides: str) -> None:
    """Train, and end by SIGKILL ``delay`` seconds into the call number ``after`` of what happens at ``place``.

    The file ``within`` is there if that call had not come to its end.
    """
    import importlib

    module, name, *_ = PLACES[place]
    holder: Any = importlib.import_module(module)
    original, calls = getattr(holder, name), [0]

    def kill() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] != after:
            return original(*arguments, **named)
        Path(within).write_text("")
        threading.Thread(target=kill).start()
        result = original(*arguments, **named)
        Path(within).unlink()
        return result

    setattr(holder, name, counted)
    children.train(*overrides)


def test_killed_twenty_times_a_run_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    undisturbed = run(load([*children.SMALL, *RUN, f"runs_root={tmp_path / 'undisturbed'}"]))
    chance = random.Random(0)
    overrides = [*RUN, f"runs_root={tmp_path / 'runs'}"]
    record = Record.of(load([*children.SMALL, *overrides]))
    killed, hit = dict.fromkeys(PLACES, 0), set[str]()
    for number in range(20):
        place = list(PLACES)[number % len(PLACES)]
        calls, seconds = PLACES[place][2:]
        after, delay = chance.randint(1, calls), chance.uniform(0, seconds) if number >= len(PLACES) else 0.0
        within = tmp_path / f"within-{number}"
        code, said = children.finish(die, tmp_path / f"said-{number}", place, after, delay, str(within), *overrides)
        assert code == -signal.SIGKILL, (place, after, said)
        killed[place] += 1
        hit |= {place} if within.exists() else set()
        assert not record.ended
    assert set(killed.values()) == {5}
    assert len(hit) >= 2  # in its middle; where what happens at a place is short, right after it: chance has it so
    code, said = children.finish(children.train, tmp_path / "said", *overrides)
    assert code == 0, said
    assert record.metrics.read_bytes() == undisturbed.metrics.read_bytes()
    theirs = stored_state(undisturbed)
    for name, value in stored_state(record).items():
        assert torch.equal(value, theirs[name]), name
    assert not list(record.folder.glob(".*.part"))


@pytest.mark.parametrize("place", ["checkpoint write", "table write"])
def test_killed_as_it_ends_a_run_is_ended_by_the_same_command(place: str, tmp_path: Path) -> None:
    """After the last step, in the writes that end it."""
    end = ["network=mlp", "steps=10", "runtime.checkpoint_every=1000", f"runs_root={tmp_path / 'runs'}"]
    undisturbed = run(load([*children.SMALL, *end, f"runs_root={tmp_path / 'undisturbed'}"]))
    code, said = children.finish(die, tmp_path / "said", place, 1, 0.001, str(tmp_path / "within"), *end)
    assert code == -signal.SIGKILL, said
    code, said = children.finish(children.train, tmp_path / "again", *end)
    assert code == 0, said
    record = Record.of(load([*children.SMALL, *end]))
    assert record.status["status"] == "finished"
    assert record.metrics.read_bytes() == undisturbed.metrics.read_bytes()

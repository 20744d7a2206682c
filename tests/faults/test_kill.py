"""SIGKILL at random moments: the same command completes, with the tables and weights of an undisturbed run."""

import os
import random
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import children
from bnrepro.compose import grid
from bnrepro.config import RunConfig
from bnrepro.record import Record
from bnrepro.run import run
from conftest import load
from interruption import stored_state

RUN = ["network=mlp_bn", "steps=300", "batch_size=60", "probes.evaluate_every=5", "runtime.checkpoint_every=6"]
PLACES = {  # module and function in whose middle the process dies, in which call at most, within how many seconds
    "step": ("bnrepro.train", "advance", 8, 0.002),
    "evaluation": ("bnrepro.probes", "evaluate", 2, 0.002),
    "checkpoint write": ("bnrepro.checkpoint", "write_bytes", 2, 0.004),
    "table write": ("bnrepro.record", "write_bytes", 2, 0.004),
}


def die(place: str, after: int, delay: float, within: str, config: RunConfig) -> None:
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
    run(config)


def test_killed_twenty_times_a_run_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    undisturbed = run(load([*children.SMALL, *RUN, f"runs_root={tmp_path / 'undisturbed'}"]))
    chance = random.Random(0)
    overrides = [*RUN, f"runs_root={tmp_path / 'runs'}"]
    config = load([*children.SMALL, *overrides])
    record = Record.of(config)
    hit = set[str]()
    for number in range(20):
        place = list(PLACES)[number % len(PLACES)]
        calls, seconds = PLACES[place][2:]
        after, delay = chance.randint(1, calls), chance.uniform(0, seconds) if place in hit else 0.0
        within = tmp_path / f"within-{number}"
        code, said = children.finish(die, tmp_path / f"said-{number}", place, after, delay, str(within), config)
        assert code == -signal.SIGKILL, (place, after, said)
        hit |= {place} if within.exists() else set()
        assert not record.ended
    assert hit == set(PLACES)  # each once in its middle at least, the other times perhaps right after it
    code, said = children.finish(children.train, tmp_path / "said", *overrides)
    assert code == 0, said
    assert record.metrics.read_bytes() == undisturbed.metrics.read_bytes()
    theirs = stored_state(undisturbed)
    for name, value in stored_state(record).items():
        assert torch.equal(value, theirs[name]), name
    assert not list(record.folder.glob(".*.part"))


def die_in_a_write(number: int, config: RunConfig) -> None:
    """Train, and end by SIGKILL before the call ``number`` of those that put the second checkpoint in its place."""
    from bnrepro import checkpoint

    writes, calls, write = [0], [0], checkpoint.write_bytes

    def counted(*arguments: Any, **named: Any) -> None:
        writes[0] += 1
        write(*arguments, **named)
        assert writes[0] == 1, f"the write has {calls[0]} calls"

    def dying(original: Any) -> Any:
        def call(*arguments: Any) -> Any:
            calls[0] += writes[0] == 2
            if calls[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        return call

    checkpoint.write_bytes = counted
    os.fsync = dying(os.fsync)
    Path.replace = dying(Path.replace)  # type: ignore[method-assign]
    run(config)


@pytest.mark.parametrize(("number", "step"), [(1, 10), (2, 10), (3, 10), (4, 20)])
def test_killed_at_any_call_of_a_checkpoints_write_a_run_goes_on_from_the_last_whole_one(
    number: int, step: int, tmp_path: Path
) -> None:
    """It writes the file through to the disk, keeps the one before it, puts it in its place, and keeps the names."""
    overrides = ["network=mlp", "steps=30", "runtime.checkpoint_every=10", f"runs_root={tmp_path / 'runs'}"]
    config = load([*children.SMALL, *overrides])
    code, said = children.finish(die_in_a_write, tmp_path / "said", number, config)
    assert code == -signal.SIGKILL, said
    code, said = children.finish(children.train, tmp_path / "again", *overrides)
    assert code == 0, said
    assert f"going on from step {step}\n" in said
    undisturbed = run(replace(config, runs_root=str(tmp_path / "alone")))
    assert Record.of(config).metrics.read_bytes() == undisturbed.metrics.read_bytes()


@pytest.mark.parametrize("place", ["checkpoint write", "table write"])
def test_killed_as_it_ends_a_run_is_ended_by_the_same_command(place: str, tmp_path: Path) -> None:
    """After the last step, in the writes that end it."""
    end = ["network=mlp", "steps=10", "runtime.checkpoint_every=1000", f"runs_root={tmp_path / 'runs'}"]
    undisturbed = run(load([*children.SMALL, *end, f"runs_root={tmp_path / 'undisturbed'}"]))
    config = load([*children.SMALL, *end])
    code, said = children.finish(die, tmp_path / "said", place, 1, 0.001, str(tmp_path / "within"), config)
    assert code == -signal.SIGKILL, said
    code, said = children.finish(children.train, tmp_path / "again", *end)
    assert code == 0, said
    record = Record.of(config)
    assert record.status["status"] == "finished"
    assert record.metrics.read_bytes() == undisturbed.metrics.read_bytes()


def test_a_sweep_that_is_killed_and_given_again_runs_only_what_was_hit(tmp_path: Path) -> None:
    jobs = ["network=mlp,mlp_bn", "seeds=[0],[1]", "steps=400", "runtime.checkpoint_every=50"]
    jobs += ["probes.evaluate_every=100", "probes.activation_steps=2"]
    sweep = ["-m", *jobs, f"runs_root={tmp_path / 'runs'}"]
    process = children.start(children.train, tmp_path / "killed", *sweep)
    end = time.monotonic() + 120
    while sum(1 for _ in tmp_path.rglob("checkpoint.pt")) < 2:  # the second run has begun
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    process.join()
    code, said = children.finish(children.train, tmp_path / "again", *sweep)
    assert code == 0, said
    assert said.count("finished already, nothing to do") == 1
    assert said.count("going on from step") == 1
    for overrides in grid([*children.SMALL, *jobs]):
        config = load(overrides)
        disturbed = Record.of(replace(config, runs_root=str(tmp_path / "runs")))
        undisturbed = run(replace(config, runs_root=str(tmp_path / "alone")))
        assert disturbed.metrics.read_bytes() == undisturbed.metrics.read_bytes()

"""Two processes on one run's folder."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

import children
from bnrepro.errors import BadInput
from bnrepro.record import Record
from bnrepro.run import run
from conftest import load


def hold(*overrides: str) -> None:
    with Record.of(load([*children.SMALL, *overrides])).locked():
        print("held", flush=True)
        time.sleep(600)


def test_the_second_says_who_holds_it_and_a_dead_holder_is_taken_over(tmp_path: Path) -> None:
    overrides = ["network=mlp", f"runs_root={tmp_path / 'runs'}"]
    config = load([*children.SMALL, *overrides])
    said = tmp_path / "said"
    holder = children.start(hold, said, *overrides)
    end = time.monotonic() + 60
    while "held" not in (said.read_text() if said.exists() else ""):
        assert time.monotonic() < end
        time.sleep(0.02)
    with pytest.raises(BadInput, match=rf"working on .*: number {holder.pid} on {socket.gethostname()} since"):
        run(config)
    assert holder.pid
    assert Record.of(config).held
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert run(config).ended

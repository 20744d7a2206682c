"""Processes of their own: their results, and what an interruption leaves of them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor

import pytest

from bnrepro.bench.processes import in_processes

INTERRUPTED = """
import sys, time
from bnrepro.bench.processes import in_processes
from bnrepro.stopping import Stopped, raising
if __name__ == "__main__":
    print("begun", flush=True)
    try:
        with raising():
            in_processes(time.sleep, (60,), (60,))
    except Stopped as stopped:
        sys.exit(stopped.code)
"""


def test_calls_have_their_arguments_in_other_processes() -> None:
    assert in_processes(divmod, (7, 2), (9, 4)) == [(3, 1), (2, 1)]
    assert os.getpid() not in in_processes(os.getpid, ())


def test_an_error_is_the_commands_and_a_killed_process_is_said() -> None:
    with pytest.raises(ZeroDivisionError):
        in_processes(divmod, (1, 0), (1, 1))
    with pytest.raises(BrokenExecutor):
        in_processes(signal.raise_signal, (signal.SIGKILL,))


@pytest.mark.parametrize("seconds", [0.2, 2.0])
def test_an_interruption_from_a_terminal_ends_all_without_a_word(seconds: float) -> None:
    """As they start, and at work: the terminal signals each of them."""
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert time.monotonic() - began < 20

"""The door of every command: what a person or the machine has got wrong is said in one message, with its exit code.

0: all is done; 1: a run failed, or the output cannot be written; 2: something given was wrong, or a file cannot be
reached; 130 and 143: ended by SIGINT and SIGTERM.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from bnrepro.errors import BadInput
from bnrepro.files import IN_THE_WAY, NO_FOLDER
from bnrepro.stopping import Stopped

MEMORY = (
    "there is not enough memory: lower batch_size, the number of seeds or optim.rates, model.width or model.hidden, or "
    "data.train_examples, or run fewer at once; the last checkpoint is whole, for the same command with more memory"
)
NO_MEMORY = ("memoryerror", "outofmemory", "allocate memory", "out of memory", "alloc_failed", "failed to map segment")


def command(work: Callable[[], int], interrupted: str) -> int:
    """Do a command's work and return its exit code; ``interrupted`` is said where a signal ends it."""
    _prepare_outputs()
    try:
        _check_current_folder()
        code = work()
        sys.stdout.flush()
        return code
    except BadInput as error:
        return refuse(str(error))
    except (KeyboardInterrupt, Stopped) as stopped:
        tell(interrupted)
        return stopped.code if isinstance(stopped, Stopped) else 130
    except Exception as error:
        refused = by_the_machine(error)
        if refused is None:
            raise
        return refused[0]


def by_the_machine(error: Exception) -> tuple[int, str] | None:
    """Say what the machine has refused; return the exit code and why, None where it is the program's own fault."""
    if isinstance(error, OSError) and output_gone(error):
        return output_closed(), "its output cannot be written"
    if lacks_memory(error):
        return lacking_memory(), MEMORY
    if isinstance(error, OSError) and error.filename is not None:
        return refuse(unreachable(error)), unreachable(error)
    return None


def _prepare_outputs() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started it, who wants no output
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # to the end of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: a folder's name may be no UTF-8


def _check_current_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise BadInput("the current folder is gone or may not be read; change to another one") from error


def refuse(message: str) -> int:
    """Print what was wrong and return the exit code 2."""
    tell(f"error: {message}")
    return 2


def tell(*lines: str) -> None:
    """Print lines on stderr; where that cannot be written there is nobody to tell, and the exit code says it."""
    try:
        print(*lines, sep="\n", file=sys.stderr, flush=True)
    except OSError:
        _to_nowhere(2)


def unreachable(error: OSError) -> str:
    """Say which file or folder cannot be reached, and why."""
    place = error.filename2 or error.filename  # of two, it is the new name that is taken
    advice = "move it away" if error.errno in (None, *IN_THE_WAY, *NO_FOLDER) else "allow it"
    return f"{place} cannot be reached ({error.strerror}); {advice}, or choose another place"


def output_gone(error: OSError) -> bool:
    """Say whether it is the output that cannot be written: what read it has gone, or its disk is full."""
    if isinstance(error, BrokenPipeError):
        return True
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def output_closed() -> int:
    """Say that the output cannot be written, as after ``| head``; return the exit code 1."""
    _to_nowhere(1)
    tell("error: the output cannot be written; the same command goes on from the last checkpoint")
    return 1


def _to_nowhere(descriptor: int) -> None:
    """Have an output that cannot be written lead to nothing, or Python would fail again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def lacking_memory() -> int:
    """Say what to lower where there is not enough memory; return the exit code 1."""
    tell(f"error: {MEMORY}")
    return 1


def lacks_memory(error: Exception) -> bool:
    """Say whether the host or the GPU had no memory left. torch has no one class for it."""
    if isinstance(error, OSError):  # whose words may hold a file's name
        return error.errno == errno.ENOMEM
    said = f"{type(error).__name__}: {error}".lower()
    return any(word in said for word in NO_MEMORY)

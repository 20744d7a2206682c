"""Processes of their own for what is measured: an interruption ends them with the command, and without a word."""

import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

T = TypeVar("T")


def in_processes(function: Callable[..., T], *given: tuple[Any, ...]) -> list[T]:
    """Call ``function`` with each of the arguments ``given``, in as many new processes; return the results.

    A terminal sends SIGINT to these too: they leave it to the command, which then ends them.

    Raises:
        concurrent.futures.BrokenExecutor: one of them was killed.
    """
    others = set(active_children())
    with ProcessPoolExecutor(len(given), get_context("spawn")) as pool:
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new processes have it from this one
            try:
                results = [pool.submit(function, *arguments) for arguments in given]
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            return [result.result() for result in results]
        except BaseException:
            for process in set(active_children()) - others:
                process.terminate()
            raise

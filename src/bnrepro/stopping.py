"""Being told to stop: work ends where it can go on later, with a checkpoint."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

TWICE = 0.2  # seconds within which signals are one: timeout and make send theirs to a process and to its group


class Stopped(BaseException):
    """A signal asked for an end, and it was made. No Exception, so that a sweep does not go on with its next run."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.code = 128 + signum  # what a shell reports of a process that a signal ended


def leaving() -> AbstractContextManager[None]:
    """While nothing is at work yet, SIGINT and SIGTERM end the process at once, with one line.

    An exception that cuts an import in two may leave modules that recurse.
    """
    return _answering(_leave)


def raising() -> AbstractContextManager[None]:
    """While something is at work that has no checkpoint, SIGINT and SIGTERM raise :class:`Stopped` at once."""
    return _answering(_raise)


@contextmanager
def _answering(answer: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Answer SIGINT and SIGTERM with ``answer``; handlers that others have set stay."""
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # the only one that may
        for signum in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
                before[signum] = signal.signal(signum, answer)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _raise(signum: int, frame: FrameType | None) -> None:
    raise Stopped(signum)


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"stopped; the same command, given again, goes on\n")  # print may be at work already
    os._exit(128 + signum)


class Worker:
    """In a process that a launcher keeps for the jobs of a sweep: SIGINT or SIGTERM ends its job and all after it.

    The command sends them on (:func:`tell_children`), so the process leaves its group: a terminal's Ctrl-C comes once.
    """

    _told: int | None = None  # of all jobs in this process
    _busy = False

    def __enter__(self) -> Self:
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, Worker._answer)
        try:
            Worker._busy = True  # before it is asked: a signal in between raises
            if Worker._told is not None:
                raise Stopped(Worker._told)
        except Stopped:
            Worker._busy = False
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Worker._busy = False
        if isinstance(error, Stopped):
            Worker._told = error.code - 128

    @staticmethod
    def _answer(signum: int, frame: FrameType | None) -> None:
        again, Worker._told = Worker._told is not None, signum
        if Worker._busy:
            raise Stopped(signum)
        if again:
            os._exit(128 + signum)


def tell_children(signum: int) -> None:
    """Send a signal on, once each, to the processes that this one has started by multiprocessing, as joblib does.

    To those too that it starts later: a launcher goes on with what it has begun.
    """
    told = set[int]()

    def tell() -> None:
        for pid in {child.pid for child in multiprocessing.active_children() if child.pid} - told:
            told.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signum)

    def go_on() -> None:
        while True:
            time.sleep(0.1)
            tell()

    tell()
    threading.Thread(target=go_on, daemon=True).start()


class StopRequest:
    """While it is entered, a first SIGINT or SIGTERM is only remembered; a second one ends the process at once.

    At once even where one operation takes long: Python's handlers wait for its end, so a thread counts the signals as
    they come. It needs an operation that lets other threads run, as torch's do.

    So is SIGUSR2 where it has a handler: submitit's, which puts the run's Slurm job into the queue again. It is called
    when the work has come to its end (:meth:`obey`), not in the middle of a step.

    Args:
        tell: is given the number of every signal, at once.
    """

    def __init__(self, tell: Callable[[int], None] = lambda signum: None) -> None:
        self._signum: int | None = None
        self._tell = tell
        self._before: dict[int, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # the only one that may
            signals = [signal.SIGINT, signal.SIGTERM]
            if callable(signal.getsignal(signal.SIGUSR2)):
                signals.append(signal.SIGUSR2)
            reader, self._wakeup = os.pipe()
            os.set_blocking(self._wakeup, False)
            self._wakeup_before = signal.set_wakeup_fd(self._wakeup)
            threading.Thread(target=self._count, args=(reader,), daemon=True).start()
            self._before = {signum: signal.signal(signum, self._remember) for signum in signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wakeup >= 0:
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._wakeup)  # which ends the thread
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        if self._signum is None:
            self._signum = signum
            self._tell(signum)

    def _count(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as signals:
            first = None
            while one := signals.read(1):
                if one[0] not in (signal.SIGINT, signal.SIGTERM):
                    continue
                first = first or time.monotonic()
                if time.monotonic() - first > TWICE:
                    self._tell(one[0])
                    os._exit(128 + one[0])

    def came(self) -> bool:
        """Say whether a signal came."""
        return self._signum is not None

    def obey(self) -> None:
        """Put the Slurm job into the queue again where there is one, else raise :class:`Stopped`."""
        requeue = self._before.get(signal.SIGUSR2)
        if requeue and self._signum != signal.SIGINT:
            requeue(signal.SIGUSR2, None)  # ends the process
        raise Stopped(self._signum or signal.SIGTERM)

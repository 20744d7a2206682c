"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bnrepro.probes import Measurement


class ProgressReport:
    """Shows steps a second, the time left and the last accuracy."""

    def __init__(self, name: str, start: int, steps: int, seconds_between_lines: float) -> None:
        self.name = name
        self.steps = steps
        self.start = self.step = start
        self.seconds_between_lines = seconds_between_lines
        self.accuracy = "no accuracy yet" if start < steps else "its tables made anew"
        self.began = self.said = time.monotonic()
        console = Console()
        self.bar: Progress | None = None
        if console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}")
            self.bar = Progress(*columns, console=console, refresh_per_second=4)
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=self.steps, completed=self.start, state="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()
        if kind is None:
            print(f"{self.name}: {self.state()}", flush=True)

    def add(self, step: int, measurements: list[Measurement]) -> None:
        """Remember the last accuracy."""
        for m in measurements:
            if (m.split, m.metric) == ("test", "accuracy"):
                values = m.values
                spread = f" ({values.min():.4f} to {values.max():.4f})" if len(values) > 1 else ""
                self.accuracy = f"test accuracy {values.mean():.4f}{spread}"

    def at(self, step: int) -> None:
        """Say where the run is, if it is time to."""
        self.step = step
        now = time.monotonic()
        if now - self.said < (0.25 if self.bar else self.seconds_between_lines):
            return
        self.said = now
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=step, state=self.state())
        else:
            print(f"{self.name}: {self.state()}", flush=True)

    def state(self) -> str:
        """Describe how far the run is in one line."""
        spent = max(time.monotonic() - self.began, 1e-9)
        rate = (self.step - self.start) / spent
        left = (self.steps - self.step) / rate if rate > 0 else float("nan")
        clock = f"{left // 60:.0f} min {left % 60:02.0f} s left" if rate > 0 else "time left unknown"
        pace = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
        return f"step {self.step:,} of {self.steps:,}, {pace} steps/s, {clock}, {self.accuracy}"

"""Progress of long work on stderr: a bar on a terminal, elsewhere a line a minute; and logging to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from mentallama.errors import printable

LINE_SECONDS = 60.0
"""Seconds between two lines of progress where there is no terminal."""


class ProgressCallback(Protocol):
    """Report the amount done since the last call; `note` is shown beside the bar until the next call."""

    def __call__(self, amount: float, note: str = "") -> None: ...


LogFn = Callable[[str], None]
"""Function that logs one line."""


def log_to_stderr(line: str) -> None:
    """Write a line to stderr and flush it."""
    print(printable(line), file=sys.stderr, flush=True)


class ProgressLines:
    """Progress where there is no terminal, such as a log file: a line every `LINE_SECONDS`.

    The first amount that comes with a note gets a line at once, so that training shows that it has begun. The remaining
    time is estimated from what was done since then.

    Parameters
    ----------
    total
        The whole amount; None if it is not known.
    done
        The amount already done at the start.
    log
        Receives the lines.
    clock
        Returns seconds.
    """

    def __init__(
        self, description: str, total: float | None, done: float, log: LogFn, clock: Callable[[], float]
    ) -> None:
        self._description, self._total, self._log, self._clock = description, total, log, clock
        self._start, self._done_at_start, self._done = clock(), done, done
        self._last_line, self._has_begun = self._start, False

    def __call__(self, amount: float, note: str = "") -> None:
        self._done += amount
        now = self._clock()
        begins = bool(note) and not self._has_begun
        if begins or now - self._last_line >= LINE_SECONDS:
            self._log(self._line(now - self._start, note))
            self._last_line = now
        if begins:
            self._has_begun, self._start, self._done_at_start = True, now, self._done

    def _line(self, seconds: float, note: str) -> str:
        parts = [f"{self._done:,.0f} done"]
        made = self._done - self._done_at_start
        if self._total:
            parts = [f"{self._done:,.0f} of {self._total:,.0f} ({self._done / self._total:.0%})"]
            if made > 0 and seconds > 0:
                left = seconds * max(0.0, self._total - self._done) / made
                parts.append(f"about {_duration(left)} left")
        return f"{self._description}: {', '.join([*parts, *([note] if note else [])])}"


def _duration(seconds: float) -> str:
    """A rough duration: `40 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def progress_bar(description: str, total: float | None, done: int = 0) -> Iterator[ProgressCallback]:
    """Show progress until the block ends; yields the callback that advances it.

    `done` is the amount already done at the start; the remaining time is estimated from progress made after it.
    """
    if not sys.stderr.isatty():
        yield ProgressLines(description, total, done, log_to_stderr, time.monotonic)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(description), total=total, completed=done, note="")
        yield lambda amount, note="": bar.update(task, advance=amount, note=printable(note))

"""Progress of long work on stderr: bars on a terminal, elsewhere a line every 30 seconds; and logging to stderr.

Work that nests shows all its bars on a terminal; elsewhere the innermost work speaks. Under torchrun only the first
process shows anything.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mentallama.errors import printable
from mentallama.parallel import is_torchrun

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 30.0
"""Seconds between two lines of progress where there is no terminal."""

TICK_SECONDS = 1.0
"""Seconds between two looks at the clock: the most that a line is late."""


class ProgressCallback(Protocol):
    """Report the amount done since the last call; `note` is shown beside the bar until the next call."""

    def __call__(self, amount: float, note: str = "") -> None: ...


LogFn = Callable[[str], None]
"""Function that logs one line."""


def log_to_stderr(line: str) -> None:
    """Write a line to stderr and flush it."""
    print(printable(line), file=sys.stderr, flush=True)


class ProgressLines:
    """Progress where there is no terminal, such as a log file: a line every `LINE_SECONDS`, if `tick` is called.

    The first amount that comes with a note gets a line at once, so that training shows that it has begun. Rate and
    remaining time are estimated from what was done since then.

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
    unit
        Plural of what is counted, such as posts.
    """

    def __init__(
        self,
        description: str,
        total: float | None,
        done: float,
        log: LogFn,
        clock: Callable[[], float],
        unit: str = "",
    ) -> None:
        self._description, self._total, self._log, self._clock = description, total, log, clock
        self._unit, self._note = f" {unit}" if unit else "", ""
        self._began = self._start = self._last_line = clock()
        self._done_at_start = self._done = done
        self._has_begun = False
        self._lock = threading.Lock()

    def __call__(self, amount: float, note: str = "") -> None:
        with self._lock:
            self._done, self._note = self._done + amount, note
            if note and not self._has_begun:
                self._has_begun, self._start, self._done_at_start = True, self._clock(), self._done
                self._speak()
        self.tick()

    def tick(self) -> None:
        """Log a line if it is time."""
        with self._lock:
            if self._clock() - self._last_line >= LINE_SECONDS:
                self._speak()

    def restart_clock(self) -> None:
        """Put off the next line, because other work has just spoken."""
        with self._lock:
            self._last_line = self._clock()

    def _speak(self) -> None:
        self._last_line = self._clock()
        self._log(f"{self._description}: {', '.join(self._parts(self._last_line))}")

    def _parts(self, now: float) -> Iterator[str]:
        if self._total is None and not self._done:
            yield f"still working, {_duration(now - self._began)}"
        else:
            yield self._amount()
        made, seconds = self._done - self._done_at_start, now - self._start
        if made > 0 and seconds > 0:
            yield _rate(made / seconds)
            if self._total:
                left = seconds * max(0.0, self._total - self._done) / made
                yield f"about {_duration(left)} left"
        if self._note:
            yield self._note

    def _amount(self) -> str:
        if self._total is None:
            return f"{self._done:,.0f}{self._unit} done"
        share = f" ({self._done / self._total:.0%})" if self._total else ""
        return f"{self._done:,.0f} of {self._total:,.0f}{self._unit}{share}"


def _duration(seconds: float) -> str:
    """A rough duration: `40 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _rate(per_second: float) -> str:
    """A rate by the shortest period in which it is at least 1: `1,200/s`, `3/min`, `2/h`."""
    periods = ((1, "s"), (60, "min"), (3600, "h"), (86400, "day"))
    seconds, name = next((period for period in periods if per_second * period[0] >= 1), periods[-1])
    return f"{per_second * seconds:,.0f}/{name}"


_line_stack: list[ProgressLines] = []
_bar_stack: list[Progress] = []
"""Work that is shown now, the outermost first; a process has one stderr, and so one such list of each kind."""


@contextmanager
def progress_bar(
    description: str, total: float | None, done: int = 0, unit: str = ""
) -> Iterator[ProgressCallback]:
    """Show progress until the block ends; yields the callback that advances it.

    Parameters
    ----------
    total
        The whole amount; None if it is not known.
    done
        The amount already done at the start; rate and remaining time are estimated from progress made after it.
    unit
        Plural of what is counted, such as posts.
    """
    if is_torchrun() and os.environ["RANK"] != "0":
        yield _show_nothing
    elif sys.stderr.isatty():
        with _terminal_bar(description, total, done) as bar:
            yield bar
    else:
        with _ticking(ProgressLines(description, total, done, log_to_stderr, time.monotonic, unit)) as lines:
            yield lines


@contextmanager
def heartbeat(description: str) -> Iterator[None]:
    """Show that work of unknown length goes on: `description: still working, 2 min`; also a decorator."""
    with progress_bar(description, None):
        yield


def _show_nothing(amount: float, note: str = "") -> None:
    """Progress callback of processes that show no progress."""


@contextmanager
def _ticking(lines: ProgressLines) -> Iterator[ProgressLines]:
    """Let a thread tick while the block runs, except while inner work is shown."""
    stop = threading.Event()

    def tick_until_stopped() -> None:
        while not stop.wait(TICK_SECONDS):
            if _line_stack[-1:] == [lines]:
                lines.tick()

    thread = threading.Thread(target=tick_until_stopped, name="progress", daemon=True)
    _line_stack.append(lines)
    thread.start()
    try:
        yield lines
    finally:
        stop.set()
        thread.join()
        _line_stack.remove(lines)
        for outer in _line_stack[-1:]:
            outer.restart_clock()


@contextmanager
def _terminal_bar(description: str, total: float | None, done: int) -> Iterator[ProgressCallback]:
    """A bar below those of the work around it. It stays when its work is done; without a total it goes."""
    with _shared_bars() as bars:
        left = "" if total is None else "left"
        task = bars.add_task(printable(description), total=total, completed=done, left=left, note="")
        try:
            yield lambda amount, note="": bars.update(task, advance=amount, note=printable(note))
        finally:
            if total is None:
                bars.remove_task(task)


@contextmanager
def _shared_bars() -> Iterator[Progress]:
    """The bars of the terminal, which end with the outermost work."""
    if _bar_stack:
        yield _bar_stack[0]
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # Standard output may be a file or a pipe: what is printed there must not end up between the bars.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bars:
        _bar_stack.append(bars)
        try:
            yield bars
        finally:
            _bar_stack.remove(bars)

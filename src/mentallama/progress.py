"""Progress bar with the remaining time, on stderr if that is a terminal; and logging to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class ProgressCallback(Protocol):
    """Report the amount done since the last call; `note` is shown beside the bar until the next call."""

    def __call__(self, amount: float, note: str = "") -> None: ...


def _no_progress(amount: float, note: str = "") -> None:
    """Callback for output that is not a terminal."""


@contextmanager
def progress_bar(description: str, total: float | None, done: int = 0) -> Iterator[ProgressCallback]:
    """Show a progress bar until the block ends; yields the callback that advances it.

    `done` is the amount already done at the start; the remaining time is estimated from progress made after it.
    """
    if not sys.stderr.isatty():
        yield _no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, completed=done, note="")
        yield lambda amount, note="": bar.update(task, advance=amount, note=note)


LogFn = Callable[[str], None]
"""Function that logs one line."""


def log_to_stderr(line: str) -> None:
    """Write a line to stderr and flush it."""
    print(line, file=sys.stderr, flush=True)

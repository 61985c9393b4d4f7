"""A progress bar with the time left, on the error stream of a terminal; nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class ProgressCallback(Protocol):
    """Tell of the amount done since the last call; `told` stands behind the bar until the next."""

    def __call__(self, amount: float, told: str = "") -> None: ...


def _no_progress(amount: float, told: str = "") -> None:
    """Where nobody looks on."""


@contextmanager
def progress_bar(description: str, total: float | None, done: int = 0) -> Iterator[ProgressCallback]:
    """Show `what` until the block ends; call what is yielded with the amount done since the last call.

    `done` is what was done before: the time left is reckoned by what is done from now on.
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
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, completed=done, told="")
        yield lambda amount, told="": bar.update(task, advance=amount, told=told)


LogFn = Callable[[str], None]
"""Receives a line of log."""


def log_to_stderr(line: str) -> None:
    """Log to the error stream at once, past a progress bar."""
    print(line, file=sys.stderr, flush=True)

"""Signals that end a command: it stops in order, says so in one sentence, and exits as a shell expects."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Sent by `kill`, by schedulers and at shutdown; and when the terminal is closed. Ctrl-C is Python's own."""

EXIT_SIGNAL_BASE = 128
"""A shell reports a command that a signal ended with this number plus the signal's."""

EXIT_INTERRUPTED = EXIT_SIGNAL_BASE + signal.SIGINT


class Terminated(SystemExit):
    """Raised in the main thread on a signal, so that locks are released and no worker process is left.

    An event loop passes on SystemExit, and no other exception that is not an `Exception`.
    """

    def __init__(self, number: int) -> None:
        super().__init__(EXIT_SIGNAL_BASE + number)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Raise `Terminated` on the first of these signals; a second one ends the process at once.

    A signal that is ignored, as under `nohup`, stays ignored.
    """
    handled = [number for number in ENDING_SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    for number in handled:
        signal.signal(number, _raise_terminated)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def ending_sentence(code: object) -> str | None:
    """The sentence for the exit code of a command that a signal ended; None for other codes."""
    if code == EXIT_INTERRUPTED:
        return "interrupted; the same command resumes after the last finished stage"
    for number in ENDING_SIGNALS:
        if code == EXIT_SIGNAL_BASE + number:
            return f"ended by {number.name}; the same command resumes after the last finished stage"
    return None


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)

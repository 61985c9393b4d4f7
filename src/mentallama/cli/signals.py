"""Signals that end a command: it stops in order, says so in one sentence, and exits as a shell expects."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

INITIAL_HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
}
"""Signals that end a command (sent by Ctrl-C; when the terminal is closed; by `kill`, schedulers and a shutdown), and
what handles each if nobody has decided otherwise."""

EXIT_SIGNAL_BASE = 128
"""A shell reports a command that a signal ended with this number plus the signal's."""


RESEND_SECONDS = 0.05
"""Time after which a signal is sent again that reached Python where it ignores exceptions."""


class Terminated(SystemExit):
    """Raised in the main thread on a signal, so that locks are released and no worker process is left.

    An event loop passes on SystemExit, and no other exception that is not an `Exception`. Ctrl-C raises it too: once a
    KeyboardInterrupt was raised inside `exec`, which defines dataclasses, Python ends by the signal whoever caught it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(EXIT_SIGNAL_BASE + number)
        self.number = number


@contextmanager
def signals_as_exit(afterwards: signal.Handlers | None = None) -> Iterator[None]:
    """Raise `Terminated` on the first of these signals; a second one ends the process at once.

    A signal that is ignored, as under `nohup`, stays ignored. `afterwards` handles the signals from then on, None: what
    did before.
    """
    handled = {
        number: before for number, before in INITIAL_HANDLERS.items() if signal.getsignal(number) == before
    }
    for number in handled:
        signal.signal(number, _raise_terminated)
    before_hook, sys.unraisablehook = sys.unraisablehook, _send_again
    try:
        yield
    finally:
        sys.unraisablehook = before_hook
        for number, before in handled.items():
            signal.signal(number, before if afterwards is None else afterwards)


def ending_sentence(code: object) -> str | None:
    """The sentence for the exit code of a command that a signal ended; None for other codes."""
    for number in INITIAL_HANDLERS:
        if code == EXIT_SIGNAL_BASE + number:
            ended = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
            return f"{ended}; the same command resumes"
    return None


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)


def _send_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Send a signal again that came inside a destructor or a callback, where Python ignores what is raised.

    It comes from a thread, a little later, because the main thread is still inside the callback.
    """
    if not isinstance(unraisable.exc_value, Terminated):
        sys.__unraisablehook__(unraisable)
        return
    number = unraisable.exc_value.number
    signal.signal(number, _raise_terminated)
    again = Timer(RESEND_SECONDS, signal.raise_signal, (number,))
    again.daemon = True
    again.start()

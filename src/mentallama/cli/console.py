"""Standard streams that can print any text, whatever their encoding, and the report of an unexpected error."""

from __future__ import annotations

import codecs
import io
import json
import os
import shutil
import sys
import textwrap
import traceback
from typing import Any

import typer

from mentallama.program import PROGRAM

DEBUG_VARIABLE = "MENTALLAMA_DEBUG"
"""Environment variable; if it is set, an unexpected error shows its traceback."""

_ERROR_HANDLER = "mentallama.readable"

_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "→": "->", "\u00a0": " "}
)
"""Typographic characters of our own messages and tables, as they are written in ASCII."""


def prepare_streams() -> None:
    """Let standard output and error print any text, and replace closed ones by the null device.

    A character that the encoding lacks is written in ASCII or as a backslash escape. A closed stream is opened because
    the next file would otherwise get its number, and the output of a library with it.
    """
    codecs.register_error(_ERROR_HANDLER, _encode_readably)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERROR_HANDLER)


def _encode_readably(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end


def discard_output() -> None:
    """Send what is still buffered nowhere, after the reader of our output has exited."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(null, stream.fileno())


def echo_json(value: Any) -> None:
    """Print a value as JSON; in ASCII if the terminal's encoding is not a Unicode one."""
    unicode_output = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    typer.echo(json.dumps(value, ensure_ascii=not unicode_output, indent=2))


def unexpected_error_sentence(error: BaseException) -> str:
    """Kind and place of an error that is a fault of the program. Its own message is left out: it may quote a post."""
    if isinstance(error, MemoryError):
        return "there is not enough memory; use fewer processes (--set jobs=1) or smaller batches"
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(PROGRAM):
        library = error.name.partition(".")[0]
        return f"the library {library} is not installed; `pip check` lists what is missing, pip installs it"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "mentallama" in frame.filename] or frames
    place = f" in {os.path.basename(ours[-1].filename)}, line {ours[-1].lineno}" if ours else ""  # noqa: PTH119
    return (
        f"unexpected {type(error).__name__}{place}: please report this line and the command; {DEBUG_VARIABLE}=1 shows "
        "the traceback, which can quote posts, so read it before you pass it on"
    )


def echo_wrapped(line: str, indent: int = 0) -> None:
    """Print a line, wrapped between words to the terminal, with an indent for the lines that follow.

    Without a terminal it is printed as it is. Words longer than a line, such as a path, stay whole.
    """
    width = terminal_width()
    if width is not None and len(line) > width:
        line = textwrap.fill(
            line, max(width, 2 * indent), subsequent_indent=" " * indent,
            break_long_words=False, break_on_hyphens=False, replace_whitespace=False, drop_whitespace=True,
        )  # fmt: skip
    typer.echo(line)


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None if it is a file or a pipe, which has no width."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns

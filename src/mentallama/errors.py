"""Errors shown to the user. Each message is one sentence: what was found, where, and what to do.

No message contains post text, a name or an API key.
"""

from __future__ import annotations

import re
from pathlib import Path

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_TOO_MANY_REJECTS = 0, 1, 2, 3
"""Exit codes of every command."""


_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters except tab and line break, marks that reorder or hide text, and bytes that are no text."""


def printable(text: str) -> str:
    r"""Text of others, such as a file's or a set's name, as it may be shown: control characters are spelled out.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _UNPRINTABLE.sub(lambda char: char[0].encode("unicode_escape").decode("ascii"), text)


def on_one_line(text: str) -> str:
    r"""Text of others within a line of its own, such as an entry of a list: line breaks and tabs are spelled out too.

    >>> on_one_line("a\nb")
    'a\\nb'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def counted(number: int, noun: str) -> str:
    """A number with its noun, whose plural has an s.

    >>> counted(1, "post"), counted(0, "row"), counted(12_345, "row")
    ('1 post', '0 rows', '12,345 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class MentallamaError(Exception):
    """Base class of errors that are shown as one sentence, without a traceback."""

    exit_code = EXIT_FAILED

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(MentallamaError):
    """A name, path or setting given by the user does not exist or is not valid."""

    exit_code = EXIT_USAGE


class DataError(MentallamaError):
    """A file is damaged or does not have the expected content.

    Parameters
    ----------
    what
        The problem, without post text.
    file
        The file that has the problem.
    row
        Row as a spreadsheet numbers it, the header being row 1; None if the whole file is meant.
    """

    def __init__(self, what: str, file: Path | str, row: int | None = None) -> None:
        self.problem, self.file, self.row = what, str(file), row
        location = self.file if row is None else f"{self.file}, row {row}"
        super().__init__(f"{location}: {what}")

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, int | None]]:
        return DataError, (self.problem, self.file, self.row)


class TooManyRejectsError(MentallamaError):
    """The work is finished and written, but more rows were rejected than the recipe allows."""

    exit_code = EXIT_TOO_MANY_REJECTS

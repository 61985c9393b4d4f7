"""The errors a user sees. Each is one sentence: what was found, where, what to do.

No message holds post text, a name or a key.
"""

from __future__ import annotations

from pathlib import Path

DONE, FAILED, WRONG_USE, TOO_MANY_REJECTS = 0, 1, 2, 3
"""Exit codes of every command (DESIGN 8)."""


class MentallamaError(Exception):
    """Base of every error that is shown as one sentence without a traceback."""

    exit_code = FAILED


class WrongUse(MentallamaError):
    """Something the user asked for does not exist or does not fit: a name, a path, a setting."""

    exit_code = WRONG_USE


class BadData(MentallamaError):
    """A file does not hold what it should.

    Parameters
    ----------
    what
        The fault, without post text.
    file
        The file it stands in.
    row
        The row as a spreadsheet counts it: the header is row 1. None where the whole file is meant.
    """

    def __init__(self, what: str, file: Path | str, row: int | None = None) -> None:
        self.what, self.file, self.row = what, str(file), row
        place = self.file if row is None else f"{self.file}, row {row}"
        super().__init__(f"{place}: {what}")

    def __reduce__(self) -> tuple[type[BadData], tuple[str, str, int | None]]:
        return BadData, (self.what, self.file, self.row)


class TooManyRejects(MentallamaError):
    """The work was finished and written, but more rows were rejected than the recipe allows."""

    exit_code = TOO_MANY_REJECTS

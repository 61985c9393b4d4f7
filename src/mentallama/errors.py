"""The errors a user sees. Each is one sentence: what was found, where, what to do.

No message holds post text, a name or a key.
"""

from __future__ import annotations

from pathlib import Path

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_TOO_MANY_REJECTS = 0, 1, 2, 3
"""Exit codes of every command (DESIGN 8)."""


class MentallamaError(Exception):
    """Base of every error that is shown as one sentence without a traceback."""

    exit_code = EXIT_FAILED


class UsageError(MentallamaError):
    """Something the user asked for does not exist or does not fit: a name, a path, a setting."""

    exit_code = EXIT_USAGE


class DataError(MentallamaError):
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
        self.problem, self.file, self.row = what, str(file), row
        place = self.file if row is None else f"{self.file}, row {row}"
        super().__init__(f"{place}: {what}")

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, int | None]]:
        return DataError, (self.problem, self.file, self.row)


class TooManyRejectsError(MentallamaError):
    """The work was finished and written, but more rows were rejected than the recipe allows."""

    exit_code = EXIT_TOO_MANY_REJECTS

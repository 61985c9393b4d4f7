"""Errors shown to the user. Each message is one sentence: what was found, where, and what to do.

No message contains post text, a name or an API key.
"""

from __future__ import annotations

from pathlib import Path

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_TOO_MANY_REJECTS = 0, 1, 2, 3
"""Exit codes of every command."""


class MentallamaError(Exception):
    """Base class of errors that are shown as one sentence, without a traceback."""

    exit_code = EXIT_FAILED


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

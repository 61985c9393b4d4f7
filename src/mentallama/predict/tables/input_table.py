"""A table of posts as a user has it: its rows as they are stored, and the text of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mentallama.errors import DataError, UsageError
from mentallama.files.tables import AS_NAMED, NumberedValues, TableLayout, UnreadableRow, read_verbatim
from mentallama.files.tables.rows import flatten, format_cell, shown_names

TEXT_COLUMNS = ("text", "body", "post", "selftext")
"""Names by which the column of the texts is recognised if it is not given."""


@dataclass(frozen=True)
class PostRow:
    """A row of a table: its number in a spreadsheet, its values as they are stored, and the text of its post.

    `problem` says why there is no text; None if there is one.
    """

    number: int
    values: Mapping[str, Any]
    text: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class InputTable:
    """A table of posts. The texts of several `text_columns` are joined by an empty line, as `collect` joins them.

    Parameters
    ----------
    path
        Where it is read from; `name` is what messages call it.
    layout
        Its format, if the file's name does not say so.
    limit
        Number of rows to read; None: all.
    """

    path: Path
    name: str
    text_columns: tuple[str, ...]
    layout: TableLayout = AS_NAMED
    encoding: str = "utf-8"
    limit: int | None = None

    def rows(self) -> Iterator[PostRow]:
        """The rows in order, unreadable ones included.

        Raises
        ------
        UsageError, DataError
            As `files.tables.read_table`, but for rows that cannot be read.
        """
        with _errors_under(self.name, self.path):
            for row in islice(read_verbatim(self.path, self.encoding, self.layout), self.limit):
                yield self._post_row(row)

    def _post_row(self, row: NumberedValues | UnreadableRow) -> PostRow:
        if isinstance(row, UnreadableRow):
            return PostRow(row.row, row.cells, problem=row.reason)
        number, values = row
        try:
            text = join_texts([_text_of(values, column) for column in self.text_columns])
        except ValueError as fault:
            return PostRow(number, values, problem=str(fault))
        return PostRow(number, values, text)


def open_input_table(
    path: Path,
    name: str,
    text_columns: Sequence[str],
    layout: TableLayout = AS_NAMED,
    encoding: str = "utf-8",
    limit: int | None = None,
) -> InputTable:
    """Find the columns of the texts by their names, in any case; without names, by `TEXT_COLUMNS`.

    Parameters
    ----------
    layout
        What the file's name does not say; its `columns` are ignored.

    Raises
    ------
    UsageError
        There is no such column, one is given twice, or none is given and not exactly one of `TEXT_COLUMNS` is there.
        The message names the columns.
    DataError
        The file is no table, or it has no rows.
    """
    with _errors_under(name, path):
        if not text_columns:
            text_columns = _usual_text_columns(path, name, layout, encoding)
        layout = replace(layout, columns=tuple(text_columns))
        columns = _first_columns(path, encoding, layout)
    resolved = tuple(find_column(column, columns) or column for column in text_columns)
    if repeated := next((column for column in resolved if resolved.count(column) > 1), None):
        raise UsageError(f"{name}: --text names the column {repeated!r} twice")
    return InputTable(path, name, resolved, replace(layout, columns=resolved), encoding, limit)


def _usual_text_columns(path: Path, name: str, layout: TableLayout, encoding: str) -> list[str]:
    """The only one of `TEXT_COLUMNS` that is there."""
    found = [
        column
        for column in TEXT_COLUMNS
        for known in _first_columns(path, encoding, replace(layout, columns=(column,)))
        if _fold(known) == column
    ]
    if len(found) != 1:
        columns = _first_columns(path, encoding, layout)
        raise UsageError(
            f"{name}: name the column of the texts with --text; the columns are {shown_names(columns)}"
        )
    return found


@contextmanager
def _errors_under(name: str, path: Path) -> Iterator[None]:
    """Let errors in the table name what the user named: a copy of standard input is in a temporary file."""
    try:
        yield
    except DataError as error:
        if error.file != str(path):
            raise
        raise DataError(error.problem, name, error.row) from None


def find_column(name: str, columns: Collection[str]) -> str | None:
    """The column of this name, else the only one that differs from it in nothing but case and spaces around it."""
    if name in columns:
        return name
    similar = [column for column in columns if _fold(column) == _fold(name)]
    return similar[0] if len(similar) == 1 else None


def require_column(table_name: str, option: str, column: str, columns: Collection[str]) -> None:
    """Raise `UsageError` if there is no such column, not even as a field of a nested one."""
    if column not in columns and column.partition(".")[0] not in columns:
        raise UsageError(
            f"{table_name}: there is no column {column!r} ({option}); the columns are {shown_names(columns)}"
        )


def join_texts(parts: Sequence[str]) -> str:
    """One text as it is, several without their empty ones, joined by an empty line."""
    return parts[0] if len(parts) == 1 else "\n\n".join(part.strip() for part in parts if part.strip())


def _first_columns(path: Path, encoding: str, layout: TableLayout) -> list[str]:
    """The columns of the first row that can be read."""
    for row in read_verbatim(path, encoding, layout):
        if not isinstance(row, UnreadableRow):
            return list(row[1])
        if row.cells:
            return list(row.cells)
    raise DataError("the file has no row that can be read", path)


def _text_of(values: Mapping[str, Any], column: str) -> str:
    """The text in a column; dots lead into nested objects."""
    value = values.get(column)
    if column not in values and "." in column:
        value = flatten({name: inner for name, inner in values.items() if column.startswith(f"{name}.")}).get(
            column
        )
    if isinstance(value, (dict, list)):
        raise ValueError(f"the cell of column {column!r} holds no text but a list or an object")
    try:
        return format_cell(value)
    except ValueError:
        raise ValueError(f"the cell of column {column!r} cannot be read as text") from None


def _fold(name: str) -> str:
    return name.strip().casefold()

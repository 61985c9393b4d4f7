"""Rows, layout options and cells that the readers of all table formats share."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn

from mentallama.errors import DataError
from mentallama.files.record_files import MAX_ROW_CHARS
from mentallama.text.repair import NUL_STAND_IN

NumberedCells = tuple[int, dict[str, str]]
"""Row number in a spreadsheet (the header is row 1), and cells by column name."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, as left in JSON where a text was truncated; not encodable as UTF-8."""

_NAME = re.compile(r"[^\s\"“{\[]*\s?[^\s\"“{\[]*")
"""A name of a column that is shown in errors: at most two words, and no JSON."""

Quoting = Literal["minimal", "backslash", "none"]


@dataclass(frozen=True)
class UnreadableRow:
    """A row that cannot be read; the rows after it can. `reason` contains no post text.

    `cells` holds what could be read of it, if the layout is `verbatim`.
    """

    row: int
    reason: str
    cells: Mapping[str, Any] = field(default_factory=dict)


Row = NumberedCells | UnreadableRow

NumberedValues = tuple[int, dict[str, Any]]
"""A row as it is stored: its number, and its values by column."""

BLANK_ROW = "the row is blank"


@dataclass(frozen=True)
class TableLayout:
    """How a file is laid out, where its name and its content do not say so.

    Parameters
    ----------
    columns
        Columns that are needed; a file without one of them is an error. A delimiter or a sheet that is not given is
        found by them.
    format
        Format by its suffix without the dot, such as "csv"; None: as the file name says.
    delimiter
        One character, or "whitespace".
    quoting
        "none": quotation marks are text; "minimal": they enclose cells, and are doubled within one; "backslash": they
        enclose cells, and stand after a backslash within one; None: decided by the structure of the file.
    sheet
        Sheet of a workbook.
    names
        Names of the columns of a file without a header.
    lists
        Columns whose cell may be a list in JSON or Parquet; it is then one cell, as JSON. Lists of other columns give a
        column for each element.
    verbatim
        Rows as they are stored, to be written again: columns keep their names, values their types, and a blank row is
        an `UnreadableRow` instead of being left out. `columns` then only helps to find the delimiter or the sheet.
    """

    columns: tuple[str, ...] = ()
    format: str | None = None
    delimiter: str | None = None
    quoting: Quoting | None = None
    sheet: str | None = None
    names: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    verbatim: bool = False


def format_cell(value: Any) -> str:
    """Format a value as a spreadsheet shows it: 1.0 becomes "1"; None and NaN become "".

    Raises
    ------
    ValueError
        The value is binary and not UTF-8.
    """
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value.replace("\0", NUL_STAND_IN))
    if value is None:
        return ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return format_cell(value.decode()) if isinstance(value, bytes) else str(value)


def flatten(record: Mapping[Any, Any], lists: Collection[str] = ()) -> dict[str, str]:
    """Format the values of a nested record; the keys that lead to a value are joined by dots.

    A list that stands under a name of `lists` is one cell, as JSON.

    >>> flatten({"id": 1, "data": {"title": "So tired", "tags": ["a"]}})
    {'id': '1', 'data.title': 'So tired', 'data.tags.0': 'a'}
    >>> flatten({"id": 1, "data": {"tags": ["a"]}}, lists=["data.tags"])
    {'id': '1', 'data.tags': '["a"]'}
    """
    cells: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, list) and key in lists:
            cells[str(key)] = format_cell(json.dumps(value, ensure_ascii=False, default=format_cell))
        elif isinstance(value, (dict, list)):
            items = value if isinstance(value, dict) else dict(enumerate(value))
            below = [name.removeprefix(f"{key}.") for name in lists if name.startswith(f"{key}.")]
            cells |= {f"{key}.{inner}": cell for inner, cell in flatten(items, below).items()}
        else:
            cells[str(key)] = format_cell(value)
    return cells


def header_names(path: Path, header: Sequence[str], layout: TableLayout) -> list[str]:
    """The names of the columns of a file: as `resolve_header` gives them or, verbatim, as they stand in the header.

    Verbatim, a second column without a name is called by its position, such as `column 3`.
    """
    if not layout.verbatim:
        return resolve_header(path, header, layout.columns)
    _check_header(path, header)
    first_blank = list(header).index("") if "" in header else None
    return [name or ("" if n == first_blank else f"column {n + 1}") for n, name in enumerate(header)]


def resolve_header(path: Path, header: Sequence[str], columns: Iterable[str]) -> list[str]:
    """The names of a header, each needed column under the name by which it is needed.

    A needed column that the header spells with other case or with spaces around it is found if there is only one.

    Raises
    ------
    DataError
        A needed column is missing, two columns have the same name, or the header is not text.
    """
    names = list(header)
    _check_header(path, names)
    for column in columns:
        similar = [number for number, name in enumerate(names) if _fold(name) == _fold(column)]
        if column not in names and len(similar) == 1:
            names[similar[0]] = column
    require_columns(path, names, columns)
    return names


def _check_header(path: Path, names: Iterable[str]) -> None:
    named = [name for name in names if name]
    if any(NUL_STAND_IN in name for name in named):
        raise DataError("the header has NUL bytes; is the encoding utf-16-le or utf-16-be?", path, 1)
    if len(set(named)) < len(named):
        raise DataError("two columns have the same name", path, 1)


def has_columns(header: Collection[str], columns: Iterable[str]) -> bool:
    """Whether a header has all columns, in any case."""
    return {_fold(column) for column in columns} <= {_fold(name) for name in header}


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip("\ufeff \t\r\n\xa0").casefold()


class MissingColumnsError(DataError):
    """A table lacks the columns `missing`."""

    def __init__(self, missing: Sequence[str], shown: str, path: Path) -> None:
        self.missing = tuple(missing)
        super().__init__(f"no column {', '.join(map(repr, missing))}; the columns are {shown}", path, 1)


def require_columns(path: Path, present: Iterable[str], columns: Iterable[str]) -> None:
    """Raise `DataError`, naming missing and present columns, unless all `columns` are present."""
    names, needed = list(present), list(columns)
    missing = [column for column in needed if column not in names]
    if missing:
        raise MissingColumnsError(missing, shown_names(names, is_header=len(missing) < len(needed)), path)


def shown_names(names: Iterable[str], is_header: bool = False) -> str:
    """The first names of columns as they may be shown in an error.

    Unless it is known to be a header, the names may be cells of the first row of a file that has none, and posts: only
    single words are shown then, and never more than a name.
    """
    return ", ".join(
        repr(name) if len(name) <= 30 and _NAME.fullmatch(name) and (is_header or " " not in name) else "…"
        for name in islice(names, 12)
    )


class SparseColumns:
    """Makes rows that may lack names (JSON, XML) into rows that all have the same columns.

    A missing name is an empty cell. A needed column that a row spells in other case is found if there is only one. A
    needed column that no row has is an error, raised by `require`. Verbatim, records stay as they are.
    """

    def __init__(self, layout: TableLayout) -> None:
        self._verbatim = layout.verbatim
        self._blank = dict.fromkeys(() if layout.verbatim else layout.columns, "")
        self._needed = frozenset(self._blank)
        self._unseen = set(self._needed)
        self._lists = frozenset(layout.lists)
        self._first: list[str] = []

    def cells_of(self, record: Mapping[Any, Any]) -> dict[str, Any]:
        """The cells of a row; raises `ValueError` as `format_cell`."""
        if self._verbatim:
            return {str(name): value for name, value in record.items()}
        cells = flatten(record, self._lists)
        for column in self._needed - cells.keys():
            similar = [name for name in cells if _fold(name) == _fold(column)]
            if len(similar) == 1:
                cells[column] = cells.pop(similar[0])
        if not self._first:
            self._first = list(cells)
            self._blank |= dict.fromkeys(cells, "")
        if self._unseen:
            self._unseen.difference_update(cells)
        return self._blank | cells

    def require(self, path: Path) -> None:
        if self._first and self._unseen:
            needed = [name for name in self._blank if name in self._unseen]
            require_columns(path, self._first, needed)


def fit_cells(header: list[str], cells: Sequence[str], number: int) -> Row:
    """Pair the cells of a row with the header; empty cells beyond it are left out."""
    if len(cells) > len(header) and not any(cell.strip() for cell in cells[len(header) :]):
        cells = cells[: len(header)]
    if len(cells) == len(header):
        return number, dict(zip(header, cells, strict=True))
    end = "; the file may be truncated" if len(cells) < len(header) else "; a cell may need quotation marks"
    return UnreadableRow(number, f"the row has {len(cells)} cells, the header {len(header)}{end}")


def too_long(path: Path, row: int) -> NoReturn:
    """Raise the error for a row that is longer than `MAX_ROW_CHARS`."""
    raise DataError(
        f"the row is longer than {MAX_ROW_CHARS:,} characters; this is no table of posts", path, row
    )


def require_rows(path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield all rows; raises `DataError` if there is none."""
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DataError("the file has a header and no rows", path)

"""Read delimited tables: CSV, TSV and columns separated by white space."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mentallama.errors import DataError, on_one_line
from mentallama.files.tables.lines import TextLines
from mentallama.files.tables.rows import (
    BLANK_ROW,
    Quoting,
    Row,
    TableLayout,
    UnreadableRow,
    fit_cells,
    has_columns,
    header_names,
)

WHITESPACE = "whitespace"
_DELIMITERS = ",;\t|"

SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE | re.DOTALL)
"""First line by which a spreadsheet program names the delimiter."""
_WELL_QUOTED = re.compile(r'[^"]*|"(?:[^"]|"")*"')
"""A cell as a program that quotes writes it: a quotation mark occurs only in an enclosed cell, and doubled."""
_END_OF_FILE = "\x1a"
"""Mark of the end of a file in DOS."""
_BLANK = f"{_END_OF_FILE} \t\r\n"
_LINE_BREAK = re.compile("\r\n?|\n")
_NUMBER, _WORD = re.compile(r"[+-]?\d+(?:[.,]\d+)?"), re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class _Dialect:
    """`has_sep_line`: the first line only names the delimiter. `guard`: no cell may hold the border of two rows."""

    delimiter: str
    quoting: Quoting
    has_sep_line: bool = False
    guard: bool = False


def delimited_reader(default_delimiter: str) -> Callable[[Path, str, TableLayout], Iterator[Row]]:
    """Reader of delimited tables whose delimiter is `default_delimiter` if nothing else is said or found."""

    def read(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
        dialect = _find_dialect(path, encoding, layout, default_delimiter)
        with TextLines(path, encoding) as lines:
            if dialect.has_sep_line:
                next(filter(str.strip, lines))
            try:
                yield from _read_rows(path, lines, layout, dialect)
            except csv.Error as fault:
                raise DataError(
                    f"not a table: {on_one_line(str(fault))}; the file may be truncated, or its quotation marks may be "
                    "text (--quoting none, in a recipe quoting: none) or marked by backslashes (quoting: backslash)",
                    path,
                    lines.rows + 1,
                ) from None

    return read


def _read_rows(path: Path, lines: TextLines, layout: TableLayout, dialect: _Dialect) -> Iterator[Row]:
    rows = _split(lines, dialect)
    header = header_names(path, list(layout.names) or _header(rows, lines), layout)
    for cells in rows:
        number = lines.end_row()
        # a blank line, or the mark of the end of a file in DOS
        if not cells or (len(cells) == 1 < len(header) and not cells[0].strip(_BLANK)):
            if layout.verbatim and cells != [_END_OF_FILE]:
                yield UnreadableRow(number, BLANK_ROW)
            continue
        row = fit_cells(header, cells, number)
        if isinstance(row, UnreadableRow) and len(cells) < len(header) and lines.is_cut_off:
            raise DataError(row.reason, path, number)
        if dialect.guard and any(
            _holds_row_border(cells, index, dialect.delimiter) for index in range(len(cells))
        ):
            raise DataError(
                "a cell in quotation marks spans several rows, or a text looks like rows; say with --quoting, in a "
                "recipe with the key quoting, whether quotation marks are text (quoting: none) or enclose cells "
                "(quoting: minimal)",
                path,
                number,
            )
        if layout.verbatim and isinstance(row, UnreadableRow):
            row = replace(row, cells=dict(zip(header, cells, strict=False)))
        yield row


def _header(rows: Iterator[list[str]], lines: TextLines) -> list[str]:
    """The first row that is not blank."""
    for cells in rows:
        lines.end_row()
        if any(map(str.strip, cells)):
            return cells
    return []


def _split(lines: TextLines, dialect: _Dialect) -> Iterator[list[str]]:
    if dialect.delimiter == WHITESPACE:
        return (line.split() for line in lines)
    if dialect.quoting == "none":
        return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, strict=True)
    escape = "\\" if dialect.quoting == "backslash" else None
    # strict: otherwise a file truncated inside a quoted cell yields a partial row
    return csv.reader(lines, delimiter=dialect.delimiter, escapechar=escape, strict=True)


def _find_dialect(path: Path, encoding: str, layout: TableLayout, default: str) -> _Dialect:
    with TextLines(path, encoding) as lines:
        first = next(filter(str.strip, lines), "")
        sep_line = SEP_LINE.fullmatch(first)
        if sep_line:
            first = next(lines, "")
        delimiter = layout.delimiter or (
            sep_line[1]
            if sep_line
            else find_delimiter(first, layout.columns, default, len(layout.names) or None)
        )
        quoting = layout.quoting
        guard = quoting is None and '"' not in first
        # Programs that write tabs often do not quote; those that write commas or semicolons must.
        if guard and delimiter == "\t":
            quoting = _find_quoting(lines, len(layout.names) or first.count("\t") + 1)
        quoting = quoting or "minimal"
        guard = guard and quoting == "minimal"
    return _Dialect(delimiter, quoting, sep_line is not None, guard)


def find_delimiter(first: str, columns: Sequence[str], default: str, n_columns: int | None = None) -> str:
    """The default if the first line has the needed columns with it, else the only other delimiter with which it does.

    `n_columns` is the number of columns of a file whose first line is no header.
    """

    def fits(delimiter: str) -> bool:
        try:
            cells = next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            return False
        return has_columns(cells, columns) if n_columns is None else len(cells) == n_columns

    if fits(default):
        return default
    others = [delimiter for delimiter in _DELIMITERS if fits(delimiter)]
    return others[0] if len(others) == 1 else default


def _find_quoting(lines: TextLines, n_columns: int) -> Quoting:
    """Whether quotation marks enclose cells in the lines after a header without any.

    They are text if every line has all columns, so that no cell spans lines, and a mark stands where a program that
    quotes would not leave it.
    """
    all_well_quoted = True
    for line in lines:
        lines.end_row()
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != n_columns and line.strip(_BLANK):
            return "minimal"
        if '"' in line and all_well_quoted:
            all_well_quoted = all(map(_WELL_QUOTED.fullmatch, cells))
    return "minimal" if all_well_quoted or n_columns == 1 else "none"


def _holds_row_border(cells: Sequence[str], index: int, delimiter: str) -> bool:
    """Whether a cell looks like the end of a row, whole rows, and the start of a row.

    Among tabs, a line break and as many delimiters as in a row are enough. Commas and semicolons are also part of
    texts, so each line needs exactly the delimiters of its part of a row, and around them cells like this row's.
    """
    lines = _LINE_BREAK.split(cells[index]) if len(cells) > 1 else []
    if len(lines) < 2:
        return False
    if delimiter == "\t":
        return cells[index].count("\t") >= len(cells) - 1
    # What the cell's lines hold, with a row's cells before the first and after the last line, is a list of rows.
    rows = [line.split(delimiter) for line in lines]
    rows[0], rows[-1] = [*cells[:index], *rows[0]], [*rows[-1], *cells[index + 1 :]]
    kinds = [_kind(cell) for cell in cells]
    return all(
        len(row) == len(cells) and all(n == index or _kind(row[n]) == kinds[n] for n in range(len(cells)))
        for row in rows
    )


def _kind(cell: str) -> str:
    """ "number", "word", or the pattern of a longer cell."""
    if _NUMBER.fullmatch(cell):
        return "number"
    return "word" if _WORD.fullmatch(cell) else re.sub(r"\w+", "a", cell)

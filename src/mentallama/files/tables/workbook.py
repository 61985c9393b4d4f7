"""Read a sheet of an Excel workbook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.files.tables.rows import (
    Row,
    TableLayout,
    UnreadableRow,
    fit_cells,
    format_cell,
    has_columns,
    header_names,
)

MAX_ROWS = 1_048_576
"""Rows of a sheet, by the limits of the format. A file may claim any row number."""

BLANK_ROW_OR_FORMULAS = "the row is blank, or its formulas have no stored values"

MAX_BLANK_ROWS = 100
"""Rows above the header."""

MAX_INFLATED_BYTES = 100 << 20
MAX_INFLATION = 100
"""A workbook that inflates to more than the first, and to more than this many times its own size, is refused: sheets
of text inflate about tenfold, a file made to fill the memory a thousandfold."""


def read_workbook(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
    """Yield the rows of one sheet."""
    del encoding  # Excel files state their own encoding
    import openpyxl

    number = 0
    try:
        _refuse_bomb(path)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet, blank = _choose_sheet(path, book.worksheets, layout), set[int]()
            rows = enumerate(_value_rows(sheet), 1)
            header = header_names(path, list(layout.names) or _header(rows), layout)
            for number, cells in rows:
                if number > MAX_ROWS:
                    raise DataError(f"the sheet claims more than {MAX_ROWS:,} rows", path, number)
                if any(cell is not None for cell in cells):
                    if layout.verbatim:  # blank rows after the last one are none
                        yield from (UnreadableRow(above, BLANK_ROW_OR_FORMULAS) for above in sorted(blank))
                        blank.clear()
                    yield _row(header, cells, number, layout.verbatim)
                elif cells or layout.verbatim:
                    blank.add(number)
        finally:
            book.close()
        if not layout.verbatim:
            yield from _rows_without_values(path, sheet.title, blank)
    except (MentallamaError, MemoryError):
        raise
    except Exception as fault:  # a damaged part can make openpyxl, zipfile and the XML parsers raise anything
        raise DataError("not an Excel workbook, or damaged or truncated", path, number or None) from fault


def _refuse_bomb(path: Path) -> None:
    with ZipFile(path) as archive:
        inflated = sum(part.file_size for part in archive.infolist())
    if inflated > max(MAX_INFLATED_BYTES, MAX_INFLATION * path.stat().st_size):
        raise DataError(f"the workbook inflates to {inflated >> 20:,} MB; this is no table of posts", path)


def _choose_sheet(path: Path, sheets: list[Any], layout: TableLayout) -> Any:
    """The named sheet, else the only visible one with the needed columns, else the first one."""
    titles = ", ".join(repr(sheet.title) for sheet in sheets)
    if layout.sheet is not None:
        for sheet in sheets:
            if sheet.title == layout.sheet:
                return sheet
        raise UsageError(f"{path}: there is no sheet {layout.sheet!r}; the sheets are {titles}")
    visible = [sheet for sheet in sheets if sheet.sheet_state == "visible"] or sheets
    if not visible:
        raise DataError("the workbook has no sheet with cells", path)
    if len(visible) == 1 or not layout.columns or layout.names:
        return visible[0]
    fitting = [
        sheet for sheet in visible if has_columns(_header(enumerate(_value_rows(sheet))), layout.columns)
    ]
    if len(fitting) > 1:
        raise DataError(
            f"several of the sheets {titles} have these columns; name one with --sheet, in a recipe with the key sheet",
            path,
        )
    return (fitting or visible)[0]


def _value_rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    # Some programs write dimensions that are smaller than the data; openpyxl would stop there.
    sheet.reset_dimensions()
    rows: Iterator[tuple[Any, ...]] = sheet.iter_rows(values_only=True)
    return rows


def _header(rows: Iterator[tuple[int, tuple[Any, ...]]]) -> list[str]:
    """Names in the first row that is not blank; the iterator goes on after it."""
    for _, cells in islice(rows, MAX_BLANK_ROWS):
        names = [format_cell(cell) for cell in cells]
        if any(map(str.strip, names)):
            return list(dropwhile(lambda name: not name.strip(), reversed(names)))[::-1]
    return []


def _rows_without_values(path: Path, title: str, blank: set[int]) -> Iterator[Row]:
    """The rows among `blank` that hold formulas: programs that write a formula do not always store its value."""
    if not blank:
        return
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    try:
        rows = enumerate(_value_rows(book[title]), 1)
        for number, cells in islice(rows, max(blank)):
            if number in blank and any(cell is not None for cell in cells):
                yield UnreadableRow(
                    number, "its formulas have no stored values; save the file in a spreadsheet program"
                )
    finally:
        book.close()


def _unescape(value: Any) -> Any:
    # The format writes control characters as _x000D_, and this text itself as _x005F_x000D_.
    if isinstance(value, str) and "_x" in value:
        from openpyxl.utils.escape import unescape

        return unescape(value)
    return value


def _row(header: list[str], values: tuple[Any, ...], number: int, verbatim: bool) -> Row:
    try:
        cells = [format_cell(_unescape(value)) for value in values]
    except ValueError:
        return UnreadableRow(number, "a cell cannot be read as text")
    row = fit_cells(header, cells + [""] * (len(header) - len(cells)), number)
    if not verbatim:
        return row
    stored = dict(zip(header, map(_unescape, values), strict=False))
    return (
        replace(row, cells=stored)
        if isinstance(row, UnreadableRow)
        else (number, dict.fromkeys(header) | stored)
    )

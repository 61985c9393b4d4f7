"""CSV files that people edit in a spreadsheet.

Written as UTF-8 with byte order mark, comma-separated, quoted as in RFC 4180, with CR LF line ends; a cell that a
spreadsheet would run as a formula is escaped with an apostrophe. Read in all variants that spreadsheets save: comma,
semicolon or tab, UTF-8 or UTF-16.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.atomic import atomic_write

SheetRow = dict[str, str]
"""One row: column -> cell."""

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""Cells that a spreadsheet may run (OWASP, "CSV Injection"), after any apostrophes already present."""
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_UNWRITABLE = re.compile("[\ud800-\udfff\0]")
"""Lone surrogates and NUL, which a CSV file cannot contain."""
_SEPARATORS = ",;\t"

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a cell holds a whole post


def escape_formula(text: str) -> str:
    """Escape a cell that a spreadsheet would run as a formula; inverse of `unescape_formula`.

    >>> escape_formula("=1+1"), escape_formula("it's"), escape_formula("'-1")
    ("'=1+1", "it's", "''-1")
    """
    text = _UNWRITABLE.sub("\ufffd", text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """The inverse of `escape_formula`."""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell


def read_sheet(path: Path, columns: Sequence[str]) -> list[tuple[int, SheetRow]]:
    """Read rows, numbered as a spreadsheet shows them (the header is row 1); none if the file does not exist.

    Columns other than `columns` are read too; rows without any text are skipped.

    Raises
    ------
    DataError
        The file is not a table with these columns, or a row does not fit the header.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    text = _decoded(raw, path)
    number, header, found = 1, list[str](), list[tuple[int, SheetRow]]()
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, columns), strict=True)
    try:
        for number, cells in enumerate(rows, 1):
            if number == 1:
                header = _header(cells, columns, path)
            elif any(cell.strip() for cell in cells):
                found.append((number, _cells(header, cells, path, number)))
    except csv.Error as fault:
        raise DataError(f"not a table: {fault}; a quotation mark may be missing", path, number + 1) from None
    if not header:
        raise DataError(f"the file is empty; its first row should name {', '.join(columns)}", path)
    return found


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[SheetRow]) -> None:
    """Write rows atomically; columns beyond `columns` come last. A file with equal content is not touched."""
    rows = list(rows)
    header = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([escape_formula(row.get(name, "")) for name in header] for row in rows)
    content = codecs.BOM_UTF8 + text.getvalue().encode()
    if path.is_file() and path.read_bytes() == content:
        return
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def _decoded(raw: bytes, path: Path) -> str:
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as fault:
        row = 1 + raw.count(b"\n", 0, fault.start)
        raise DataError(f"line {row} is not UTF-8; save it as “CSV UTF-8 (comma delimited)”", path) from None
    if "\0" in text:
        raise DataError("holds NUL bytes; save it as “CSV UTF-8 (comma delimited)”", path)
    return text


def _separator(text: str, columns: Sequence[str]) -> str:
    """The separator that splits the first line into the most of `columns`."""
    first = text.split("\n", 1)[0].replace('"', "").strip()
    return max(_SEPARATORS, key=lambda each: len(set(first.split(each)) & set(columns)))


def _header(cells: list[str], columns: Sequence[str], path: Path) -> list[str]:
    header = [unescape_formula(cell.strip()) for cell in cells]
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(
            f"no column {', '.join(map(repr, missing))}; the file needs {', '.join(columns)}", path, 1
        )
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise DataError("two columns have the same name", path, 1)
    return header


def _cells(header: list[str], cells: list[str], path: Path, number: int) -> SheetRow:
    if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
        raise DataError(f"{len(cells)} cells where the header names {len(header)}", path, number)
    row = {name: unescape_formula(cell) for name, cell in zip(header, cells, strict=False) if name}
    if any(cell.strip() for name, cell in zip(header, cells, strict=False) if not name):
        raise DataError("text stands in a column without a name", path, number)
    return row

"""Read and write CSV files that people edit in a spreadsheet.

They are written as UTF-8 with a byte order mark, comma-separated, quoted as in RFC 4180, with CR LF line ends; a cell
that a spreadsheet would run as a formula is escaped with an apostrophe. They are read in every variant that
spreadsheets save: separated by comma, semicolon or tab, in UTF-8 or UTF-16.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mentallama.errors import DataError, on_one_line
from mentallama.files.atomic import atomic_write

SheetRow = dict[str, str]
"""One row: column -> cell."""

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""Start of a cell that a spreadsheet may run as a formula (OWASP, "CSV Injection"), after any apostrophes."""
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_UNWRITABLE = re.compile("[\ud800-\udfff\0]")
"""Lone surrogates and NUL, which a CSV file cannot contain."""
_SEPARATORS = ",;\t"


def escape_formula(text: str) -> str:
    """Escape a cell that a spreadsheet would run as a formula; inverse of `unescape_formula`.

    >>> escape_formula("=1+1"), escape_formula("it's"), escape_formula("'-1")
    ("'=1+1", "it's", "''-1")
    """
    text = _UNWRITABLE.sub("\ufffd", text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """Remove the apostrophe that `escape_formula` added."""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell


def read_sheet(path: Path, columns: Sequence[str]) -> list[tuple[int, SheetRow]]:
    """Read rows with their numbers in a spreadsheet (the header is row 1); [] if the file does not exist.

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
    text = _decode(raw, path)
    number, header, rows = 1, list[str](), list[tuple[int, SheetRow]]()
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, columns), strict=True)
    try:
        for number, cells in enumerate(lines, 1):
            if number == 1:
                header = _header(cells, columns, path)
            elif any(cell.strip() for cell in cells):
                rows.append((number, _cells(header, cells, path, number)))
    except csv.Error as fault:
        raise DataError(
            f"not a table: {on_one_line(str(fault))}; a quotation mark may be missing", path, number + 1
        ) from None
    if not header:
        raise DataError(f"the file is empty; its first row should name {', '.join(columns)}", path)
    return rows


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[SheetRow]) -> None:
    """Write rows atomically, columns other than `columns` last. A file that already has this content is not touched."""
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


def _decode(raw: bytes, path: Path) -> str:
    is_utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as fault:
        line = 1 + raw.count(b"\n", 0, fault.start)
        raise DataError(f"line {line} is not UTF-8; save it as “CSV UTF-8 (comma delimited)”", path) from None
    if "\0" in text:
        raise DataError("the file contains NUL bytes; save it as “CSV UTF-8 (comma delimited)”", path)
    return text


def _separator(text: str, columns: Sequence[str]) -> str:
    """Find the separator that yields the most of `columns` when it splits the first line."""
    first = text.split("\n", 1)[0].replace('"', "").strip()
    return max(_SEPARATORS, key=lambda separator: len(set(first.split(separator)) & set(columns)))


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
        raise DataError(f"the row has {len(cells)} cells, the header {len(header)}", path, number)
    row = {name: unescape_formula(cell) for name, cell in zip(header, cells, strict=False) if name}
    if any(cell.strip() for name, cell in zip(header, cells, strict=False) if not name):
        raise DataError("there is text in a column without a name", path, number)
    return row

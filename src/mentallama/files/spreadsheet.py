"""CSV files that people fill in with a spreadsheet, and that no run may spoil.

Written as UTF-8 with a byte order mark, comma-separated, quoted as RFC 4180 says, lines ended by CR LF. A cell that a
spreadsheet would take for a formula begins with an apostrophe in the file, and without it when it is read again.
Read more widely, as spreadsheets save: separated by comma, semicolon or tab, in UTF-8 or UTF-16.
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
from mentallama.files.record_files import atomic_write

SheetRow = dict[str, str]
"""One row: column -> cell."""

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""What a spreadsheet may run (OWASP, "CSV Injection"), behind any apostrophes that stand there already."""
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_UNWRITABLE = re.compile("[\ud800-\udfff\0]")
"""Half characters and NUL, which no CSV file can hold."""
_SEPARATORS = ",;\t"

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a whole post is one cell


def escape_formula(text: str) -> str:
    """Make a cell harmless; `unescape_formula` gives the text back.

    >>> escape_formula("=1+1"), escape_formula("it's"), escape_formula("'-1")
    ("'=1+1", "it's", "''-1")
    """
    text = _UNWRITABLE.sub("\ufffd", text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(cell: str) -> str:
    """The inverse of `escape_formula`."""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell


def read_sheet(path: Path, columns: Sequence[str]) -> list[tuple[int, SheetRow]]:
    """Read the rows with their numbers as a spreadsheet shows them (the header is row 1); none where there is no file.

    Columns beside `columns` are read too; rows without any text are passed over.

    Raises
    ------
    BadData
        The file is no table with these columns, or a row does not fit its header.
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
    """Write rows atomically; columns that only some rows have come last. An equal file is left alone."""
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
    """The one that divides the first line into the most columns that are asked for."""
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

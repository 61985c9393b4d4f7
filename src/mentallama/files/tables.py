"""Read tables strictly, row by row: CSV, TSV, JSON Lines, Excel, Parquet.

Cells are text as written. No text is interpreted as a missing value, since "None" and "NA" are real posts.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from mentallama.errors import DataError, UsageError
from mentallama.extras import install_hint
from mentallama.files.record_files import DAMAGED_FILE_ERRORS, PARQUET_BATCH_ROWS, open_jsonl

NumberedCells = tuple[int, dict[str, str]]
"""Row number in a spreadsheet (the header is row 1), and cells by column name."""

NUL_STAND_IN = "\ufdd0"
"""Replaces NUL bytes, which the csv module rejects; a noncharacter, so never part of a text."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, as left in JSON where a text was truncated; not encodable as UTF-8."""

# A cell holds a whole post; the csv module's default limit of 128 KiB is too small for a long one.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


def read_table(path: Path, encoding: str = "utf-8") -> Iterator[NumberedCells]:
    """Yield the rows of a table; the format follows the file name.

    Raises
    ------
    UsageError
        The file does not exist, or its format is not supported.
    DataError
        The file is empty, truncated or wrongly encoded, or a row does not fit the header.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError("the file is empty", path)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".zst" else path.suffix
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: {suffix} files are not supported; use one of {', '.join(_READERS)}")
    return _require_rows(path, reader(path, encoding))


def _require_rows(path: Path, rows: Iterator[NumberedCells]) -> Iterator[NumberedCells]:
    count = 0
    for count, row in enumerate(rows, 1):
        yield row
    if not count:
        raise DataError("the file has a header and no rows", path)


def _require_unique_columns(path: Path, header: list[str]) -> list[str]:
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise DataError("two columns have the same name", path, 1)
    return header


def require_columns(path: Path, row: dict[str, str], columns: list[str]) -> None:
    """Raise `DataError`, naming missing and present columns, unless a row has all `columns`."""
    missing = [column for column in columns if column not in row]
    if missing:
        # In a file without a header these are cells of the first row, so nothing longer than a name is shown.
        names = ", ".join(
            repr(name) if len(name) <= 30 and len(name.split()) <= 2 else "…" for name in list(row)[:12]
        )
        raise DataError(f"no column {', '.join(map(repr, missing))}; the columns are {names}", path, 1)


def _decoded_lines(path: Path, encoding: str) -> Iterator[str]:
    """Decode lines and replace NUL bytes; the error for a wrong encoding names the line."""
    try:
        with path.open(encoding=encoding, newline="") as lines:
            for number, line in enumerate(lines, 1):
                yield (
                    line.removeprefix("\ufeff").replace("\0", NUL_STAND_IN)
                    if number == 1
                    else line.replace("\0", NUL_STAND_IN)
                )
    except UnicodeDecodeError as fault:
        byte, location = fault.object[fault.start], _locate_undecodable_line(path, encoding)
        raise DataError(
            f"byte 0x{byte:02x}{location} is not {encoding}; does the file have another encoding?", path
        ) from None
    except UnicodeError:  # UTF-16 without byte order mark, or truncated inside a character
        raise DataError(f"not {encoding}, or truncated; does the file have another encoding?", path) from None
    except LookupError:
        raise UsageError(f"{path}: there is no encoding named {encoding!r}") from None


def _locate_undecodable_line(path: Path, encoding: str) -> str:
    """Find the line in a second pass, as lines are decoded in blocks; "" if it cannot be located."""
    try:
        with path.open(encoding=encoding, errors="surrogateescape") as lines:
            number = next((n for n, line in enumerate(lines, 1) if _LONE_SURROGATE.search(line)), 1)
    except UnicodeError:  # UTF-16 has no such escape
        return ""
    return f" in line {number}"


def _delimited_reader(delimiter: str) -> Callable[[Path, str], Iterator[NumberedCells]]:
    def read(path: Path, encoding: str) -> Iterator[NumberedCells]:
        # strict: otherwise a file truncated inside a quoted cell yields a partial row
        rows = csv.reader(_decoded_lines(path, encoding), delimiter=delimiter, strict=True)
        number = 0
        try:
            header = _require_unique_columns(path, next(rows, []))
            number = 1
            for number, cells in enumerate(rows, 2):
                if not cells:  # a blank line
                    continue
                if len(cells) != len(header):
                    message = (
                        f"the row has {len(cells)} cells, the header {len(header)}; the file may be truncated"
                    )
                    raise DataError(message, path, number)
                yield number, dict(zip(header, cells, strict=True))
        except csv.Error as fault:
            raise DataError(f"not a table: {fault}; the file may be truncated", path, number + 1) from None

    return read


def _json_lines(path: Path, encoding: str) -> Iterator[NumberedCells]:
    del encoding  # JSON Lines are UTF-8 by definition
    number = 0
    names: dict[str, str] = {}
    try:
        with open_jsonl(path, "r") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip("\ufeff \t\r\n"):
                    cells = _parse_object(line.removeprefix("\ufeff"), path, number)
                    names = names or dict.fromkeys(cells, "")
                    yield number, names | cells  # a missing name is an empty cell
    except DAMAGED_FILE_ERRORS as fault:
        raise DataError("not UTF-8, or damaged or truncated after this row", path, number or None) from fault


def _parse_object(line: str, path: Path, number: int) -> dict[str, str]:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise DataError("not a JSON object; the file may be truncated", path, number) from None
    if not isinstance(value, dict):
        raise DataError("not a JSON object", path, number)
    return {str(key): _cell(cell) for key, cell in value.items()}


_DAMAGED_WORKBOOK_ERRORS = (
    BadZipFile,
    zlib.error,
    ParseError,
    KeyError,
    ValueError,
    OSError,
    EOFError,
    NotImplementedError,
)
"""Exceptions of openpyxl, zipfile and the XML parser on a damaged workbook."""


def _excel(path: Path, encoding: str) -> Iterator[NumberedCells]:
    del encoding  # Excel files state their own encoding
    import openpyxl

    number = 0
    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        rows = sheet.iter_rows(values_only=True)
        header = _require_unique_columns(path, [_cell(cell) for cell in next(rows, ())])
        for number, cells in enumerate(rows, 2):
            if any(cell is not None for cell in cells):
                yield number, dict(zip(header, map(_cell, cells), strict=False))
    except _DAMAGED_WORKBOOK_ERRORS as fault:
        raise DataError("not an Excel workbook, or damaged or truncated", path, number or None) from fault


def _parquet(path: Path, encoding: str) -> Iterator[NumberedCells]:
    del encoding
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{path}: Parquet needs pyarrow: {install_hint('parquet')}") from None
    number = 1
    try:
        file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
        _require_unique_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(PARQUET_BATCH_ROWS):
            for value in batch.to_pylist():
                number += 1
                yield number, {key: _cell(cell) for key, cell in value.items()}
    except (pyarrow.ArrowException, OSError):  # pyarrow reports most damage as OSError
        raise DataError("not a Parquet file, or damaged or truncated", path, number) from None


def _cell(value: Any) -> str:
    """Format a value as a spreadsheet shows it: 1.0 becomes "1", None becomes ""."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return "1" if value else "0"
    return _LONE_SURROGATE.sub("\ufffd", str(value).replace("\0", NUL_STAND_IN))


_READERS: dict[str, Callable[[Path, str], Iterator[NumberedCells]]] = {
    ".csv": _delimited_reader(","),
    ".tsv": _delimited_reader("\t"),
    ".jsonl": _json_lines,
    ".jsonl.zst": _json_lines,
    ".xlsx": _excel,
    ".parquet": _parquet,
}

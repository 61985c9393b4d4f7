"""Read a table row by row, strictly: CSV, TSV, JSON Lines, Excel, Parquet.

Cells are text as written; nothing is taken for "not available", for "None" and "NA" are real posts.
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

from mentallama.errors import BadData, WrongUse
from mentallama.files.record_files import DAMAGED, open_lines

Row = tuple[int, dict[str, str]]
"""Row number as a spreadsheet shows it (the header is row 1), and the cells by column name."""

NUL = "\ufdd0"
"""Stands for a NUL byte, which the csv module refuses: a code point that is never text."""

_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character outside the basic plane, as JSON may hold where a text was cut off; no UTF-8 can."""

# A whole post is one cell; the csv module's own bound of 128 KiB would stop at a long one.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


def read_table(path: Path, encoding: str = "utf-8") -> Iterator[Row]:
    """Yield the rows of a table; the format follows the file's name.

    Raises
    ------
    WrongUse
        No such file, or a format that is not read.
    BadData
        Empty, wrong encoding, cut off, or a row that does not fit the header.
    """
    if not path.is_file():
        raise WrongUse(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise BadData("the file is empty", path)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".zst" else path.suffix
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise WrongUse(f"{path}: a {suffix} file is not read; use one of {', '.join(_READERS)}")
    return _some(path, reader(path, encoding))


def _some(path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    count = 0
    for count, row in enumerate(rows, 1):
        yield row
    if not count:
        raise BadData("the file has a header and no rows", path)


def _unique(path: Path, header: list[str]) -> list[str]:
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise BadData("two columns have the same name", path, 1)
    return header


def need_columns(path: Path, row: dict[str, str], columns: list[str]) -> None:
    """Raise `BadData` naming the columns a row lacks and those it has."""
    missing = [column for column in columns if column not in row]
    if missing:
        # A file without a header has its first post there: what is long for a name is not shown.
        names = ", ".join(
            repr(name) if len(name) <= 30 and len(name.split()) <= 2 else "…" for name in list(row)[:12]
        )
        raise BadData(f"no column {', '.join(map(repr, missing))}; there are {names}", path, 1)


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """Lines with NUL bytes made visible; a wrong encoding names the line."""
    try:
        with path.open(encoding=encoding, newline="") as lines:
            for number, line in enumerate(lines, 1):
                yield (
                    line.removeprefix("\ufeff").replace("\0", NUL) if number == 1 else line.replace("\0", NUL)
                )
    except UnicodeDecodeError as fault:
        byte, place = fault.object[fault.start], _first_wrong_line(path, encoding)
        raise BadData(
            f"byte 0x{byte:02x}{place} is not {encoding}; is the encoding another one?", path
        ) from None
    except UnicodeError:  # UTF-16 without its mark, or cut inside a character
        raise BadData(f"not {encoding}, or cut off; is the encoding another one?", path) from None
    except LookupError:
        raise WrongUse(f"{path}: no encoding is called {encoding!r}") from None


def _first_wrong_line(path: Path, encoding: str) -> str:
    """Lines are decoded many at a time, so the one at fault is found in a second reading, where it can be found."""
    try:
        with path.open(encoding=encoding, errors="surrogateescape") as lines:
            found = next((number for number, line in enumerate(lines, 1) if _HALF.search(line)), 1)
    except UnicodeError:  # UTF-16 has no such escape
        return ""
    return f" in line {found}"


def _separated(delimiter: str) -> Callable[[Path, str], Iterator[Row]]:
    def read(path: Path, encoding: str) -> Iterator[Row]:
        # strict: else a file cut off inside a quoted cell gives that half as a row
        rows = csv.reader(_decoded(path, encoding), delimiter=delimiter, strict=True)
        number = 0
        try:
            header = _unique(path, next(rows, []))
            number = 1
            for number, cells in enumerate(rows, 2):
                if not cells:  # a blank line
                    continue
                if len(cells) != len(header):
                    raise BadData(
                        f"{len(cells)} cells where the header names {len(header)}; the file may be cut off here",
                        path,
                        number,
                    )
                yield number, dict(zip(header, cells, strict=True))
        except csv.Error as fault:
            raise BadData(f"not a table: {fault}; the file may be cut off here", path, number + 1) from None

    return read


def _json_lines(path: Path, encoding: str) -> Iterator[Row]:
    del encoding  # JSON Lines are UTF-8 by definition
    number = 0
    names: dict[str, str] = {}
    try:
        with open_lines(path, "r") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip("\ufeff \t\r\n"):
                    cells = _object(line.removeprefix("\ufeff"), path, number)
                    names = names or dict.fromkeys(cells, "")
                    yield number, names | cells  # a name left out stands for an empty cell
    except DAMAGED as fault:
        raise BadData("not UTF-8, damaged or cut off after this row", path, number or None) from fault


def _object(line: str, path: Path, number: int) -> dict[str, str]:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise BadData("not a JSON object; the file may be cut off here", path, number) from None
    if not isinstance(value, dict):
        raise BadData("not a JSON object", path, number)
    return {str(key): _cell(cell) for key, cell in value.items()}


_BAD_WORKBOOK = (
    BadZipFile,
    zlib.error,
    ParseError,
    KeyError,
    ValueError,
    OSError,
    EOFError,
    NotImplementedError,
)
"""What openpyxl, zipfile and the XML parser raise on a damaged workbook."""


def _excel(path: Path, encoding: str) -> Iterator[Row]:
    del encoding  # the format carries its own
    import openpyxl

    number = 0
    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        rows = sheet.iter_rows(values_only=True)
        header = _unique(path, [_cell(cell) for cell in next(rows, ())])
        for number, cells in enumerate(rows, 2):
            if any(cell is not None for cell in cells):
                yield number, dict(zip(header, map(_cell, cells), strict=False))
    except _BAD_WORKBOOK as fault:
        raise BadData("not an Excel workbook, or damaged or cut off", path, number or None) from fault


def _parquet(path: Path, encoding: str) -> Iterator[Row]:
    del encoding
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise WrongUse(f"{path}: Parquet needs pyarrow: pip install 'mentallama[parquet]'") from None
    number = 1
    try:
        file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
        _unique(path, file.schema_arrow.names)
        for batch in file.iter_batches(4096):
            for value in batch.to_pylist():
                number += 1
                yield number, {key: _cell(cell) for key, cell in value.items()}
    except (pyarrow.ArrowException, OSError):  # pyarrow tells of most damage by a plain OSError
        raise BadData("not a Parquet file, or damaged or cut off", path, number) from None


def _cell(value: Any) -> str:
    """Text as a spreadsheet would show it: 1.0 is "1", nothing is ""."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return "1" if value else "0"
    return _HALF.sub("\ufffd", str(value).replace("\0", NUL))


_READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _json_lines,
    ".jsonl.zst": _json_lines,
    ".xlsx": _excel,
    ".parquet": _parquet,
}

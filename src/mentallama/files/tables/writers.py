"""Write tables row by row: CSV, TSV, JSON Lines, Parquet and Excel, text formats also compressed.

A value of a row that the format has no type for is written as text, and a list or an object as JSON.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import importlib.util
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast
from zipfile import ZIP_DEFLATED, ZipFile

import zstandard

from mentallama.data_frames import is_missing
from mentallama.errors import DataError, UsageError
from mentallama.extras import install_hint
from mentallama.files.compression import COMPRESSION_SUFFIXES
from mentallama.files.record_files import PARQUET_BATCH_ROWS
from mentallama.files.tables.column_kinds import ColumnKind
from mentallama.files.tables.rows import LONE_SURROGATE
from mentallama.text.repair import NUL_STAND_IN

WriteRow = Callable[[Mapping[str, Any]], None]
"""Writes one row, given as values by column; a column that it lacks is empty."""

MAX_SHEET_ROWS, MAX_SHEET_COLUMNS, MAX_SHEET_CHARS = 1_048_576, 16_384, 32_767
"""Rows of a sheet, its header included, its columns, and characters of a cell, by the limits of the format."""

_EXACT_DIGITS = 10**15
"""Spreadsheets round larger numbers."""

_WORKBOOK_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class OutputFormat:
    """The format of a table to be written, and its compression: "", ".gz" or ".zst"."""

    name: str
    compression: str = ""

    @property
    def has_types(self) -> bool:
        """Whether the values of a column must all be of one kind."""
        return self.name == "parquet"

    @property
    def is_nested(self) -> bool:
        """Whether a value can be a list or an object."""
        return WRITERS[self.name] is _json_lines_writer

    @classmethod
    def of(cls, path: Path) -> OutputFormat:
        """The format that a file name says.

        Raises
        ------
        UsageError
            There is none, or its library is not installed.
        """
        suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
        compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSION_SUFFIXES else ""
        name = suffixes[-1].removeprefix(".") if suffixes else ""
        if compression not in _COMPRESSORS or name not in WRITERS or (compression and name in _BINARY):
            known = ", ".join(f".{known}" for known in WRITERS)
            raise UsageError(
                f"{path}: the name of the output says its format: {known}; text formats also with .gz or .zst"
            )
        if name == "parquet":
            _require_pyarrow(path)
        return cls(name, compression)


@dataclass(frozen=True)
class OutputColumns:
    """The columns of a table to be written, in order, with the kinds of their values.

    `arrow_types` are the types of columns that come from a Parquet file.
    """

    kinds: Mapping[str, ColumnKind]
    arrow_types: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.kinds)


@contextmanager
def table_writer(file: IO[bytes], format_: OutputFormat, columns: OutputColumns) -> Iterator[WriteRow]:
    """Write the rows of a table into a binary file, which stays open.

    Raises
    ------
    DataError
        On writing a row that does not fit the format: see `cell_problem`.
    """
    with (
        _COMPRESSORS[format_.compression](file) as target,
        WRITERS[format_.name](target, columns) as write,
    ):
        yield write


def cell_problem(format_: OutputFormat, row: Mapping[str, Any]) -> str | None:
    """A sentence if a cell is too long for the format, else None."""
    if format_.name != "xlsx":
        return None
    for name, value in row.items():
        if len(text := value_text(value)) > MAX_SHEET_CHARS:
            return (
                f"the cell of column {name!r} has {len(text):,} characters, and cells of .xlsx have at most "
                f"{MAX_SHEET_CHARS:,}; write another format, such as .csv or .parquet"
            )
    return None


def value_text(value: Any) -> str:
    r"""A value as text: as written if it is text, else as JSON or, for times and the like, as Python prints it.

    >>> value_text("a"), value_text(None), value_text(1.50), value_text(True), value_text({"a": ["é", None]})
    ('a', '', '1.5', 'true', '{"a": ["é", null]}')
    """
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value.replace(NUL_STAND_IN, "\0"))
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (dict, list, bool)):
        return LONE_SURROGATE.sub("\ufffd", _json(value))
    return str(value)


def _json(value: Any) -> str:
    """JSON in which missing numbers are null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=value_text)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, default=value_text)
    return text.replace(NUL_STAND_IN, "\\u0000")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_TableWriter = Callable[[IO[bytes], OutputColumns], AbstractContextManager[WriteRow]]


def _delimited_writer(delimiter: str) -> _TableWriter:
    @contextmanager
    def write(file: IO[bytes], columns: OutputColumns) -> Iterator[WriteRow]:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        rows = csv.writer(_LineFeeds(text), delimiter=delimiter)
        names = columns.names
        try:
            rows.writerow(names)
            yield lambda row: cast(None, rows.writerow([value_text(row.get(name)) for name in names]))
        finally:
            text.detach()  # flushes; the file stays open

    return write


class _LineFeeds:
    """Ends lines of the csv module with a line feed alone.

    The module is told CR LF, so that it quotes cells with either character in every version of Python.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(f"{line.removesuffix(chr(13) + chr(10))}\n")


@contextmanager
def _json_lines_writer(file: IO[bytes], columns: OutputColumns) -> Iterator[WriteRow]:
    """A column that a row lacks is left out, not null."""
    names = columns.names

    def write(row: Mapping[str, Any]) -> None:
        line = _json({name: row[name] for name in names if name in row})
        file.write(_ascii_surrogates(line).encode() + b"\n")

    yield write


def _ascii_surrogates(text: str) -> str:
    """Halves of surrogate pairs as JSON escapes, since UTF-8 has no bytes for them."""
    return LONE_SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


@contextmanager
def _parquet_writer(file: IO[bytes], columns: OutputColumns) -> Iterator[WriteRow]:
    import pyarrow
    import pyarrow.parquet

    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "long integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "time": pyarrow.timestamp("us"),
    }
    schema = pyarrow.schema(
        [(name, columns.arrow_types.get(name, types[kind])) for name, kind in columns.kinds.items()]
    )
    as_text = {name for name, kind in columns.kinds.items() if kind == "text"} - set(columns.arrow_types)
    rows: list[dict[str, Any]] = []

    def value(row: Mapping[str, Any], name: str) -> Any:
        cell = row.get(name)
        if name not in as_text:
            return cell
        return None if is_missing(cell) else value_text(cell)

    with pyarrow.parquet.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            arrays = [pyarrow.array([value(row, field.name) for row in rows], field.type) for field in schema]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
            rows.clear()

        def write(row: Mapping[str, Any]) -> None:
            rows.append(dict(row))
            if len(rows) >= PARQUET_BATCH_ROWS:
                flush()

        yield write
        if rows:
            flush()


@contextmanager
def _workbook_writer(file: IO[bytes], columns: OutputColumns) -> Iterator[WriteRow]:
    import openpyxl
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.writer.excel import ExcelWriter

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()

    def cell(value: Any) -> Any:
        value = _sheet_value(value)
        made = WriteOnlyCell(sheet, value)
        if isinstance(value, str):
            made.data_type = "s"  # whatever it begins with, it is no formula
        return made

    number = 1

    def write(row: Mapping[str, Any]) -> None:
        nonlocal number
        number += 1
        if (problem := cell_problem(OutputFormat("xlsx"), row)) is not None:
            raise DataError(problem, "the output", number)
        sheet.append([cell(row.get(name)) for name in names])

    names = columns.names
    sheet.append([cell(name) for name in names])
    try:
        yield write
    finally:
        sheet.close()  # left open, it complains when it is collected
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:  # book.save leaves its archive open if the disk is full
        ExcelWriter(book, archive).save()


def _sheet_value(value: Any) -> Any:
    """A value as a workbook holds it: numbers, times without zone and truth values, else text."""
    if isinstance(value, bool) or is_missing(value):
        return None if is_missing(value) else value
    if isinstance(value, (int, float, Decimal)):
        return value if -_EXACT_DIGITS < value < _EXACT_DIGITS else str(value)
    if isinstance(value, (datetime.datetime, datetime.time)):
        return value if value.tzinfo is None else value.isoformat()
    if isinstance(value, (datetime.date, datetime.timedelta)):
        return value
    return _escape_for_workbook(value_text(value))


def _escape_for_workbook(text: str) -> str:
    """Write what XML cannot hold as `_x0000_`, and text that looks like such an escape as `_x005F_x0000_`."""
    text = _WORKBOOK_ESCAPE.sub("_x005F_", text)
    return _NOT_IN_XML.sub(lambda char: f"_x{ord(char[0]):04X}_", text)


@contextmanager
def _gzip(file: IO[bytes]) -> Iterator[IO[bytes]]:
    with gzip.GzipFile(
        filename="", mode="wb", fileobj=file, mtime=0
    ) as target:  # the same rows, the same bytes
        yield cast(IO[bytes], target)


@contextmanager
def _zstd(file: IO[bytes]) -> Iterator[IO[bytes]]:
    with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as target:
        yield cast(IO[bytes], target)


_COMPRESSORS: dict[str, Callable[[IO[bytes]], AbstractContextManager[IO[bytes]]]] = {
    "": nullcontext,
    ".gz": _gzip,
    ".zst": _zstd,
}

WRITERS: dict[str, _TableWriter] = {
    "csv": _delimited_writer(","),
    "tsv": _delimited_writer("\t"),
    "jsonl": _json_lines_writer,
    "ndjson": _json_lines_writer,
    "parquet": _parquet_writer,
    "xlsx": _workbook_writer,
}
"""Writer by the suffix of a file, without the dot."""

_BINARY = frozenset({"parquet", "xlsx"})
"""Formats that are compressed themselves."""


def _require_pyarrow(path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(f"{path}: Parquet needs pyarrow: {install_hint('parquet')}")

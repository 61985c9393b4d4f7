"""Read tables row by row: CSV, TSV, JSON, Excel, Parquet and XML, plain or compressed.

Cells are text as written. No text is interpreted as a missing value, since "None" and "NA" are real posts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mentallama.errors import DataError, UsageError
from mentallama.files.compression import COMPRESSION_SUFFIXES
from mentallama.files.tables.delimited import SEP_LINE, WHITESPACE, delimited_reader, find_delimiter
from mentallama.files.tables.json_records import read_json, read_json_lines
from mentallama.files.tables.lines import TextLines
from mentallama.files.tables.parquet import read_parquet
from mentallama.files.tables.rows import (
    MissingColumnsError,
    NumberedCells,
    NumberedValues,
    Quoting,
    Row,
    TableLayout,
    UnreadableRow,
    require_columns,
    require_rows,
)
from mentallama.files.tables.workbook import read_workbook
from mentallama.files.tables.xml_records import read_xml

__all__ = [
    "AS_NAMED",
    "SEP_LINE",
    "TABLE_FORMATS",
    "WHITESPACE",
    "MissingColumnsError",
    "NumberedCells",
    "NumberedValues",
    "Quoting",
    "Row",
    "TableLayout",
    "TextLines",
    "UnreadableRow",
    "find_delimiter",
    "is_table",
    "read_rows",
    "read_table",
    "read_verbatim",
    "require_columns",
    "table_format",
]

_Reader = Callable[[Path, str, TableLayout], Iterator[Row]]

TABLE_FORMATS: dict[str, _Reader] = {
    "csv": delimited_reader(","),
    "tsv": delimited_reader("\t"),
    "tab": delimited_reader("\t"),
    "txt": delimited_reader("\t"),
    "jsonl": read_json_lines,
    "ndjson": read_json_lines,
    "json": read_json,
    "xlsx": read_workbook,
    "parquet": read_parquet,
    "xml": read_xml,
}
"""Reader by the suffix of a file, without the dot."""

_NOT_STREAMS = frozenset({"xlsx", "parquet"})
"""Formats that are compressed themselves and are read from their end."""


AS_NAMED = TableLayout()


def read_table(
    path: Path, encoding: str = "utf-8", layout: TableLayout = AS_NAMED
) -> Iterator[NumberedCells]:
    """Yield the rows of a table; the format follows the file name.

    Raises
    ------
    UsageError
        The file does not exist, or its format is not supported.
    DataError
        The file is empty, truncated or wrongly encoded, a needed column is missing, or a row cannot be read.
    """
    rows = read_rows(path, encoding, layout)
    return (_require_readable(path, row) for row in rows)


def _require_readable(path: Path, row: Row) -> NumberedCells:
    if isinstance(row, UnreadableRow):
        raise DataError(row.reason, path, row.row)
    return row


def read_rows(path: Path, encoding: str = "utf-8", layout: TableLayout = AS_NAMED) -> Iterator[Row]:
    """Yield the rows of a table as `read_table` does, and an `UnreadableRow` in place of a row that cannot be read."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError("the file is empty", path)
    return require_rows(path, _find_reader(path, layout)(path, encoding, layout))


def read_verbatim(
    path: Path, encoding: str = "utf-8", layout: TableLayout = AS_NAMED
) -> Iterator[NumberedValues | UnreadableRow]:
    """Yield the rows of a table as they are stored, to be written again; see `TableLayout.verbatim`.

    Raises
    ------
    UsageError, DataError
        As `read_table`.
    """
    return read_rows(path, encoding, replace(layout, verbatim=True))


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table in a format that needs no further key."""
    format_, suffix = _format_of(path)
    return format_ in TABLE_FORMATS and format_ != "txt" and not (suffix and format_ in _NOT_STREAMS)


def table_format(path: Path) -> str:
    """The suffix of a file without that of its compression and without the dot, in lower case; "" if it has none."""
    return _format_of(path)[0]


def _format_of(path: Path) -> tuple[str, str]:
    """Format and suffix of the compression by a file's name; the format is "" if there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSION_SUFFIXES else ""
    return (suffixes[-1].removeprefix(".") if suffixes else ""), compression


def _find_reader(path: Path, layout: TableLayout) -> _Reader:
    format_, compression = _format_of(path)
    format_ = layout.format or format_
    formats = ", ".join(f".{name}" for name in TABLE_FORMATS if name != "txt")
    if compression and format_ in _NOT_STREAMS:
        raise UsageError(f"{path}: unpack the file first; .{format_} files are not read compressed")
    if format_ not in TABLE_FORMATS or (format_ == "txt" and not (layout.delimiter or layout.format)):
        raise UsageError(
            f"{path}: {path.suffix} files are not supported; use one of {formats} (also with "
            f"{', '.join(COMPRESSION_SUFFIXES)}), or, in a recipe, name the format with the key format"
        )
    return TABLE_FORMATS[format_]

"""Read JSON objects: JSON Lines, arrays of objects, and objects one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mentallama.errors import DataError
from mentallama.files.record_files import MAX_ROW_CHARS
from mentallama.files.tables.lines import TextLines
from mentallama.files.tables.rows import (
    BLANK_ROW,
    Row,
    SparseColumns,
    TableLayout,
    UnreadableRow,
    flatten,
    has_columns,
)

_CHUNK_CHARS = 1 << 16
_SPACE = " \t\r\n\ufeff\x1e"
"""White space, byte order marks, and the separator of JSON text sequences (RFC 7464)."""
_SPREAD_OUT = re.compile(rf"[{_SPACE}]*+(?:\[[{_SPACE}]*+\{{|\{{[^\S\n]*+\n)")
"""Start of an array of objects, or of an object over several lines."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key occurs twice")
    return record


# NaN and Infinity are not JSON, but Python and pandas write them for a missing value; strict=False: some programs leave
# tabs in strings as they are.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=lambda _: None, strict=False)


def read_json_lines(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
    """Yield one row for each line, the first line being row 1; a file that is not laid out in lines as `read_json`."""
    with TextLines(path, encoding) as lines:
        spread_out = _SPREAD_OUT.match(lines.read(_CHUNK_CHARS)) is not None
    return (read_json if spread_out else _read_lines)(path, encoding, layout)


def _read_lines(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
    columns = SparseColumns(layout)
    with TextLines(path, encoding) as lines:
        for line in lines:
            number = lines.end_row()
            if not line.strip(_SPACE):
                if layout.verbatim:
                    yield UnreadableRow(number, BLANK_ROW)
                continue
            row = _parse_line(line, number, columns)
            if isinstance(row, UnreadableRow) and lines.is_cut_off:
                raise DataError(f"{row.reason}; the file may be truncated", path, number)
            yield row
    columns.require(path)


def _parse_line(line: str, number: int, columns: SparseColumns) -> Row:
    try:
        return _to_row(_DECODER.decode(line.strip(_SPACE + ",")), number, columns)
    except (json.JSONDecodeError, RecursionError):
        return UnreadableRow(number, "not a JSON object")
    except ValueError as fault:
        return UnreadableRow(number, _describe(fault))


def _describe(fault: ValueError) -> str:
    """A key that occurs twice, a number with too many digits for Python, or bytes that are no text."""
    return f"not a JSON object: {fault}" if "twice" in str(fault) else "not a JSON object that can be read"


def _to_row(value: Any, number: int, columns: SparseColumns) -> Row:
    if not isinstance(value, dict):
        return UnreadableRow(number, "not a JSON object")
    return number, columns.cells_of(value)


def read_json(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
    """Yield one row for each object of an array, or for each of several objects; the first object is row 1.

    The rows may also be within a single object: a list of objects, objects by id, or cells by column.
    """
    columns = SparseColumns(layout)
    with TextLines(path, encoding) as lines:
        elements = _elements(path, lines)
        start = list(islice(elements, 2))
        within = _records_within(start[0][1], layout, path) if len(start) == 1 else []
        for number, value in enumerate(within, 1) if within else chain(start, elements):
            yield value if isinstance(value, UnreadableRow) else _to_row(value, number, columns)
    columns.require(path)


def _records_within(value: Any, layout: TableLayout, path: Path) -> list[Any]:
    """The records that an object holds if it lacks the needed columns itself; [] if it holds none with them."""

    def fits(record: Any) -> bool:
        return isinstance(record, dict) and has_columns(flatten(record, layout.lists), layout.columns)

    if not isinstance(value, dict) or fits(value):
        return []
    lists = [each for each in value.values() if isinstance(each, list)]
    fitting = [
        records for records in (*lists, list(value.values()), _transpose(value)) if any(map(fits, records))
    ]
    if len(fitting) > 1:
        raise DataError("the file holds several lists of records; write a file for each", path)
    return fitting[0] if fitting else []


def _transpose(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of a table that is stored by column, as lists or by row name; [] for any other object."""
    by_name = [tuple(cells) for cells in table.values() if isinstance(cells, dict)]
    columns = {
        name: list(cells.values()) if isinstance(cells, dict) else cells
        for name, cells in table.items()
        if isinstance(cells, (dict, list))
    }
    if len(set(by_name)) > 1 or len({len(cells) for cells in columns.values()}) != 1:
        return []
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _elements(path: Path, lines: TextLines) -> Iterator[tuple[int, Any]]:
    """Number and value of each element; only one element is in memory at a time."""
    buffer = _Buffer(path, lines)
    is_array = buffer.skip_space() == "["
    if is_array:
        buffer.position += 1
    while buffer.skip_space() != ("]" if is_array else ""):
        yield lines.rows + 1, buffer.decode_element()
        lines.end_row()
        following = buffer.skip_space()
        if following == ",":  # also between objects without brackets
            buffer.position += 1
        elif is_array and following != "]":
            raise buffer.damaged()
    if is_array:
        buffer.position += 1
        if buffer.skip_space():
            raise DataError("there is text after the end of the JSON array", path)


class _Buffer:
    """The part of a file from which the next element is decoded."""

    def __init__(self, path: Path, lines: TextLines) -> None:
        self._path, self._lines = path, lines
        self._text, self.position = "", 0
        self._at_end = False

    def damaged(self) -> DataError:
        return DataError("not JSON from here on; the file may be truncated", self._path, self._lines.rows + 1)

    def skip_space(self) -> str:
        """Move to the next character that is not white space, and return it; "" at the end."""
        while True:
            while self.position < len(self._text) and self._text[self.position] in _SPACE:
                self.position += 1
            if self.position < len(self._text) or not self._read_more(_CHUNK_CHARS):
                return self._text[self.position : self.position + 1]

    def decode_element(self) -> Any:
        size = _CHUNK_CHARS
        while True:
            try:
                value, self.position = _DECODER.raw_decode(self._text, self.position)
            except json.JSONDecodeError:
                # Incomplete, as far as one can tell: doubling keeps the total work linear.
                if not self._read_more(size):
                    raise self.damaged() from None
                size = min(2 * size, MAX_ROW_CHARS)
            except RecursionError:
                raise self.damaged() from None
            except ValueError as fault:
                raise DataError(_describe(fault), self._path, self._lines.rows + 1) from None
            else:
                return value

    def _read_more(self, size: int) -> bool:
        more = "" if self._at_end else self._lines.read(size)
        self._at_end = not more
        self._text, self.position = self._text[self.position :] + more, 0
        return bool(more)

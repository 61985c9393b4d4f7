"""Read XML files of records, such as the posts of one person in eRisk's layout (`INDIVIDUAL`, `WRITING`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from mentallama.errors import DataError
from mentallama.files.compression import DamagedStreamError, open_binary
from mentallama.files.tables.rows import (
    LONE_SURROGATE,
    Row,
    SparseColumns,
    TableLayout,
    too_long,
)

MAX_RECORD_BYTES = 1 << 22
"""Bytes of a record; parsed, XML takes up to a hundred times as much memory."""


MAX_DEPTH = 100
"""Elements within elements; a record of posts has two levels."""


class _NestedTooDeepError(Exception):
    pass


def read_xml(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
    """Yield one row for each child of the root that has children or attributes; the first is row 1.

    Its columns are the names of its children and attributes. Children of the root that hold only text, such as the
    `ID` of a person, are columns of the rows after them.
    """
    del encoding  # an XML file states its own encoding
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    columns, number = SparseColumns(layout), 0
    with open_binary(path) as file:
        source = _BoundedSource(file, path)
        try:
            for number, cells in _records(iterparse(source, events=("start", "end")), source):
                yield number, columns.cells_of(cells)
        except DefusedXmlException:
            raise DataError(
                "the file defines XML entities, which could stand for any amount of text", path
            ) from None
        except _NestedTooDeepError:
            raise DataError(f"elements are nested more than {MAX_DEPTH} deep", path, number + 1) from None
        except DamagedStreamError:
            raise DataError("damaged or truncated after this row", path, number or None) from None
        except (ParseError, ValueError, LookupError, RecursionError):
            raise DataError(
                "not well-formed XML from here on; the file may be truncated", path, number + 1
            ) from None
    columns.require(path)


def _records(events: Any, source: _BoundedSource) -> Iterator[tuple[int, dict[str, str]]]:
    depth, number, shared = 0, 0, dict[str, str]()
    root: Element | None = None
    for event, element in events:
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise _NestedTooDeepError
        if root is None:
            root = element
        elif event == "end" and depth == 1:
            source.end_record()
            if len(element) or element.attrib:
                number += 1
                yield number, shared | _cells(element)
            else:
                shared[element.tag] = _text(element)
            root.clear()


def _cells(record: Element) -> dict[str, str]:
    """Attributes, children (those with one name joined by an empty line), and text that stands beside children."""
    children: dict[str, str] = {}
    for child in record:
        parts = (children.get(child.tag, ""), _text(child))
        children[child.tag] = "\n\n".join(filter(None, parts))
    has_own_text = any(text and text.strip() for text in (record.text, *(child.tail for child in record)))
    whole = {record.tag: _text(record)} if has_own_text or not children else {}
    return dict(record.attrib) | children | whole


def _text(element: Element) -> str:
    return LONE_SURROGATE.sub("\ufffd", "".join(element.itertext()).strip())


class _BoundedSource:
    """File whose reader may not take more than `MAX_RECORD_BYTES` without finding the end of a record."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._record_bytes, self._records = 0, 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._record_bytes += len(data)
        if self._record_bytes > MAX_RECORD_BYTES:
            too_long(self._path, self._records + 1)
        return data

    def end_record(self) -> None:
        self._record_bytes = 0
        self._records += 1

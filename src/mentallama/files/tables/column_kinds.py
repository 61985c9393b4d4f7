"""The kinds of values that the columns of a table hold, for formats whose columns have types."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from mentallama.data_frames import is_missing

ColumnKind = Literal["integer", "long integer", "number", "boolean", "time", "text"]
"""A "long integer" has 64 bits, and a column of numbers, which are floats, cannot hold it exactly."""

_MAX_INTEGER, _MAX_EXACT = 2**63, 2**53
"""Columns of integers have 64 bits; floats are exact up to the second."""

_MIXED: dict[frozenset[ColumnKind], ColumnKind] = {
    frozenset({"integer", "number"}): "number",
    frozenset({"integer", "long integer"}): "long integer",
}
"""The kind of a column whose values are of two kinds that one type holds exactly."""


def column_kinds(columns: Iterable[str], seen: Mapping[str, set[ColumnKind]]) -> dict[str, ColumnKind]:
    """The kind of each column, from the kinds of its values: text if they differ or there are none.

    >>> column_kinds(["id", "age", "body"], {"id": {"integer", "text"}, "age": {"integer", "number"}})
    {'id': 'text', 'age': 'number', 'body': 'text'}
    """
    return {column: _common_kind(seen.get(column, set())) for column in columns}


def _common_kind(kinds: set[ColumnKind]) -> ColumnKind:
    return next(iter(kinds)) if len(kinds) == 1 else _MIXED.get(frozenset(kinds), "text")


def kind_of(value: Any) -> ColumnKind | None:
    """The kind of a value; None for a missing one.

    >>> [kind_of(value) for value in (3, 2**60, 2.5, True, "a", ["a"], 2**70, None)]
    ['integer', 'long integer', 'number', 'boolean', 'text', 'text', 'text', None]
    """
    if is_missing(value):
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return _kind_of_integer(value)
    if isinstance(value, float):
        return "number"
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        return "time"
    return "text"


def _kind_of_integer(value: int) -> ColumnKind:
    if -_MAX_EXACT <= value <= _MAX_EXACT:
        return "integer"
    return "long integer" if -_MAX_INTEGER <= value < _MAX_INTEGER else "text"

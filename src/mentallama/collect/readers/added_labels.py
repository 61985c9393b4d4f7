"""Labels of users or posts that stand in a second file, added to the rows of a table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.tables import read_table
from mentallama.tasks import LabelsFile, normalize_code

_DECIMALS_OF_ID = re.compile(r"(\d+)[.,]0+")
_ROUNDED_ID = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+\d{2,}")
"""A long number as a spreadsheet rounds it, such as 1.23E+18: many ids become one."""


def _clean_id(cell: str) -> str:
    """An id without the decimals that programs add to numbers, where other ids of a column are missing."""
    cell = cell.strip()
    decimals = _DECIMALS_OF_ID.fullmatch(cell)
    return decimals[1] if decimals else cell


def _without_zeros(id_: str) -> str:
    """An id without the leading zeros that a spreadsheet takes from numbers."""
    return id_.lstrip("0") or "0" if id_.isdecimal() else id_


class AddedLabels:
    """Cells of a labels file by id, added to the rows of a table with this id in `column`.

    Leading zeros are compared only if the labels file does not have the id as it is written.
    """

    def __init__(self, name: str, column: str, cells: dict[str, dict[str, str]]) -> None:
        self._name, self._column, self._cells = name, column, cells
        self._by_number: dict[str, list[str]] = {}
        for id_ in cells:
            self._by_number.setdefault(_without_zeros(id_), []).append(id_)
        self._spellings: dict[str, str] = {}

    def add_to(self, cells: dict[str, str]) -> str | None:
        """Add the labels of a row; returns why that is not possible, or None.

        Raises
        ------
        ValueError
            This row's id and that of an earlier row differ in leading zeros, and the labels file has one of them.
        """
        id_ = _clean_id(cells[self._column])
        if not id_:
            return f"there is no id in column {self._column!r}"
        if _ROUNDED_ID.fullmatch(id_):
            return f"the id in column {self._column!r} was rounded by a spreadsheet, so it is no longer one post's"
        same_number = self._by_number.get(_without_zeros(id_), [])
        found = id_ if id_ in self._cells else same_number[0] if len(same_number) == 1 else None
        if found is None:
            return f"{self._name} has no row for the id in column {self._column!r}"
        if self._spellings.setdefault(found, id_) != id_:
            raise ValueError(
                f"ids in column {self._column!r} differ only in leading zeros, and {self._name} has one row for them"
            )
        cells |= self._cells[found]
        return None


def read_labels_file(path: Path, labels: LabelsFile, columns: tuple[str, ...]) -> AddedLabels:
    """Read the given columns of a file with the labels of users or posts.

    Raises
    ------
    DataError
        A row cannot be read, or an id has two rows that differ.
    """
    ((column, id_column),) = labels.match.items()
    cells_by_id: dict[str, dict[str, str]] = {}
    layout = replace(labels.layout([id_column, *columns]), lists=columns)
    for number, cells in read_table(path, labels.encoding, layout):
        added, id_ = {name: cells[name] for name in columns}, _clean_id(cells[id_column])
        if id_ and _codes(cells_by_id.setdefault(id_, added)) != _codes(added):
            raise DataError("an earlier row has the same id and other labels", path, number)
    return AddedLabels(labels.file, column, cells_by_id)


def _codes(cells: dict[str, str]) -> list[str]:
    return [normalize_code(cell) for cell in cells.values()]

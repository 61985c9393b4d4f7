"""Read raw posts from release files and tables, with a reason for each row that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.collect.placeholders import Placeholders
from mentallama.errors import DataError
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.files.tables import (
    MissingColumnsError,
    Row,
    UnreadableRow,
    read_rows,
    read_table,
)
from mentallama.records import Origin, Record, Split
from mentallama.tasks import LabelsFile, Source, Task, normalize_code


class Reject(Record):
    """A rejected row. `row` is its number in a spreadsheet; `reason` contains no post text."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class RawPost:
    """A post as read from a file. `split` is None if the file has no published split."""

    set: str
    split: Split | None
    origin: Origin
    file: str
    row: int
    text: str
    labels: dict[str, str]
    language: str | None = None
    evidence: dict[str, str] = field(default_factory=dict)
    evidence_separator: str | None = None
    references: dict[str, str] = field(default_factory=dict)
    author: str | None = None
    thread: str | None = None
    time: str | None = None


def read_release_posts(file: ReleaseFile, task: Task, name: str) -> Iterator[RawPost | Reject]:
    """Read a release file, grouping its rows by post: one text with labels and references by question.

    A text that repeats a question starts a new post, so that every published row is kept.
    """
    posts: dict[tuple[str, int], RawPost] = {}
    repeats: dict[tuple[str, str], int] = {}
    for row in read_release_file(file, task):
        reading = read_answer(task, row.reference, file.form)
        if reading.label is None:
            yield Reject(
                file=name, row=row.row, reason=f"the reference response is {reading.status}: {reading.reason}"
            )
            continue
        repeat = repeats[row.text, row.question] = repeats.get((row.text, row.question), -1) + 1
        post = posts.setdefault(
            (row.text, repeat),
            RawPost(task.set, file.split, "release", name, row.row, row.text, {}, task.language),
        )
        post.labels[row.question] = reading.label
        post.references[row.question] = row.reference
    yield from posts.values()


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
    for number, cells in read_table(path, labels.encoding, labels.layout([id_column, *columns])):
        added, id_ = {name: cells[name] for name in columns}, _clean_id(cells[id_column])
        if id_ and _codes(cells_by_id.setdefault(id_, added)) != _codes(added):
            raise DataError("an earlier row has the same id and other labels", path, number)
    return AddedLabels(labels.file, column, cells_by_id)


def _codes(cells: dict[str, str]) -> list[str]:
    return [normalize_code(cell) for cell in cells.values()]


@dataclass(frozen=True)
class RowRules:
    """Rules that complete and judge the rows of a table, besides its field map."""

    placeholders: Placeholders = field(default_factory=Placeholders)
    labels: AddedLabels | None = None


def read_table_posts(
    path: Path, source: Source, task: Task, name: str, origin: Origin, rules: RowRules | None = None
) -> Iterator[RawPost | Reject]:
    """Read an upstream file or a declared table according to its field map: each row gives a post or a reject.

    Raises
    ------
    DataError
        The file lacks a column that the field map names, or cannot be read to its end.
    """
    rules = rules or RowRules()
    for row in _read_rows(path, source):
        if isinstance(row, UnreadableRow):
            yield Reject(file=name, row=row.row, reason=row.reason)
            continue
        number, cells = row
        try:
            reason = rules.labels.add_to(cells) if rules.labels else None
        except ValueError as fault:
            raise DataError(str(fault), path, number) from None
        if reason:
            yield Reject(file=name, row=number, reason=reason)
            continue
        if not any(
            normalize_code(cells[column]) in values for column, values in source.skipped_values.items()
        ):
            yield _table_post(cells, number, source, task, (name, origin), rules.placeholders)


def _read_rows(path: Path, source: Source) -> Iterator[Row]:
    try:
        yield from read_rows(path, source.encoding, source.layout(source.needed_columns))
    except MissingColumnsError as fault:
        if source.labels_file is None and set(fault.missing) <= set(source.columns.labels.values()):
            hint = "the key labels_file names a second file with the labels"
            raise DataError(f"{fault.problem}; {hint}", path, fault.row) from None
        raise


def _table_post(
    cells: dict[str, str],
    row: int,
    source: Source,
    task: Task,
    file: tuple[str, Origin],
    placeholders: Placeholders,
) -> RawPost | Reject:
    columns, (name, origin) = source.columns, file
    parts = [cells[column] for column in columns.text_columns]
    reason = _fault_of_cells(cells, source, task)
    if any(map(placeholders.is_removed_text, parts)):
        reason = "the text is a placeholder for removed text"
    if reason:
        return Reject(file=name, row=row, reason=reason)
    return RawPost(
        task.set,
        _parse_split(cells[columns.split]) if columns.split else source.split,
        origin,
        name,
        row,
        parts[0] if len(parts) == 1 else "\n\n".join(part.strip() for part in parts if part.strip()),
        {question: _label(cells[column], source, task) for question, column in columns.labels.items()},
        language=(columns.language and cells[columns.language]) or task.language,
        evidence={
            question: cells[column] for question, column in columns.evidence.items() if cells[column].strip()
        },
        evidence_separator=source.separator,
        author=placeholders.known_author(cells[columns.author]) if columns.author else None,
        thread=placeholders.known_author(cells[columns.thread]) if columns.thread else None,
        time=(columns.time and cells[columns.time]) or None,
    )


def _fault_of_cells(cells: dict[str, str], source: Source, task: Task) -> str | None:
    """Why the labels or the split of a row cannot be used; None if they can."""
    for column in source.columns.labels.values():
        if not _label(cells[column], source, task):
            known = ", ".join([*source.codes, *(name for name in task.labels if name not in source.codes)])
            return (
                f"{_describe_cell(cells[column])} in column {column!r} is not a label; the labels are {known}"
            )
    split = source.columns.split
    if split and not _parse_split(cells[split]):
        return f"the cell in column {split!r} is not a split"
    return None


def _label(cell: str, source: Source, task: Task) -> str:
    """The canonical label of a cell; "" if it has none."""
    cell = cell.strip()
    code = normalize_code(cell)
    if cell in source.codes:
        return source.codes[cell]
    return source.labels_by_code.get(code, next((name for name in (cell, code) if name in task.labels), ""))


_SPLIT_ALIASES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def _describe_cell(cell: str) -> str:
    """Describe a cell that is not a label, for an error message; a long one may be a post and is not shown."""
    cell = cell.strip()
    if len(cell.split()) == 1 and len(cell) <= 20:
        return repr(cell)
    return f"a text of {len(cell)} characters" if cell else "an empty cell"


def _parse_split(cell: str) -> Split | None:
    return _SPLIT_ALIASES.get(cell.strip().lower())

"""Read raw posts from release files and tables, with a reason for each row that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.files.tables import NUL_STAND_IN, read_table, require_columns
from mentallama.records import Origin, Record, Split
from mentallama.tasks import Source, Task

MAX_POST_CHARS = 100_000
"""Reddit's own limit is 40,000; a longer cell means a damaged file, not a post."""


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


def read_table_posts(
    path: Path, source: Source, task: Task, name: str, origin: Origin
) -> Iterator[RawPost | Reject]:
    """Read an upstream file or a declared table according to its field map.

    Raises
    ------
    DataError
        The file lacks a column that the field map names.
    """
    columns = source.columns
    required = [columns.text, *columns.labels.values(), *columns.evidence.values(), *source.skip]
    required += [
        column
        for column in (columns.author, columns.thread, columns.time, columns.split, columns.language)
        if column
    ]
    checked = False
    for row, cells in read_table(path, source.encoding):
        if not checked:
            require_columns(path, cells, required)
            checked = True
        if any(cells[column] in values for column, values in source.skip.items()):
            continue
        yield _table_post(cells, row, source, task, name, origin)


def _table_post(
    cells: dict[str, str], row: int, source: Source, task: Task, name: str, origin: Origin
) -> RawPost | Reject:
    columns, labels = source.columns, {}
    for question, column in columns.labels.items():
        label = _canonical_label(cells[column], source, task)
        if label is None:
            known = ", ".join([*source.codes, *(name for name in task.labels if name not in source.codes)])
            return Reject(
                file=name,
                row=row,
                reason=f"{_describe_cell(cells[column])} in column {column!r} is not a label; the labels are {known}",
            )
        labels[question] = label
    split = _parse_split(cells[columns.split]) if columns.split else source.split
    if columns.split and split is None:
        return Reject(file=name, row=row, reason=f"the cell in column {columns.split!r} is not a split")
    return RawPost(
        task.set,
        split,
        origin,
        name,
        row,
        cells[columns.text],
        labels,
        language=(columns.language and cells[columns.language]) or task.language,
        evidence={
            question: cells[column] for question, column in columns.evidence.items() if cells[column].strip()
        },
        evidence_separator=source.separator,
        author=(columns.author and cells[columns.author]) or None,
        thread=(columns.thread and cells[columns.thread]) or None,
        time=(columns.time and cells[columns.time]) or None,
    )


def _canonical_label(cell: str, source: Source, task: Task) -> str | None:
    cell = cell.strip()
    return source.codes.get(cell, cell if cell in task.labels else None)


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
    return f"a text of {len(cell)} characters" if cell else "nothing"


def _parse_split(cell: str) -> Split | None:
    return _SPLIT_ALIASES.get(cell.strip().lower())


def rejection_reason(raw: RawPost) -> str | None:
    """The reason why a post's text cannot be used; None if it can."""
    if NUL_STAND_IN in raw.text:
        return "the text contains NUL bytes; the file is damaged or binary"
    if len(raw.text) > MAX_POST_CHARS:
        return f"the text has {len(raw.text):,} characters; posts have at most {MAX_POST_CHARS:,}"
    if not raw.text.strip():
        return "the text is empty"
    return None

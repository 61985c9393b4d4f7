"""Read raw posts from upstream files and declared tables, with a reason for each row that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.collect.placeholders import Placeholders
from mentallama.collect.readers.added_labels import AddedLabels
from mentallama.collect.readers.label_cells import LabelCells
from mentallama.collect.readers.raw_posts import RawPost, Reject
from mentallama.errors import DataError
from mentallama.files.tables import MissingColumnsError, Row, UnreadableRow, read_rows
from mentallama.records import Origin, Split
from mentallama.tasks import Source, Task, normalize_code
from mentallama.tasks.answer_values import TypedQuotation, quotations_value, value_quotations


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
        if source.labels_file is None and set(fault.missing) <= set(source.columns.label_columns):
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
    if any(map(placeholders.is_removed_text, parts)):
        return Reject(file=name, row=row, reason="the text is a placeholder for removed text")
    try:
        labels, quotations = _answers(cells, source, task)
    except ValueError as fault:
        return Reject(file=name, row=row, reason=str(fault))
    if columns.split and not _parse_split(cells[columns.split]):
        return Reject(file=name, row=row, reason=f"the cell in column {columns.split!r} is not a split")
    return RawPost(
        task.set,
        _parse_split(cells[columns.split]) if columns.split else source.split,
        origin,
        name,
        row,
        parts[0] if len(parts) == 1 else "\n\n".join(part.strip() for part in parts if part.strip()),
        labels,
        language=(columns.language and cells[columns.language]) or task.language,
        evidence={
            question: cells[column] for question, column in columns.evidence.items() if cells[column].strip()
        },
        evidence_separator=source.separator,
        quotations=quotations,
        author=placeholders.known_author(cells[columns.author]) if columns.author else None,
        thread=placeholders.known_author(cells[columns.thread]) if columns.thread else None,
        time=(columns.time and cells[columns.time]) or None,
    )


def _answers(
    cells: dict[str, str], source: Source, task: Task
) -> tuple[dict[str, str], dict[str, tuple[TypedQuotation, ...]]]:
    """The labels of a row and, for the kind spans, their quotations as the row has them, both by question.

    Raises
    ------
    ValueError
        A cell is no label of the task; the message names its column and holds no post text.
    """
    reader = LabelCells(source, task)
    if task.kind != "spans":
        return {name: reader.label(cells, columns) for name, columns in source.columns.labels.items()}, {}
    labels = {
        name: quotations_value(task, reader.quotations(cells, columns))
        for name, columns in source.columns.labels.items()
    }
    return labels, {name: value_quotations(task, label) for name, label in labels.items()}


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


def _parse_split(cell: str) -> Split | None:
    return _SPLIT_ALIASES.get(cell.strip().lower())

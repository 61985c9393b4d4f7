"""The schema of the tables of a task: where a post's fields stand in them, and how they are laid out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from functools import cached_property
from pathlib import PurePath
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mentallama.files.tables import WHITESPACE, Quoting, TableLayout
from mentallama.records import Split
from mentallama.tasks.wording import TaskFileModel


class ColumnMap(TaskFileModel):
    """Field map of a table: the columns that hold the fields of a post.

    A field of a nested object is named by its path, such as `data.selftext`.
    """

    text: str | tuple[str, ...]
    """Column of the post's text, or several, such as `[title, selftext]`, whose texts are joined by an empty line."""
    labels: dict[str, str | dict[str, str]] = {}
    """Question -> column; or, for the kinds multi, scale and spans, label or item -> column. Empty for a file without
    labels."""
    evidence: dict[str, str] = {}
    """Question -> column with the annotators' evidence spans."""
    author: str | None = None
    thread: str | None = None
    """Column with the thread of a row; rows of one thread stay in one split."""
    time: str | None = None
    split: str | None = None
    language: str | None = None

    @cached_property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of the text, in order."""
        return (self.text,) if isinstance(self.text, str) else self.text

    @cached_property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the labels, in order."""
        return tuple(
            column
            for columns in self.labels.values()
            for column in ([columns] if isinstance(columns, str) else columns.values())
        )


class TableFile(TaskFileModel):
    """A table, and how it is laid out where its name and its content do not say so."""

    file: str
    format: Literal["csv", "tsv", "jsonl", "json", "xlsx", "parquet", "xml"] | None = None
    """Format of a file whose name does not say it."""
    encoding: str = "utf-8"
    delimiter: str | None = None
    """One character, or `whitespace`. Default: the one with which the header has the needed columns."""
    quoting: Quoting | None = None
    """`none`: quotation marks are text. `minimal`: they enclose cells, and are doubled within one. `backslash`: they
    enclose cells, and stand after a backslash within one. Default: as a file with tabs is built; all other delimited
    files are read with `minimal`, and one whose cells would hold whole rows is refused."""
    sheet: str | None = None
    """Sheet of a workbook. Default: the one that has the needed columns."""
    names: tuple[str, ...] = ()
    """Names of the columns of a file without a header."""

    @field_validator("file")
    @classmethod
    def _stays_in_its_folder(cls, value: str) -> str:
        path = PurePath(value)
        if not value or "\0" in value or path.is_absolute() or ".." in path.parts:
            raise ValueError("a file is named by its path below sources/<set>/")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except (LookupError, ValueError):
            raise ValueError(f"there is no encoding named {value!r}") from None
        return value

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = "\t" if value in {"\\t", "tab"} else value
        if value is not None and value != WHITESPACE and (len(value) != 1 or value in '"\r\n\0'):
            raise ValueError("a delimiter is one character, or whitespace")
        return value

    def layout(self, columns: Iterable[str]) -> TableLayout:
        """The layout for a reader that needs `columns`."""
        delimiter = self.delimiter
        if delimiter is None and self.names and self.file.lower().endswith(".txt"):
            delimiter = WHITESPACE
        return TableLayout(tuple(columns), self.format, delimiter, self.quoting, self.sheet, self.names)


class LabelsFile(TableFile):
    """A second file with labels, one row for each user or post; a user's labels hold for all of the user's posts."""

    match: dict[str, str] = Field(min_length=1, max_length=1)
    """Column of the table: column of this file with the same ids, such as `author: subject`."""
    columns: tuple[str, ...] = ()
    """Columns that are added to the table's. Default: those that the field map names as labels."""


_TRUTH_VALUES = {"true": "1", "false": "0"}
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:[.,]\d{0,30})?(?:[eE][+-]?\d{1,2})?")
_INVISIBLE_AROUND = "\ufeff\u200b\u200e\u200f\u2060"
"""Marks that copying leaves around a cell; `str.strip` keeps them."""


def normalize_code(cell: str) -> str:
    """One spelling of a whole number or truth value, since programs write a label 1 also as 1.0 or True.

    >>> [normalize_code(cell) for cell in (" 1.0 ", "2,00", "TRUE", "yes", "1.5")]
    ['1', '2', '1', 'yes', '1.5']
    """
    cell = cell.strip().strip(_INVISIBLE_AROUND).strip()
    if _NUMBER.fullmatch(cell):
        number = Decimal(cell.replace(",", "."))  # exact: a float merges identifiers of more than 15 digits
        return str(int(number)) if number == number.to_integral_value() else cell
    return _TRUTH_VALUES.get(cell.lower(), cell)


class Source(TableFile):
    """One upstream file of a set, or one table declared in a recipe.

    `codes` maps values of the label columns to canonical labels; canonical labels and the scores of levels need no
    code. An answer of several parts without any is `none`. `separator` splits a cell into several spans of evidence or,
    for the kinds multi and spans, into several labels or quotations.
    """

    columns: ColumnMap
    split: Split | None = None
    """None for a file without a published split; its posts are training posts, from which splits are drawn."""
    codes: dict[str, str] = {}
    separator: str | None = None
    skip: dict[str, tuple[str, ...]] = {}
    """Column -> values; rows with such a value are not part of the task."""
    labels_file: LabelsFile | None = None
    """A second file with the labels of users or posts."""

    @model_validator(mode="after")
    def _codes_agree(self) -> Source:
        for code, label in self.codes.items():
            if self.codes.get(normalize_code(code), label) != label:
                raise ValueError(
                    f"codes: {code!r} and {normalize_code(code)!r} are one value with two labels"
                )
        return self

    def layout(self, columns: Iterable[str]) -> TableLayout:
        return replace(super().layout(columns), lists=self.columns.label_columns)

    @cached_property
    def labels_by_code(self) -> dict[str, str]:
        """Code, as `normalize_code` spells it -> label."""
        return {normalize_code(code): label for code, label in self.codes.items()}

    @cached_property
    def skipped_values(self) -> dict[str, frozenset[str]]:
        """Column -> values to skip, as `normalize_code` spells them."""
        return {column: frozenset(map(normalize_code, values)) for column, values in self.skip.items()}

    @cached_property
    def needed_columns(self) -> tuple[str, ...]:
        """The columns that the table itself must have."""
        columns, matched = self.columns, self.labels_file.match if self.labels_file else ()
        optional = (columns.author, columns.thread, columns.time, columns.split, columns.language)
        names = dict.fromkeys(
            [
                *columns.text_columns,
                *columns.label_columns,
                *columns.evidence.values(),
                *self.skip,
                *filter(None, optional),
                *matched,
            ]
        )
        return tuple(name for name in names if name not in self.added_columns)

    @cached_property
    def added_columns(self) -> tuple[str, ...]:
        """The columns that come from the labels file."""
        if self.labels_file is None:
            return ()
        return self.labels_file.columns or tuple(dict.fromkeys(self.columns.label_columns))

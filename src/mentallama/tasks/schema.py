"""The schema of a task file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import PurePath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mentallama.files.tables import WHITESPACE, Quoting, TableLayout
from mentallama.records import Form, Split
from mentallama.text.names import FileName


class TaskFileModel(BaseModel):
    """Base of the models of a task file: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(TaskFileModel):
    """One text in both published forms."""

    instruction: str
    completion: str

    def for_form(self, form: Form) -> str:
        return self.instruction if form == "instruction" else self.completion


class Question(TaskFileModel):
    """One question of a task: its wording, and an instruction to teachers."""

    wording: Wording
    teacher_instruction: str | None = None
    """Added to the task's instruction to teachers, for tasks with several questions."""


class Label(TaskFileModel):
    """One label: the sentence that states it in each form, and other phrases by which models state it.

    An alias matches whole words, in any case, with or without a plural `s`; `*` matches up to three words. In a yes/no
    task the aliases of "yes" state the finding ("signs of depression"); negated, the same words are read as "no".
    """

    answer: Wording
    aliases: tuple[str, ...] = ()
    negated_aliases: tuple[str, ...] = ()
    """Phrases whose negation states this label, such as "any mental disorder" for "no mental disorders"."""
    because: str
    """Why a quotation supports the label, such as "wording that goes with signs of depression"; replaces `{because}`
    in templates."""


class ExplanationTemplate(TaskFileModel):
    """Sentences of an explanation that is generated from evidence.

    `{quotes}` is replaced by quotations from the post, `{because}` by the label's `because`. `evidence` is for
    quotations that support the label, `counter_evidence` for those against it, `inconclusive` for posts with little of
    either, `unsupported` for posts that do not speak for the label at all.
    """

    evidence: str
    counter_evidence: str
    no_counter_evidence: str
    inconclusive: str
    unsupported: str | None = None
    """If None, `inconclusive` is used."""
    given_label_supported: str | None = None
    """Used instead of `evidence` if the label was given to the teacher; may also contain `{question}`."""
    given_label_unsupported: str | None = None
    """The same for a label that the post hardly supports. If None, `counter_evidence` and `inconclusive` are used."""
    quote_marks: tuple[str, str] = ("“", "”")
    quote_separator: str = ", "


class ColumnMap(TaskFileModel):
    """Field map of a table: the columns that hold the fields of a post.

    A field of a nested object is named by its path, such as `data.selftext`.
    """

    text: str | tuple[str, ...]
    """Column of the post's text, or several, such as `[title, selftext]`, whose texts are joined by an empty line."""
    labels: dict[str, str] = {}
    """Question -> column. Empty for a file without labels."""
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


class TableFile(TaskFileModel):
    """A table, and how it is laid out where its name and its content do not say so."""

    file: str
    format: Literal["csv", "tsv", "jsonl", "json", "xlsx", "parquet", "xml"] | None = None
    """Format of a file whose name does not say it."""
    encoding: str = "utf-8"
    delimiter: str | None = None
    """One character, or `whitespace`. Default: the one with which the header has the needed columns."""
    quoting: Quoting | None = None
    """`none`: quotation marks are text. `minimal`: they enclose cells. Default: as a file with tabs is built; all other
    delimited files are read with `minimal`."""
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
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:[.,]\d{0,30})?(?:[eE][+-]?\d{1,2})?")


def normalize_code(cell: str) -> str:
    """One spelling of a whole number or truth value, since programs write a label 1 also as 1.0 or True.

    >>> [normalize_code(cell) for cell in (" 1.0 ", "2,00", "TRUE", "yes", "1.5")]
    ['1', '2', '1', 'yes', '1.5']
    """
    cell = cell.strip()
    if _NUMBER.fullmatch(cell):
        number = float(cell.replace(",", "."))
        return str(int(number)) if number.is_integer() else cell
    return _TRUTH_VALUES.get(cell.lower(), cell)


class Source(TableFile):
    """One upstream file of a set, or one table declared in a recipe.

    `codes` maps values of the label column to canonical labels; canonical labels need no code. `separator` splits an
    evidence cell into several spans.
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
                *columns.labels.values(),
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
        return self.labels_file.columns or tuple(dict.fromkeys(self.columns.labels.values()))


class SplitCounts(TaskFileModel):
    """Published rows (post x question) per split."""

    train: int
    validation: int
    test: int


class Task(TaskFileModel):
    """One set of the benchmark."""

    set: FileName
    title: str
    platform: str
    annotation: Literal["human", "weak", "none"]
    licence: str
    obtain: str
    needs_agreement: bool
    """Whether posts may be sent to a remote endpoint only if the user allows it."""
    language: str
    questions: dict[str, Question] = Field(min_length=1)
    labels: dict[str, Label] = Field(min_length=2)
    high_risk_label: str | None = None
    """The label whose misses are most costly; None if no label stands out."""
    teacher_instruction: str
    explanation_template: ExplanationTemplate
    published_rows: SplitCounts
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _references_exist(self) -> Task:
        if self.high_risk_label is not None and self.high_risk_label not in self.labels:
            raise ValueError(f"high_risk_label: {self.high_risk_label!r} is not a label")
        for source in self.sources:
            if unknown := self.unknown_names(source):
                raise ValueError(f"{source.file}: no such label or question: {unknown}")
        return self

    def unknown_names(self, source: Source) -> list[str]:
        """Labels and questions of a file's field map that do not exist in the task, sorted."""
        unknown = set(source.codes.values()) - set(self.labels)
        return sorted(unknown | {*source.columns.labels, *source.columns.evidence} - set(self.questions))

    def __hash__(self) -> int:
        return hash(self.set)

    @cached_property
    def is_yes_no(self) -> bool:
        """Whether the labels are "yes" and "no"."""
        return set(self.labels) == {"yes", "no"}

    def resolve_question(self, question: str | None = None) -> str:
        """Return the given question, or the task's only one if None.

        Raises
        ------
        ValueError
            There is no such question, or `question` is None and the task has several.
        """
        if question is None and len(self.questions) == 1:
            return next(iter(self.questions))
        if question not in self.questions:
            raise ValueError(f"{self.set} asks {', '.join(self.questions)}; not {question!r}")
        return question

"""The schema of a task file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import PurePath
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mentallama.files.tables import WHITESPACE, Quoting, TableLayout
from mentallama.records import FORMS, Form, Split
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
    """One question of a task: its wording, other wordings of it, and an instruction to teachers."""

    wording: Wording
    paraphrases: tuple[str, ...] = ()
    """The same question in other words, in the instruction form, by which `robustness` asks it too."""
    teacher_instruction: str | None = None
    """Added to the task's instruction to teachers, for tasks with several questions."""


def _check_names_something(alias: str) -> str:
    """Refuse an alias without a letter or digit, such as "", " ", "*" or "...": it would match any text."""
    if not any(map(str.isalnum, alias)):
        raise ValueError(f"the alias {alias!r} would match any text; an alias needs a letter or a digit")
    return alias


Alias = Annotated[str, AfterValidator(_check_names_something)]


class Label(TaskFileModel):
    """One label: the sentence that states it in each form, and other phrases by which models state it.

    An alias matches whole words, in any case, with or without a plural `s`; `*` matches up to three words. In a yes/no
    task the aliases of "yes" state the finding ("signs of depression"); negated, the same words are read as "no".
    """

    answer: Wording
    aliases: tuple[Alias, ...] = ()
    negated_aliases: tuple[Alias, ...] = ()
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

    @model_validator(mode="after")
    def _placeholders_exist(self) -> ExplanationTemplate:
        for name in type(self).model_fields:
            text, known = getattr(self, name), _PLACEHOLDERS.get(name)
            if isinstance(text, str) and known is not None and (unknown := _unknown_placeholder(text, known)):
                allowed = " and ".join(f"{{{each}}}" for each in known) or "no braces"
                raise ValueError(f"{name}: {unknown}; it may contain {allowed}")
        return self


_PLACEHOLDERS = {
    "evidence": ("quotes", "because"),
    "counter_evidence": ("quotes", "because"),
    "inconclusive": (),
    "given_label_supported": ("quotes", "because", "question"),
    "given_label_unsupported": ("quotes", "because", "question"),
}
"""Names allowed in braces, by sentence; sentences that are not listed are used as they are."""


def _unknown_placeholder(text: str, known: Collection[str]) -> str | None:
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError:
        return "a brace is not closed; write {{ or }} for the character itself"
    unknown = [name for name in names if name not in known]
    return f"{{{unknown[0]}}} stands for nothing" if unknown else None


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


def _equal_texts(texts: Mapping[str, str]) -> tuple[str, str] | None:
    """The names of the first two texts that differ in nothing but case, spaces and a full stop."""
    owners: dict[str, str] = {}
    for name, text in texts.items():
        first = owners.setdefault(" ".join(text.casefold().split()).rstrip("."), name)
        if first != name:
            return first, name
    return None


class SplitCounts(TaskFileModel):
    """Published rows (post x question) per split."""

    train: int = Field(ge=0)
    validation: int = Field(ge=0)
    test: int = Field(ge=0)


DataUse = Literal[
    "no restriction",
    "general research use",
    "health or medical or biomedical research",
    "not for profit, non commercial use only",
    "publication required",
    "collaboration required",
    "ethics approval required",
    "user specific restriction",
    "project specific restriction",
    "institution specific restriction",
]
"""Permissions, and restrictions of them, by their labels in the Data Use Ontology (DUO, Lawson et al. 2021)."""


class Task(TaskFileModel):
    """One set of the benchmark."""

    set: FileName
    title: str
    platform: str
    annotation: Literal["human", "weak", "none"]
    licence: str
    """The terms in words."""
    spdx: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.+-]+$")
    """SPDX identifier of the licence, such as MIT; None if it is no standard licence."""
    data_use: tuple[DataUse, ...] = ()
    """The terms as labels of the Data Use Ontology; () if they are not known or the licence says all."""
    obtain: str | None = None
    """Where others can get the data; None if they cannot."""
    needs_agreement: bool
    """Whether posts may be sent to a remote endpoint only if the user allows it."""
    language: str
    questions: dict[str, Question] = Field(min_length=1)
    labels: dict[str, Label] = Field(min_length=2)
    high_risk_label: str | None = None
    """The label whose misses are most costly; None if no label stands out."""
    teacher_instruction: str
    explanation_template: ExplanationTemplate
    published_name: str | None = None
    """How the paper of the set spells it, where `set` differs."""
    published_rows: SplitCounts | None = None
    """Rows of the published benchmark; None for a set that is not part of it."""
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _answers_differ(self) -> Task:
        """Refuse two labels with one answer, or two questions with one wording: neither could be read back."""
        for form in FORMS:
            answers = {name: label.answer.for_form(form) for name, label in self.labels.items()}
            wordings = {name: question.wording.for_form(form) for name, question in self.questions.items()}
            if form == "instruction":
                wordings |= self._paraphrases()
            for kind, texts in (("labels", answers), ("questions", wordings)):
                first, second = _equal_texts(texts) or ("", "")
                if second:
                    raise ValueError(f"{kind}: {first!r} and {second!r} have the same words in {form} form")
        return self

    def _paraphrases(self) -> dict[str, str]:
        """Paraphrases of all questions, by names that tell them apart."""
        return {
            f"{name}, paraphrase {number}": text
            for name, question in self.questions.items()
            for number, text in enumerate(question.paraphrases, 1)
        }

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

    @property
    def display_name(self) -> str:
        """The set's name in tables and plots."""
        return self.published_name or self.set

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

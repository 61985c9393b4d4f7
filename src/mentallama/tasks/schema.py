"""What a task file holds."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mentallama.records import Form, Split


class TaskFileModel(BaseModel):
    """Base of everything in a task file: frozen, unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(TaskFileModel):
    """One text in both published forms."""

    instruction: str
    completion: str

    def for_form(self, form: Form) -> str:
        return self.instruction if form == "instruction" else self.completion


class Question(TaskFileModel):
    """One question of a task: how it is asked, and how people name it."""

    wording: Wording
    teacher_instruction: str | None = None
    """What the teacher is told to look for, where it differs from the task's own instruction."""


class Label(TaskFileModel):
    """One answer: the sentence that states it in each form, and other ways models put it.

    An alias is matched as whole words, in any case, with a plural `s` or without.
    In a yes/no task the aliases of "yes" state the finding ("signs of depression"); the same words
    negated are read as "no". A `*` stands for up to three words.
    """

    answer: Wording
    aliases: tuple[str, ...] = ()
    negated_aliases: tuple[str, ...] = ()
    """Phrases whose negation states this label, as "any mental disorder" does for the label of none."""
    because: str
    """Completes "wording that …" in explanations, as "goes with signs of depression"."""


class ExplanationTemplate(TaskFileModel):
    """The sentences of an explanation that is written from evidence.

    `{quotes}` stands for quotations from the post, `{because}` for the label's own words.
    """

    evidence: str
    counter_evidence: str
    no_counter_evidence: str
    inconclusive: str
    given_label_supported: str | None = None
    """As `evidence`, where a teacher explains a label that was given; `{question}` may stand in it too."""
    given_label_unsupported: str | None = None
    """The same for a label that the post's words hardly support. Without it, `against` and `little` are written."""
    quote_marks: tuple[str, str] = ("“", "”")
    quote_separator: str = ", "


class ColumnMap(TaskFileModel):
    """Where the fields of a post stand in a table (a declared field map)."""

    text: str
    labels: dict[str, str] = {}
    """Question -> column. Empty: the file has no labels."""
    evidence: dict[str, str] = {}
    """Question -> column with the annotators' evidence spans."""
    author: str | None = None
    thread: str | None = None
    """What a row is a part of, where rows are parts of longer posts: parts stay in one split."""
    time: str | None = None
    split: str | None = None
    language: str | None = None


class Source(TaskFileModel):
    """One upstream file of a set, or one table declared in a recipe.

    `codes` maps what stands in the label column to a canonical label; a canonical label stands for
    itself. `separator` splits a cell into several evidence spans.
    """

    file: str
    columns: ColumnMap
    encoding: str = "utf-8"
    split: Split | None = None
    """None: the file has no published split, it is drawn by seed."""
    codes: dict[str, str] = {}
    separator: str | None = None
    skip: dict[str, tuple[str, ...]] = {}
    """Column -> values: rows of the file that are not part of the task."""


class SplitCounts(TaskFileModel):
    """Published rows (post x question) per split."""

    train: int
    validation: int
    test: int


class Task(TaskFileModel):
    """One set of the benchmark."""

    set: str
    title: str
    platform: str
    annotation: Literal["human", "weak", "none"]
    licence: str
    obtain: str
    needs_agreement: bool
    """True where the source may not leave the machine without the user's word."""
    language: str
    questions: dict[str, Question] = Field(min_length=1)
    labels: dict[str, Label] = Field(min_length=2)
    high_risk_label: str | None = None
    """The label whose misses cost most; None where no label stands out."""
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
        """Labels and questions that a file's field map names and the task has not."""
        unknown = set(source.codes.values()) - set(self.labels)
        return sorted(unknown | {*source.columns.labels, *source.columns.evidence} - set(self.questions))

    def __hash__(self) -> int:
        return hash(self.set)

    @cached_property
    def is_yes_no(self) -> bool:
        """True for yes/no questions."""
        return set(self.labels) == {"yes", "no"}

    def resolve_question(self, question: str | None = None) -> str:
        """The question named, or the only one there is; `ValueError` otherwise."""
        if question is None and len(self.questions) == 1:
            return next(iter(self.questions))
        if question not in self.questions:
            raise ValueError(f"{self.set} asks {', '.join(self.questions)}; not {question!r}")
        return question

"""The schema of a task file."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    """Field map of a table: the columns that hold the fields of a post."""

    text: str
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


class Source(TaskFileModel):
    """One upstream file of a set, or one table declared in a recipe.

    `codes` maps values of the label column to canonical labels; canonical labels need no code. `separator` splits an
    evidence cell into several spans.
    """

    file: str
    columns: ColumnMap
    encoding: str = "utf-8"
    split: Split | None = None
    """None for a file without a published split; its posts are training posts, from which splits are drawn."""
    codes: dict[str, str] = {}
    separator: str | None = None
    skip: dict[str, tuple[str, ...]] = {}
    """Column -> values; rows with such a value are not part of the task."""


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

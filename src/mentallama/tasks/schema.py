"""The schema of a task file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from mentallama.records import FORMS
from mentallama.tasks.answer_kinds import (
    ABSENT,
    NONE,
    PRESENT,
    AnswerKind,
    Part,
    answer_template_problem,
    name_problems,
)
from mentallama.tasks.sources import Source
from mentallama.tasks.wording import ExplanationTemplate, Label, Question, TaskFileModel, Wording
from mentallama.text.names import FileName


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
    kind: AnswerKind = "choice"
    """Kind of answer to all its questions (see `answer_kinds`)."""
    questions: dict[str, Question] = Field(min_length=1)
    labels: dict[str, Label] = Field(min_length=1)
    """Labels to choose from; for ordinal and scale the levels, from lowest to highest; for spans the types."""
    items: dict[str, str] = {}
    """Items of a scale: name -> what the level is given for, such as "trouble sleeping"."""
    bands: dict[str, int] = {}
    """Bands of a scale's sum: name -> lowest sum, from the lowest band, which begins at the lowest sum there is."""
    answer: Wording | None = None
    """The sentence that states an answer of the kinds multi, spans and scale; `{answer}` stands for the answer."""
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
    def _fits_its_kind(self) -> Task:
        names = {"labels": self.labels} | ({"items": self.items} if self.items else {})
        if problem := next(iter(self._kind_problems()), None):
            raise ValueError(problem)
        if self.is_composite and (problem := name_problems(names)):
            raise ValueError(problem)
        return self

    def _kind_problems(self) -> Iterator[str]:
        if len(self.labels) < 2 and self.kind not in {"multi", "spans"}:
            yield f"labels: a task of kind {self.kind} has at least 2"
        if bool(self.items) != (self.kind == "scale"):
            yield "items: a scale has items, and no other kind has"
        if problem := self._band_problem():
            yield f"bands: {problem}"
        if self.is_composite != (self.answer is not None):
            yield "answer: the kinds multi, spans and scale have a sentence with {answer}, and no other kind has"
        if self.answer is not None and (problem := answer_template_problem(self.answer)):
            yield f"answer: {problem}"
        if any(label.score is not None for label in self.labels.values()) and not self.has_levels:
            yield f"labels: only levels have a score, and a task of kind {self.kind} has none"
        scores = list(self.level_scores.values())
        if self.has_levels and scores != sorted(set(scores)):
            yield "labels: levels are listed from the lowest score to the highest"

    def _band_problem(self) -> str | None:
        """A sentence if the bands do not divide the sums of a scale; else None."""
        lowest = list(self.bands.values())
        if not lowest:
            return None
        if self.kind != "scale":
            return "only a scale has a sum that could lie in a band"
        first, last = (len(self.items) * edge(self.level_scores.values()) for edge in (min, max))
        if lowest != sorted(set(lowest)) or lowest[0] != first or lowest[-1] > last:
            return f"each begins above the one before, the first at the lowest sum, {first}, the last at {last} at most"
        return None

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
            if missing := self.parts_without_column(source):
                raise ValueError(f"{source.file}: no column for {', '.join(missing)}")
        return self

    def unknown_names(self, source: Source) -> list[str]:
        """Labels, questions and parts of a file's field map that do not exist in the task, sorted."""
        words = {NONE} if self.is_composite else set()
        words |= {ABSENT, PRESENT} if self.kind == "multi" else set()
        parts = {
            name
            for columns in source.columns.labels.values()
            if not isinstance(columns, str)
            for name in columns
        }
        unknown = set(source.codes.values()) - set(self.labels) - words
        unknown |= {*source.columns.labels, *source.columns.evidence} - set(self.questions)
        return sorted(unknown | parts - {part.name for part in self.parts})

    def parts_without_column(self, source: Source) -> list[str]:
        """Labels and types for which a file that has a column for each has none; without it they would seem absent."""
        if self.kind not in {"multi", "spans"}:
            return []
        return [
            part.name
            for columns in source.columns.labels.values()
            if not isinstance(columns, str)
            for part in self.parts
            if part.name not in columns
        ]

    def __hash__(self) -> int:
        return hash(self.set)

    @property
    def display_name(self) -> str:
        """The set's name in tables and plots."""
        return self.published_name or self.set

    @cached_property
    def is_yes_no(self) -> bool:
        """Whether the answers are "yes" and "no"."""
        return self.kind == "choice" and set(self.labels) == {"yes", "no"}

    @property
    def is_composite(self) -> bool:
        """Whether an answer consists of several decisions, so that its label is the text of `answer_values`."""
        return self.kind in {"multi", "spans", "scale"}

    @property
    def has_levels(self) -> bool:
        """Whether the labels are ordered levels."""
        return self.kind in {"ordinal", "scale"}

    @cached_property
    def level_scores(self) -> dict[str, int]:
        """Number of each level; empty if the labels are no levels."""
        labels = self.labels.items() if self.has_levels else ()
        return {
            name: index if label.score is None else label.score for index, (name, label) in enumerate(labels)
        }

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The decisions of which an answer consists."""
        levels = tuple(self.labels)
        if self.kind == "scale":
            return tuple(Part(item, levels, ordered=True) for item in self.items)
        if self.is_composite:
            return tuple(Part(label, (ABSENT, PRESENT)) for label in self.labels)
        return (Part("", levels, ordered=self.kind == "ordinal"),)

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

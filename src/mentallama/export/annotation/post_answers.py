"""A post with the answers to questions about it, as people see it in another tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mentallama.records import Span, Split
from mentallama.safety import NOTICE
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import PRESENT
from mentallama.tasks.answer_values import canonical_value, value_levels, value_quotations
from mentallama.text.names import identifiers
from mentallama.text.quote_matching import find_quote

INTRODUCTION = (
    f"{NOTICE} The post may be distressing to read: take breaks, and skip whatever you would rather not read."
)
"""Shown to the people who look at the posts."""


@dataclass(frozen=True)
class PostAnswer:
    """An answer to one question about a post.

    `label` is None for an answer without one; `probability` is that of the label, None if the model gives none.
    `evidence` are the spans of the post's text, in code points, that speak for the label.
    """

    question: str
    label: str | None
    explanation: str
    evidence: tuple[Span, ...]
    model: str
    probability: float | None = None


@dataclass(frozen=True)
class AnsweredPost:
    """A post, and the answers to questions of one task about it; a post of a table has no split."""

    post_id: str
    split: Split | None
    text: str
    task: Task
    answers: tuple[PostAnswer, ...]

    def by_model(self) -> dict[str, list[PostAnswer]]:
        """The answers of each model, in the order of the questions."""
        models: dict[str, list[PostAnswer]] = {}
        for answer in self.answers:
            models.setdefault(answer.model, []).append(answer)
        return models


def posts_file(name: str, split: Split | None) -> str:
    """Path of the file of posts of a set and split, relative to the export's folder."""
    return f"{name}/{split or 'posts'}.json"


@dataclass(frozen=True)
class LabelField:
    """Where people give one decision of an answer: one of the options, any number of them, or passages of each.

    `suffix` distinguishes the fields of a scale, one for each item; `title` is what the level is given for.
    """

    part: str
    suffix: str
    title: str
    options: tuple[str, ...]
    choice: Literal["one", "several", "passages"] = "one"


def label_fields(task: Task) -> tuple[LabelField, ...]:
    """The fields in which the answers of a task are given, by its kind."""
    options = tuple(task.labels)
    if task.kind == "scale":
        names = identifiers(task.items, lower=True)
        return tuple(
            LabelField(item, f"_{name}", f"{item}: {text}", options)
            for (item, text), name in zip(task.items.items(), names, strict=True)
        )
    several = LabelField("", "", "", options, "several")
    passages = LabelField("", "", "", options, "passages")
    return ({"multi": several, "spans": passages}.get(task.kind, LabelField("", "", "", options)),)


def chosen_options(task: Task, field: LabelField, label: str) -> tuple[str, ...]:
    """The options that an answer chooses in a field of one or several; none for an item that is not filled."""
    levels = value_levels(task, label)
    if field.choice == "several":
        return tuple(name for name, level in levels.items() if level == PRESENT)
    return (levels[field.part],) if field.part in levels else ()


def quoted_passages(task: Task, text: str, label: str) -> list[tuple[str, Span]]:
    """Type and place of the quotations of an answer of the kind spans that stand in the post."""
    found = (
        (quotation.type, find_quote(text, quotation.text)) for quotation in value_quotations(task, label)
    )
    return [(kind, span) for kind, span in found if span is not None]


def is_answer(task: Task, label: str) -> bool:
    """Whether a label is an answer of the task."""
    try:
        canonical_value(task, label)
    except ValueError:
        return False
    return True

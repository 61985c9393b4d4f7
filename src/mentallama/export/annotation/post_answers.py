"""A post with the answers to questions about it, as people see it in another tool."""

from __future__ import annotations

from dataclasses import dataclass

from mentallama.records import Span, Split
from mentallama.safety import NOTICE
from mentallama.tasks import Task

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

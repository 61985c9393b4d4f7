"""Answers as people read them: posts in, and for each post and question a label, its probability and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any, Literal, overload

from mentallama.errors import UsageError
from mentallama.records import Example, Form, Prediction, ReadingStatus, Record, Span, example_id, stable_id
from mentallama.tasks import QuestionKey
from mentallama.text.clean_post import CleanPost

AnswerStatus = ReadingStatus | Literal["failed", "skipped"]
"""The status of a reading; "failed": the model gave no answer, ask again; "skipped": the post cannot be asked about."""


class Quotation(Record):
    """Characters `start` (inclusive) to `end` (exclusive) of a post, and what they say.

    `weight` is what they contribute to the decision, in log-odds: negative where they speak against the label; None
    where the model gives no weights.
    """

    start: int
    end: int
    text: str
    weight: float | None = None


class Answer(Record):
    """The answer to one question about one post.

    `post` is the text as it was given, and the offsets of `evidence` count its characters. `label` is None exactly if
    `status` is not "parsed"; `reason` then says why. `probability` is that of the label, and `probabilities` holds
    those of all labels of the question; None and empty if the model gives none.
    """

    post: str
    task: str
    question: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = {}
    status: AnswerStatus
    reason: str | None = None
    explanation: str = ""
    evidence: tuple[Quotation, ...] = ()
    model: str


ANSWER_COLUMNS = tuple(name for name in Answer.model_fields if name != "post")
"""The columns that an answer adds to the row of its post."""


def as_text(post: object, number: int) -> str:
    """A post as text; missing values of tables (None, NaN, NA) are empty posts.

    Raises
    ------
    UsageError
        It is something else; `number` is its position, from 0.
    """
    if isinstance(post, str):
        return post
    if (
        post is None
        or type(post).__name__ in {"NAType", "NaTType"}
        or (isinstance(post, float) and isnan(post))
    ):
        return ""
    raise UsageError(f"post {number} is of type {type(post).__name__}; posts are texts (str)")


def example_of_text(text: str, key: QuestionKey, form: Form) -> Example:
    """The example that asks a question about a cleaned text of nobody in particular."""
    task, question = key
    post_id = stable_id(text)
    return Example(
        id=example_id(post_id, question, form, task),
        post_id=post_id,
        task=task,
        question=question,
        form=form,
        text=text,
    )


def answer_of(post: CleanPost, key: QuestionKey, prediction: Prediction, model: str) -> Answer:
    """The answer that a prediction is, with its evidence in the words of the post as it was given."""
    reading = prediction.reading
    return Answer(
        post=post.original,
        task=key[0],
        question=key[1],
        label=reading.label,
        probability=prediction.probabilities.get(reading.label) if reading.label else None,
        probabilities=prediction.probabilities,
        status=reading.status,
        reason=reading.reason,
        explanation=reading.explanation,
        evidence=tuple(_quotation(post, span) for span in prediction.evidence),
        model=model,
    )


def _quotation(post: CleanPost, span: Span) -> Quotation:
    start, end = post.locate(span.start, span.end)
    return Quotation(start=start, end=end, text=post.original[start:end], weight=span.weight)


def unanswered(
    post: CleanPost, key: QuestionKey, status: Literal["failed", "skipped"], reason: str, model: str
) -> Answer:
    """The row of a question without an answer."""
    return Answer(post=post.original, task=key[0], question=key[1], status=status, reason=reason, model=model)


class Answers(Sequence[Answer]):
    """Answers in the order of the posts, and of the questions about each.

    >>> answers = Answers([Answer(post="So tired.", task="DR", question="depression", label="no", status="parsed",
    ...                           model="m")])
    >>> answers[0].label, len(answers), answers.to_dicts()[0]["status"]
    ('no', 1, 'parsed')
    """

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = tuple(answers)

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> Answers: ...
    def __getitem__(self, index: int | slice) -> Answer | Answers:
        return Answers(self._answers[index]) if isinstance(index, slice) else self._answers[index]

    def __len__(self) -> int:
        return len(self._answers)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One JSON-compatible dictionary per answer, with the fields of `Answer`."""
        return [answer.model_dump(mode="json") for answer in self._answers]

"""Records exchanged between stages.

All are frozen and reject unknown fields. Offsets count Unicode code points in `Post.text`. Ids are hashes of content
and position, never row numbers.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Form = Literal["instruction", "completion"]
Split = Literal["train", "validation", "test"]
Origin = Literal["release", "upstream", "table"]
ReadingStatus = Literal["parsed", "unparsed", "refused", "truncated"]

FORMS: tuple[Form, ...] = ("instruction", "completion")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ORIGINS: tuple[Origin, ...] = ("release", "upstream", "table")
"""In order of preference: a split of a set is taken from the first origin that provides it."""
READING_STATUSES: tuple[ReadingStatus, ...] = ("parsed", "unparsed", "refused", "truncated")

RATING_SCORES = ("0", "1", "2", "3")
"""Scores that a rater may give an explanation, from worst to best, as cells of a sheet."""
POOR_RATING_BELOW = 2.0
"""Mean overall score below which a rated explanation is poor."""


def stable_id(*parts: str) -> str:
    """Hash a sequence of strings to 16 hexadecimal digits; the boundaries between the parts count.

    >>> stable_id("DR", "test", "some text") == stable_id("DR", "test", "some text")
    True
    >>> stable_id("a", "bc") == stable_id("ab", "c")
    False
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()


class Record(BaseModel):
    """Base class of all records: frozen, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Record):
    """Characters `start` (inclusive) to `end` (exclusive) of a post's text.

    `weight` is the span's contribution to a decision, in log-odds; None for spans marked by annotators.
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    weight: float | None = None


class Provenance(Record):
    """Source of a post: path below the data folder, first row in it, and kind of file.

    `original_text` is the text before repair, with personal data masked; None where repair changed nothing.
    `synthetic`: the post was written for this project.
    """

    file: str
    row: int
    origin: Origin
    synthetic: bool = False
    original_text: str | None = None


class Post(Record):
    """One text by one author, repaired and with personal data masked. `labels` and `evidence` are by question."""

    id: str
    set: str
    split: Split
    text: str
    labels: dict[str, str] = {}
    evidence: dict[str, tuple[Span, ...]] = {}
    author: str | None = None
    time: str | None = None
    language: str | None = None
    provenance: Provenance


class UpstreamLabels(Record):
    """Labels of a post's questions in the set's upstream files, where they are known and agree with one another.

    `Post.labels` of the same post are those of the release, which differ on some posts. `evidence` are the passages of
    the post that annotators marked for the upstream label, by question.
    """

    post_id: str
    set: str
    labels: dict[str, str]
    evidence: dict[str, tuple[Span, ...]] = {}


class Example(Record):
    """A post and one question about it.

    `label` and `response` are the references, where there are any. The query for a language model is
    `tasks.write_query(...)` of these fields and is not stored.
    """

    id: str
    post_id: str
    task: str
    question: str
    form: Form
    text: str
    label: str | None = None
    response: str | None = None


class Response(Record):
    """Text that a teacher or a model wrote. `finish_reason` is the one reported by the server."""

    example_id: str
    text: str
    model: str
    finish_reason: str | None = None
    usage: dict[str, int] = {}
    request_hash: str | None = None


class Reading(Record):
    """Result of parsing an answer.

    `label` is set, to a canonical label, exactly when `status` is "parsed"; otherwise `reason` explains the status.
    """

    status: ReadingStatus
    label: str | None = None
    explanation: str = ""
    reason: str | None = None


class Verdict(Record):
    """Result of one gate for one response to an example."""

    example_id: str
    model: str
    gate: str
    ok: bool
    reason: str | None = None
    score: float | None = None


class FailedRequest(Record):
    """A question without an answer because its request failed, and the reason. It is no prediction and no response."""

    example_id: str
    model: str
    reason: str


class TrainingMetrics(Record):
    """A line of `metrics.jsonl`: an optimiser step, which has a loss, or an evaluation, which has `validation`."""

    step: int
    """Optimiser steps taken so far. An evaluation comes after the step of the same number."""
    epoch: float
    """Passes over the training rows so far; 0.5 is half of the first."""
    seconds: float
    """Time spent on training so far, evaluations and checkpoints included. The time between a kill and its resumption
    does not count."""
    loss: float | None = None
    """Mean loss of the step's targets, in nats."""
    learning_rate: float | None = None
    """Of the step, before the multiplier of an encoder's heads."""
    grad_norm: float | None = None
    """Norm of the gradient before it is clipped."""
    tokens_per_second: float | None = None
    """Tokens of the step's rows, without padding, by the seconds of the step."""
    validation: dict[str, float] = {}
    """Metrics on the validation rows: always `loss`; the others depend on analyst and objective."""


class SampleSize(Record):
    """Rows (posts x questions) of a random sample, and all rows that it was drawn from."""

    rows: int
    of: int


class Prediction(Record):
    """An analyst's answer to one example.

    `probabilities` covers all labels of the question and sums to 1; empty if the analyst provides none. Of answers of
    several parts (`tasks.answer_kinds`), it holds for each label (multi) or type (spans) the probability that it is
    present, which do not sum to 1; for a scale, that of each level of each filled item, as `ITEM: LEVEL`.
    """

    example_id: str
    reading: Reading
    probabilities: dict[str, float] = {}
    evidence: tuple[Span, ...] = ()
    model: str


def example_id(post_id: str, question: str, form: str, task: str | None = None) -> str:
    """Id of the example that asks `question` about a post; pass `task` only if it is not the post's set."""
    parts = (question, form) if task is None else (task, question, form)
    return stable_id(post_id, *parts)


def example_of(
    post: Post, question: str, form: Form, response: str | None = None, task: str | None = None
) -> Example:
    """Make an example from a post and a question; `task` is the set of the question, None for the post's own set."""
    own_task = task in {None, post.set}
    return Example(
        id=example_id(post.id, question, form, None if own_task else task),
        post_id=post.id,
        task=task or post.set,
        question=question,
        form=form,
        text=post.text,
        label=post.labels.get(question) if own_task else None,
        response=response,
    )

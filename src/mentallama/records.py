"""The plain records that stages hand to each other (DESIGN 2).

All are frozen and reject unknown fields. Offsets count Unicode code points in `Post.text`.
Ids are stable hashes of content and place, made by `stable_id`, never row numbers.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Form = Literal["instruction", "completion"]
Split = Literal["train", "validation", "test"]
ReadingStatus = Literal["parsed", "unparsed", "refused", "truncated"]

FORMS: tuple[Form, ...] = ("instruction", "completion")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
READING_STATUSES: tuple[ReadingStatus, ...] = ("parsed", "unparsed", "refused", "truncated")

RATING_SCORES = ("0", "1", "2", "3")
"""What a rater may write about an explanation, from worst to best, as cells of a sheet."""
POOR_RATING_BELOW = 2.0
"""Mean overall score below which a rated explanation is poor."""


def stable_id(*parts: str) -> str:
    """Hash content and place to 16 hexadecimal digits.

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
    """Base of all records: frozen, unknown fields are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Record):
    """Characters `start` (included) to `end` (excluded) of a post's text.

    `weight` is the span's share in a decision, in log-odds; None for spans that people marked.
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    weight: float | None = None


class Provenance(Record):
    """Where a post comes from: the file under the data folder, its first row, the kind of file.

    `original` is the text as it stood in the file, kept only where cleaning changed it.
    """

    file: str
    row: int
    origin: Literal["release", "upstream", "table"]
    synthetic: bool = False
    original: str | None = None


class Post(Record):
    """One text by one person, cleaned and scrubbed."""

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


class Example(Record):
    """A post and one question about it.

    The query sent to a language model is `tasks.write_query(...)` of these fields; it is not stored
    a second time.
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
    """What a teacher or a model wrote. `finish_reason` is in the server's words."""

    example_id: str
    text: str
    model: str
    finish_reason: str | None = None
    usage: dict[str, int] = {}
    request_hash: str | None = None


class Reading(Record):
    """What an answer says.

    `label` is a canonical label exactly when `status` is "parsed"; otherwise `reason` says why not.
    """

    status: ReadingStatus
    label: str | None = None
    explanation: str = ""
    reason: str | None = None


class Verdict(Record):
    """What a gate found about one response to an example."""

    example_id: str
    model: str
    gate: str
    ok: bool
    reason: str | None = None
    score: float | None = None


class Prediction(Record):
    """An analyst's answer to one example.

    `probabilities` covers all labels of the question and sums to 1; empty where the analyst has none.
    """

    example_id: str
    reading: Reading
    probabilities: dict[str, float] = {}
    evidence: tuple[Span, ...] = ()
    model: str


def example_of(
    post: Post, question: str, form: Form, response: str | None = None, task: str | None = None
) -> Example:
    """Put one question to a post. `task` is the set whose question it is, where that is not the post's own."""
    own = task in {None, post.set}
    return Example(
        id=stable_id(post.id, question, form) if own else stable_id(post.id, str(task), question, form),
        post_id=post.id,
        task=task or post.set,
        question=question,
        form=form,
        text=post.text,
        label=post.labels.get(question) if own else None,
        response=response,
    )

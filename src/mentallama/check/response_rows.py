"""Responses as the rows that gates judge: each with its post, task and parsed answer.

Posts and responses are joined while streaming, in the order of the posts. Both files are written by this project: the
responses to one post are adjacent, by question and then by teacher in the recipe's order. Anything else raises an
error; no row is skipped silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError
from mentallama.files.imhi_release import find_expert_files, read_release_file
from mentallama.files.record_files import read_records
from mentallama.records import (
    Example,
    Form,
    Post,
    Provenance,
    Reading,
    Response,
    Verdict,
    example_of,
    stable_id,
)
from mentallama.tasks import Task
from mentallama.text.pii import scrub
from mentallama.text.quote_extraction import extract_quotes, replace_quotes

NOT_JUDGED_PREFIX = "not judged: "
"""Prefix of the reason of a verdict that passes only because the gate could not judge the row."""
EXPERT = "expert"
"""The model name given to explanations that experts wrote."""

JoinedResponse = tuple[Post, Example, Response]


@dataclass(frozen=True)
class ResponseRow:
    """One response with its post, task, question and parsed answer. `example.label` is the label from the data set.

    `quotes` are the passages that the explanation presents as the post's own words, in order.
    """

    post: Post
    task: Task
    example: Example
    response: Response
    reading: Reading
    quotes: tuple[str, ...] = ()

    def unquoted_explanation(self, placeholder: str = "“”") -> str:
        """The explanation with `placeholder` for each of its quotations: only what it says in its own words."""
        return replace_quotes(self.reading.explanation, self.quotes, placeholder)

    def verdict(self, gate: str, reason: str | None = None, score: float | None = None) -> Verdict:
        """A gate's verdict on this row: it fails if there is a `reason`, else it passes."""
        return Verdict(
            example_id=self.example.id,
            model=self.response.model,
            gate=gate,
            ok=reason is None,
            reason=reason,
            score=score,
        )

    def not_judged(self, gate: str, reason: str) -> Verdict:
        """A verdict that passes because the gate could not judge this row, and says why."""
        return self.verdict(gate).model_copy(update={"reason": f"{NOT_JUDGED_PREFIX}{reason}"})


def parse_response(post: Post, example: Example, response: Response, task: Task) -> ResponseRow:
    """Parse a response's answer and, if that succeeds, the quotations in its explanation."""
    reading = read_answer(task, response.text, example.form, response.finish_reason)
    quotes = extract_quotes(response.text, reading.explanation) if reading.status == "parsed" else ()
    return ResponseRow(post, task, example, response, reading, quotes)


@dataclass(frozen=True)
class CheckInputs:
    """Files that check reads.

    `references` are the release's responses where `responses` are those of other teachers; `release` is the folder of
    the published release, for the explanations that experts wrote.
    """

    posts: Path
    responses: Path
    references: Path | None = None
    release: Path | None = None


def read_response_rows(
    posts: Path, responses: Path, tasks: Mapping[str, Task], form: Form
) -> Iterator[ResponseRow]:
    """Yield every response as a parsed row. Posts without a response are skipped.

    Raises
    ------
    DataError
        A response belongs to no post, is out of order, or is a second one by the same model; a post belongs to a set
        that the recipe has no task for.
    """
    for post, example, response in join_responses(posts, responses, tasks, form):
        yield parse_response(post, example, response, tasks[post.set])


def join_responses(
    posts: Path, responses: Path, tasks: Mapping[str, Task], form: Form
) -> Iterator[JoinedResponse]:
    """Yield each response with its post and example. Raises as `read_response_rows` does."""
    cursor = _ResponseCursor(responses)
    for post in read_records(posts, Post):
        if cursor.done:
            return
        if post.set not in tasks:
            raise DataError(
                f"post {post.id} belongs to the set {post.set}, which is not among this recipe's sets", posts
            )
        questions = tasks[post.set].questions
        examples = {example.id: example for example in (example_of(post, q, form) for q in questions)}
        for response in cursor.take(examples):
            yield post, examples[response.example_id], response
    if not cursor.done:
        raise _misplaced_response_error(cursor, posts, tasks, form)


def read_expert_rows(release: Path, tasks: Mapping[str, Task]) -> Iterator[ResponseRow]:
    """Yield the explanations in a release's `human_evaluation` folder, as rows of labelled test posts."""
    for file in find_expert_files(release, tasks):
        task = tasks[file.set]
        for line in read_release_file(file, task):
            text = scrub(line.text)[0]
            label = read_answer(task, line.reference, file.form).label
            post = Post(
                id=stable_id("expert", file.set, text),
                set=file.set,
                split="test",
                text=text,
                labels={} if label is None else {line.question: label},
                provenance=Provenance(file=file.path.name, row=line.row, origin="release"),
            )
            example = example_of(post, line.question, file.form)
            yield parse_response(
                post, example, Response(example_id=example.id, text=line.reference, model=EXPERT), task
            )


class _ResponseCursor:
    """Reads responses in file order; `row_number` is the row of the next response."""

    def __init__(self, path: Path) -> None:
        self.path, self.row_number = path, 0
        self._remaining = read_records(path, Response)
        self._next: Response | None = None
        self._advance()

    @property
    def done(self) -> bool:
        return self._next is None

    @property
    def example_id(self) -> str:
        assert self._next is not None
        return self._next.example_id

    def take(self, examples: Mapping[str, Example]) -> Iterator[Response]:
        """Yield the next responses as long as they answer one of these examples."""
        models_by_example: dict[str, set[str]] = {}
        while self._next is not None and self._next.example_id in examples:
            example, model = self._next.example_id, self._next.model
            models = models_by_example.setdefault(example, set())
            if next(reversed(models_by_example)) != example:
                raise DataError("the responses to one example are not adjacent", self.path, self.row_number)
            if model in models:
                raise DataError(f"a second response by {model} to one example", self.path, self.row_number)
            models.add(model)
            yield self._next
            self._advance()

    def _advance(self) -> None:
        self._next = next(self._remaining, None)
        self.row_number += 1


def _misplaced_response_error(
    cursor: _ResponseCursor, posts: Path, tasks: Mapping[str, Task], form: Form
) -> DataError:
    """The error for a response that matches no post; reads the posts once more to find out why."""
    known = (
        example_of(post, question, form).id == cursor.example_id
        for post in read_records(posts, Post)
        for question in tasks[post.set].questions
    )
    problem = (
        f"a response is not in the order of {posts.name}"
        if any(known)
        else f"a response to no post of {posts.name} in {form} form"
    )
    return DataError(f"{problem}; regenerate both files", cursor.path, cursor.row_number)

"""Join posts and responses to the rows that gates look at, in the order of the posts, streaming.

Both files come from this project's own writers: posts, and of each post its responses, by question and then by
teacher in the recipe's order. What stands otherwise is a fault that is told, never a row that is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.check.response_row import ResponseRow
from mentallama.errors import DataError
from mentallama.files.imhi_release import find_expert_files, read_release_file
from mentallama.files.record_files import read_records
from mentallama.records import Example, Form, Post, Provenance, Response, example_of, stable_id
from mentallama.tasks import Task
from mentallama.text.pii import scrub
from mentallama.text.quote_extraction import extract_quotes

EXPERT = "expert"
"""Stands where a model's name would."""

JoinedResponse = tuple[Post, Example, Response]


def read_response_rows(
    posts: Path, responses: Path, tasks: Mapping[str, Task], form: Form
) -> Iterator[ResponseRow]:
    """Yield every response as a row, read once.

    Posts without a response are passed over.

    Raises
    ------
    BadData
        A response belongs to no post, stands out of order, or is a second one by the same model; a post is of a set
        that the recipe has no task for.
    """
    for post, example, response in join_responses(posts, responses, tasks, form):
        yield parse_response(post, example, response, tasks[post.set])


def parse_response(post: Post, example: Example, response: Response, task: Task) -> ResponseRow:
    """Read a response and the quotations of its explanation."""
    reading = read_answer(task, response.text, example.form, response.finish_reason)
    quotes = extract_quotes(response.text, reading.explanation) if reading.status == "parsed" else ()
    return ResponseRow(post, task, example, response, reading, quotes)


def join_responses(
    posts: Path, responses: Path, tasks: Mapping[str, Task], form: Form
) -> Iterator[JoinedResponse]:
    """Yield posts, questions and responses, one line a response."""
    waiting = _ResponseCursor(responses)
    for post in read_records(posts, Post):
        if waiting.done:
            return
        if post.set not in tasks:
            raise DataError(
                f"post {post.id} is of the set {post.set}, which is not among this recipe's sets", posts
            )
        examples = {each.id: each for each in (example_of(post, q, form) for q in tasks[post.set].questions)}
        for response in waiting.take(examples):
            yield post, examples[response.example_id], response
    if not waiting.done:
        raise _misplaced_response_error(waiting, posts, tasks, form)


def expert_rows(release: Path, tasks: Mapping[str, Task]) -> Iterator[ResponseRow]:
    """What experts wrote, from a release's `human_evaluation` folder, as rows of test posts with their labels."""
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
    """Responses in the order of their file; `number` is the row of the one that waits for its post."""

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
        """The responses to these examples that stand next."""
        answered: dict[str, set[str]] = {}
        while self._next is not None and self._next.example_id in examples:
            example, model = self._next.example_id, self._next.model
            models = answered.setdefault(example, set())
            if next(reversed(answered)) != example:
                raise DataError(
                    "the responses to one example do not stand together", self.path, self.row_number
                )
            if model in models:
                raise DataError(f"a second response by {model} to one example", self.path, self.row_number)
            models.add(model)
            yield self._next
            self._advance()

    def _advance(self) -> None:
        self._next = next(self._remaining, None)
        self.row_number += 1


def _misplaced_response_error(
    waiting: _ResponseCursor, posts: Path, tasks: Mapping[str, Task], form: Form
) -> DataError:
    """Why a response found no post, looked up only once it has happened."""
    known = (
        example_of(post, question, form).id == waiting.example_id
        for post in read_records(posts, Post)
        for question in tasks[post.set].questions
    )
    what = (
        f"a response that does not stand in the order of {posts.name}"
        if any(known)
        else f"a response to no post of {posts.name} in {form} form"
    )
    return DataError(f"{what}; make both files again", waiting.path, waiting.row_number)

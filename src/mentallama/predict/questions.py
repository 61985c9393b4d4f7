"""What is asked: posts with their questions, those on one post always together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mentallama.records import Example, Form, Post, Record, example_of
from mentallama.tasks import Task

QuestionKey = tuple[str, str]
"""A set and one of its questions."""

"""Beside predictions that were made without a recipe."""


class QuestionRow(Record):
    """What an example is about: the post and its place, the set and the question. It holds no text."""

    example_id: str
    post_id: str
    author: str | None = None
    task: str
    question: str
    file: str
    row: int


@dataclass(frozen=True)
class PostQuestions:
    """A post, and what is asked about it."""

    post: Post
    examples: tuple[Example, ...]


QuestionSource = Callable[[], Iterator[PostQuestions]]
"""All that is asked, from the beginning each time."""


def labelled_questions(posts: Iterable[Post], form: Form) -> Iterator[PostQuestions]:
    """Every labelled question of the posts; a post without labels is asked nothing."""
    for post in posts:
        yield PostQuestions(post, tuple(example_of(post, question, form) for question in post.labels))


def every_question(
    posts: Iterable[Post], form: Form, keys: Collection[QuestionKey]
) -> Iterator[PostQuestions]:
    """All questions of all sets on every post, whatever set it is from."""
    for post in posts:
        yield PostQuestions(
            post, tuple(example_of(post, question, form, task=name) for name, question in keys)
        )


def question_keys(tasks: Mapping[str, Task]) -> tuple[QuestionKey, ...]:
    """All questions there are."""
    return tuple((name, question) for name, task in tasks.items() for question in task.questions)


@dataclass
class QuestionCounts:
    """What there is to ask: posts, questions that the analyst answers, the others by set.

    `real` are posts by real people that would be asked about, by set.
    """

    posts: int = 0
    questions: int = 0
    unsupported: Counter[str] = field(default_factory=Counter)
    real_posts: Counter[str] = field(default_factory=Counter)


def count_questions(
    questions: Iterable[PostQuestions], supported: Collection[QuestionKey] | None = None
) -> QuestionCounts:
    """Count what is asked; `answered` are the questions that the analyst answers, None: all."""
    stock = QuestionCounts()
    for asked in questions:
        own = len(only_supported(asked, supported).examples)
        stock.posts += 1
        stock.questions += own
        if own < len(asked.examples):
            stock.unsupported.update(
                e.task for e in asked.examples if (e.task, e.question) not in (supported or ())
            )
        if own and not asked.post.provenance.synthetic:
            stock.real_posts[asked.post.set] += 1
    return stock


def only_supported(asked: PostQuestions, answered: Collection[QuestionKey] | None) -> PostQuestions:
    """Only the questions that the analyst answers."""
    if answered is None:
        return asked
    return replace(asked, examples=tuple(e for e in asked.examples if (e.task, e.question) in answered))


def batches_by_post(groups: Iterable[Sequence[Example]], size: int) -> Iterator[list[Example]]:
    """Batches of `size` examples or a few more: the questions on one post are never parted."""
    batch: list[Example] = []
    for group in groups:
        batch += group
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch

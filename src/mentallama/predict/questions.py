"""Posts and the questions asked about them; the questions about one post always stay together."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mentallama.records import Example, Form, Post, Record, SampleSize, example_of
from mentallama.tasks import QuestionKey, Task


class QuestionRow(Record):
    """The post, set and question of a prediction, without text: a line of `questions.jsonl.zst`."""

    example_id: str
    post_id: str
    author: str | None = None
    task: str
    question: str
    file: str
    row: int


@dataclass(frozen=True)
class PostQuestions:
    """A post and the questions about it, as examples."""

    post: Post
    examples: tuple[Example, ...]


QuestionSource = Callable[[], Iterator[PostQuestions]]
"""Iterates over all posts and questions from the start each time it is called."""


def labelled_questions(posts: Iterable[Post], form: Form) -> Iterator[PostQuestions]:
    """The labelled questions of each post; none for a post without labels."""
    for post in posts:
        yield PostQuestions(post, tuple(example_of(post, question, form) for question in post.labels))


def every_question(
    posts: Iterable[Post], form: Form, keys: Collection[QuestionKey]
) -> Iterator[PostQuestions]:
    """The questions in `keys` about every post, whatever set it belongs to."""
    for post in posts:
        yield PostQuestions(
            post, tuple(example_of(post, question, form, task=name) for name, question in keys)
        )


def question_keys(tasks: Mapping[str, Task]) -> tuple[QuestionKey, ...]:
    """All questions of all tasks."""
    return tuple((name, question) for name, task in tasks.items() for question in task.questions)


@dataclass
class QuestionCounts:
    """Numbers of posts, of supported questions, and of unsupported ones by set.

    `real_posts` counts the posts with a supported question that were written by real people, by set. `keys` are the
    supported questions that are asked at all.
    """

    posts: int = 0
    questions: int = 0
    unsupported: Counter[str] = field(default_factory=Counter)
    real_posts: Counter[str] = field(default_factory=Counter)
    keys: set[QuestionKey] = field(default_factory=set)


def count_questions(
    questions: Iterable[PostQuestions], supported: Collection[QuestionKey] | None = None
) -> QuestionCounts:
    """Count posts and questions; `supported` are the questions that the analyst supports, None means all."""
    counts = QuestionCounts()
    for post_questions in questions:
        asked = only_supported(post_questions, supported).examples
        n_supported = len(asked)
        counts.keys.update((example.task, example.question) for example in asked)
        counts.posts += 1
        counts.questions += n_supported
        if n_supported < len(post_questions.examples):
            counts.unsupported.update(
                e.task for e in post_questions.examples if (e.task, e.question) not in (supported or ())
            )
        if n_supported and not post_questions.post.provenance.synthetic:
            counts.real_posts[post_questions.post.set] += 1
    return counts


def only_supported(post_questions: PostQuestions, supported: Collection[QuestionKey] | None) -> PostQuestions:
    """A post with its supported questions only; None means that all are supported."""
    if supported is None:
        return post_questions
    examples = tuple(e for e in post_questions.examples if (e.task, e.question) in supported)
    return replace(post_questions, examples=examples)


SampleSizes = dict[str, dict[str, SampleSize]]
"""By split and set; only sets of which less than all is asked."""


def sample_rows(
    source: QuestionSource, max_rows: int | None, seed: int
) -> tuple[QuestionSource, SampleSizes]:
    """A random sample of at most `max_rows` questions about posts of each set and split; None: all.

    Which rows are drawn depends on the seed and on their ids alone, so that two models are asked the same ones.
    """
    if max_rows is None:
        return source, {}
    ranked: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for post in source():
        for example in post.examples:
            rank = hashlib.sha256(f"{seed} {example.id}".encode()).hexdigest()
            ranked.setdefault((post.post.split, example.task), []).append((rank, example.id))
    drawn = {example_id for rows in ranked.values() for _, example_id in heapq.nsmallest(max_rows, rows)}
    sizes: SampleSizes = {}
    for (split, name), rows in ranked.items():
        if len(rows) > max_rows:
            sizes.setdefault(split, {})[name] = SampleSize(rows=max_rows, of=len(rows))

    def sampled() -> Iterator[PostQuestions]:
        for post in source():
            examples = tuple(example for example in post.examples if example.id in drawn)
            if examples:
                yield replace(post, examples=examples)

    return sampled, sizes


def batches_by_post(groups: Iterable[Sequence[Example]], size: int) -> Iterator[list[Example]]:
    """Batches of at least `size` examples (except the last), since the questions about one post stay together."""
    batch: list[Example] = []
    for group in groups:
        batch += group
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch

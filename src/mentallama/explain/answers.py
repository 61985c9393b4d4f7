"""The answers that are explained: predictions of a run with their posts, or a sample of these."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.analysts.answer_parts import log_odds_of_parts
from mentallama.attribution.base import CharRange
from mentallama.attribution.log_odds import MIN_PROBABILITY
from mentallama.attribution.units import word_units
from mentallama.files.record_files import read_records
from mentallama.records import Example, Form, Post, Prediction, Span, UpstreamLabels, example_of
from mentallama.tasks import Task

MarkedPassages = Mapping[tuple[str, str, str], tuple[Span, ...]]
"""Passages that annotators marked, by post id, question and the label that they were marked for."""


@dataclass(frozen=True)
class ExplainedAnswer:
    """A question about a post, the label that the analyst gave, and the passages that annotators marked for it."""

    example: Example
    label: str
    words: tuple[CharRange, ...]
    annotated: tuple[Span, ...] = ()


@dataclass(frozen=True)
class AnswerSelection:
    """The answers that are explained, by set, of how many there are (`of`), and why others cannot be (`skipped`)."""

    by_set: Mapping[str, tuple[ExplainedAnswer, ...]]
    of: Mapping[str, int]
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return sum(map(len, self.by_set.values()))

    def __iter__(self) -> Iterator[ExplainedAnswer]:
        return (answer for answers in self.by_set.values() for answer in answers)


def select_answers(  # noqa: PLR0913
    posts: Callable[[], Iterable[Post]],
    predictions: Path,
    tasks: Mapping[str, Task],
    form: Form,
    *,
    upstream: Path | None = None,
    max_posts: int | None = None,
    seed: int = 0,
) -> AnswerSelection:
    """Read the answers to explain, in the order of the posts.

    An answer without a label, or without the probability of its label, is skipped, and so is one about a post without
    words.

    Parameters
    ----------
    posts
        Returns the posts that were asked about; called several times.
    predictions
        File of the answers.
    tasks
        Tasks by set name.
    upstream
        File of upstream labels, with passages that annotators marked; None if there is none.
    max_posts
        Explain answers about a random sample of this many posts of each set; None: about all.
    """
    asked = {example.id: example.task for post in posts() for example in _examples(post, form)}
    labels, skipped = _read_labels(predictions, asked, tasks)
    drawn = _draw_posts(posts(), labels, form, max_posts, seed)
    marked = {} if upstream is None else _read_marked(upstream)
    of, by_set = Counter[str](), dict[str, list[ExplainedAnswer]]()
    for post, example in _labelled(posts(), labels, form):
        of[example.task] += 1
        if post.id not in drawn:
            continue
        words = tuple(word_units(post.text))
        label = labels[example.id]
        if words:
            answer = ExplainedAnswer(example, label, words, _annotated(post, example, label, marked))
            by_set.setdefault(example.task, []).append(answer)
        else:
            skipped["post without words"] += 1
    return AnswerSelection({name: tuple(answers) for name, answers in by_set.items()}, of, skipped)


def _read_labels(
    predictions: Path, asked: Mapping[str, str], tasks: Mapping[str, Task]
) -> tuple[dict[str, str], Counter[str]]:
    """Labels that can be explained by example id, and counts of answers without one by reason.

    `asked` is the set of each example.
    """
    labels, skipped = dict[str, str](), Counter[str]()
    for prediction in read_records(predictions, Prediction):
        label = prediction.reading.label
        if prediction.example_id not in asked:
            continue
        if label is None:
            skipped["answer without a label"] += 1
        elif not _has_probability(tasks[asked[prediction.example_id]], prediction, label):
            skipped["label without a probability"] += 1
        else:
            labels[prediction.example_id] = label
    return labels, skipped


def _has_probability(task: Task, prediction: Prediction, label: str) -> bool:
    if task.is_composite:
        return log_odds_of_parts(task, prediction.probabilities, label, MIN_PROBABILITY) is not None
    return label in prediction.probabilities


def _examples(post: Post, form: Form) -> Iterator[Example]:
    return (example_of(post, question, form) for question in post.labels)


def _labelled(posts: Iterable[Post], labels: Mapping[str, str], form: Form) -> Iterator[tuple[Post, Example]]:
    for post in posts:
        yield from ((post, example) for example in _examples(post, form) if example.id in labels)


def _draw_posts(
    posts: Iterable[Post], labels: Mapping[str, str], form: Form, max_posts: int | None, seed: int
) -> set[str]:
    """Ids of the posts drawn; a draw depends on the seed and the ids alone, so that two models explain the same."""
    ranked: dict[str, dict[str, str]] = {}
    for post, _ in _labelled(posts, labels, form):
        rank = hashlib.sha256(f"{seed} {post.id}".encode()).hexdigest()
        ranked.setdefault(post.set, {})[post.id] = rank
    return {
        post_id
        for ranks in ranked.values()
        for post_id in heapq.nsmallest(max_posts or len(ranks), ranks, key=ranks.__getitem__)
    }


def _read_marked(upstream: Path) -> MarkedPassages:
    return {
        (record.post_id, question, record.labels[question]): spans
        for record in read_records(upstream, UpstreamLabels)
        for question, spans in record.evidence.items()
        if question in record.labels
    }


def _annotated(post: Post, example: Example, label: str, marked: MarkedPassages) -> tuple[Span, ...]:
    """Passages that were marked for this label; those for another label are no evidence for it."""
    own = post.evidence.get(example.question, ()) if post.labels[example.question] == label else ()
    return own or marked.get((post.id, example.question, label), ())

"""Predict: an analyst answers every labelled question about the posts of a split.

    mentallama predict recipes/imhi-linear.yaml

Reads posts, writes `predictions.jsonl.zst`: one `Prediction` a line, in the order of the posts and, for
each post, of its task's questions. Posts are streamed: memory holds one batch of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from mentallama.errors import WrongUse
from mentallama.models.analyst import Analyst
from mentallama.progress import progress
from mentallama.records import Example, Form, Post, Prediction, Record, Split, example_of
from mentallama.store import read_records, write_records

PREDICTIONS = "predictions.jsonl.zst"

BATCH = 256
"""Examples handed to the analyst at a time; enough for any accelerator, little for memory."""


class PredictSummary(Record):
    """What a run did: posts of the splits, answers by status, labelled questions left open by set.

    A question is left open where the analyst was not made for it.
    """

    posts: int
    answers: dict[str, int]
    left_open: dict[str, int]


def predict(analyst: Analyst, examples: Iterable[Example], batch: int = BATCH) -> Iterator[Prediction]:
    """Answer examples batch by batch, in their order."""
    stream = iter(examples)
    while part := list(islice(stream, batch)):
        yield from analyst.analyse(part)


def questions_of(
    posts: Iterable[Post],
    form: Form = "instruction",
    answered: Collection[tuple[str, str]] | None = None,
    left_open: Counter[str] | None = None,
) -> Iterator[Example]:
    """Put every labelled question to the posts.

    Parameters
    ----------
    posts
        Any posts; those without labels are passed over.
    form
        The published form to ask in.
    answered
        The (set, question) pairs that will be answered; None: all.
    left_open
        Counts the other questions by set.
    """
    for post in posts:
        for question in post.labels:
            if answered is None or (post.set, question) in answered:
                yield example_of(post, question, form)
            elif left_open is not None:
                left_open[post.set] += 1


def run(
    analyst: Analyst,
    posts_file: Path,
    out: Path,
    splits: tuple[Split, ...] = ("test",),
    form: Form = "instruction",
) -> PredictSummary:
    """Answer the posts of some splits and write `out/predictions.jsonl.zst`.

    Parameters
    ----------
    analyst
        One with an attribute `tasks` is asked only the (set, question) pairs it names.
    posts_file
        Posts as `collect` writes them.
    out
        The stage's folder.
    splits
        Whose posts are asked about.
    form
        The published form to ask in.

    Raises
    ------
    WrongUse
        There is no posts file, or not one question of the splits can be answered.
    """
    counts: Counter[str] = Counter()
    left_open: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    total = sum(len(post.labels) for post in read_records(posts_file, Post) if post.split in splits)

    def asked() -> Iterator[Post]:
        for post in read_records(posts_file, Post):
            if post.split in splits:
                counts["posts"] += 1
                yield post

    def answered() -> Iterator[Prediction]:
        examples = questions_of(asked(), form, getattr(analyst, "tasks", None), left_open)
        for prediction in predict(analyst, examples):
            answers[prediction.reading.status] += 1
            advance(1)
            yield prediction
        if not answers:
            raise WrongUse(_nothing(posts_file, splits, counts["posts"], left_open))

    with progress("predict: answer", total) as advance:
        write_records(out / PREDICTIONS, answered())
    return PredictSummary(posts=counts["posts"], answers=dict(answers), left_open=dict(left_open))


def _nothing(posts_file: Path, splits: Collection[Split], posts: int, left_open: Counter[str]) -> str:
    where = f"{posts_file}: of {posts} posts in {' and '.join(splits)}"
    if left_open:
        return f"{where} none asks what this model answers (they are from {', '.join(sorted(left_open))})"
    return f"{where} none has a label; choose other splits"

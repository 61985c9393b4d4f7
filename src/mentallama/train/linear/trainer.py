"""Train a linear model on the posts of all sets that have training posts."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.linear.features import NgramConfig
from mentallama.analysts.linear.serialization import LinearHeadMetadata, LinearSetModel, save_linear_model
from mentallama.config import LinearSettings
from mentallama.errors import UsageError
from mentallama.parallel import process_pool
from mentallama.records import Post, Record
from mentallama.tasks import Task, find_task

FIT_SPLITS = ("train", "validation")

PostIndices = NDArray[np.int64]


def grams_of(settings: LinearSettings) -> NgramConfig:
    """Which n-grams the settings ask for."""
    shortest, longest = settings.char_ngram_range
    return NgramConfig(word_bigrams=settings.max_word_ngram > 1, min_chars=shortest, max_chars=longest)


@dataclass(frozen=True)
class SetPosts:
    """The labelled posts of one set; `heldout` marks those for validation.

    `alike` marks the posts that come from the same kind of file (release, upstream, table) as the validation posts, so
    that their labels mean the same. `passages` holds, for each question, the text that annotators marked in a post, by
    the post's place.
    """

    name: str
    texts: Sequence[str]
    labels: Sequence[Mapping[str, str]]
    is_validation: NDArray[np.bool_]
    same_origin_as_validation: NDArray[np.bool_]
    evidence_passages: Mapping[str, Mapping[int, str]]

    @classmethod
    def from_posts(cls, name: str, posts: Iterable[Post]) -> SetPosts:
        kept = [post for post in posts if post.split in FIT_SPLITS and post.labels]
        heldout = np.array([post.split == "validation" for post in kept], np.bool_)
        origins = {post.provenance.origin for post in kept if post.split == "validation"}
        alike = np.array([post.provenance.origin in origins for post in kept], np.bool_)
        passages: dict[str, dict[int, str]] = defaultdict(dict)
        for place, post in enumerate(kept):
            for question, spans in post.evidence.items():
                passages[question][place] = "\n".join(post.text[span.start : span.end] for span in spans)
        return cls(
            name, [post.text for post in kept], [post.labels for post in kept], heldout, alike, passages
        )

    def indices(self, question: str, heldout: bool) -> PostIndices:
        """Places of the posts of one split that have an answer to the question."""
        asked = np.array([question in labels for labels in self.labels], np.bool_)
        return np.flatnonzero(asked & (self.is_validation == heldout))

    def labels_of(self, question: str, indices: PostIndices) -> list[str]:
        return [self.labels[row][question] for row in indices]


class QuestionSummary(Record):
    """One question: posts fitted on, and what cross-validation decided."""

    train: int
    validation: int
    metadata: LinearHeadMetadata


class SetSummary(Record):
    """One set: its questions, the size of its vocabulary, and the time it took."""

    questions: dict[str, QuestionSummary]
    features: int
    seconds: float


class LinearSummary(Record):
    """What a training did. `skipped` says why for each set or question without a model."""

    sets: dict[str, SetSummary]
    skipped: dict[str, str]


@dataclass(frozen=True)
class _SetFitJob:
    """All one process needs to fit one set."""

    posts: SetPosts
    questions: Mapping[str, Sequence[str]]
    settings: LinearSettings


def train_linear(
    posts: Iterable[Post],
    out: Path,
    settings: LinearSettings,
    jobs: int = 1,
    tasks: Mapping[str, Task] | None = None,
    advance: Callable[[str], None] | None = None,
) -> LinearSummary:
    """Train one model for all sets and write it to a folder.

    Parameters
    ----------
    posts
        Posts of any sets and splits; those for testing are passed over.
    out
        The model's folder.
    settings
        How to train.
    jobs
        Sets fitted at a time, each in a process of its own; the result is the same to the byte.
    tasks
        Tasks by set name; None: those shipped.
    advance
        Called with a set's name when the set is done.

    Raises
    ------
    WrongUse
        A set has training posts but no validation posts, a label that its task does not have, or
        training posts without a common word; or there is nothing to train on at all.
    """
    work, skipped = _fit_jobs(posts, settings, tasks)
    if not work:
        reasons = "; ".join(f"{place}: {reason}" for place, reason in skipped.items()) or "no posts"
        raise UsageError(f"there is nothing to train on ({reasons})")
    models: dict[str, LinearSetModel] = {}
    seconds: dict[str, float] = {}
    for name, model, took in _fit_all(work, jobs):
        models[name], seconds[name] = model, took
        if advance is not None:
            advance(name)
    save_linear_model(out, grams_of(settings), {name: models[name] for name in work})
    sets = {name: _set_summary(work[name], models[name], seconds[name]) for name in work}
    return LinearSummary(sets=sets, skipped=skipped)


def _fit_jobs(
    posts: Iterable[Post], settings: LinearSettings, tasks: Mapping[str, Task] | None
) -> tuple[dict[str, _SetFitJob], dict[str, str]]:
    """Sort posts by set; returns the jobs in the order of set names, and why others are left out."""
    by_set: dict[str, list[Post]] = defaultdict(list)
    for post in posts:
        by_set[post.set].append(post)
    jobs: dict[str, _SetFitJob] = {}
    skipped: dict[str, str] = {}
    for name in sorted(by_set, key=str.lower):
        task, posts_of_set = find_task(name, tasks), SetPosts.from_posts(name, by_set[name])
        reasons = {question: _skip_reason(posts_of_set, task, question) for question in task.questions}
        skipped |= {f"{name}, {question}": reason for question, reason in reasons.items() if reason}
        questions = {question: tuple(task.labels) for question, reason in reasons.items() if not reason}
        if questions:
            jobs[name] = _SetFitJob(posts_of_set, questions, settings)
    return jobs, skipped


def _skip_reason(posts: SetPosts, task: Task, question: str) -> str | None:
    """Why a question cannot be trained, or None where it can."""
    train, heldout = posts.indices(question, False), posts.indices(question, True)
    seen = Counter(posts.labels_of(question, train))
    foreign = (set(seen) | set(posts.labels_of(question, heldout))) - set(task.labels)
    if foreign:
        names = ", ".join(map(repr, sorted(foreign)))
        raise UsageError(f"{task.set}, {question}: the task has no label {names}")
    if len(seen) < 2:
        return f"{len(train)} labelled training posts of {len(seen)} labels; at least two labels are needed"
    if not len(heldout):
        raise UsageError(
            f"{task.set}, {question}: there are {len(train)} training posts but no validation posts; "
            "have collect draw a validation split"
        )
    return None


def _fit_all(jobs: Mapping[str, _SetFitJob], workers: int) -> Iterator[tuple[str, LinearSetModel, float]]:
    """Fit all sets as processes come free, the longest work first."""
    order = sorted(jobs, key=lambda name: (-_relative_cost(jobs[name]), name))
    if workers == 1 or len(jobs) == 1:
        yield from (_timed_fit(name, jobs[name]) for name in order)
        return
    with process_pool(min(workers, len(jobs))) as pool:
        for done in as_completed([pool.submit(_timed_fit, name, jobs[name]) for name in order]):
            yield done.result()


def _relative_cost(job: _SetFitJob) -> int:
    """Characters times weight vectors: what the time of a fit goes by."""
    vectors = sum(len(labels) if len(labels) > 2 else 1 for labels in job.questions.values())
    return sum(map(len, job.posts.texts)) * vectors


def _timed_fit(name: str, job: _SetFitJob) -> tuple[str, LinearSetModel, float]:
    from mentallama.train.linear.fit import fit_set

    begun = time.perf_counter()
    model = fit_set(job.posts, job.questions, job.settings)
    return name, model, time.perf_counter() - begun


def _set_summary(job: _SetFitJob, model: LinearSetModel, seconds: float) -> SetSummary:
    questions = {
        question: QuestionSummary(
            train=len(job.posts.indices(question, False)),
            validation=len(job.posts.indices(question, True)),
            metadata=head.metadata,
        )
        for question, head in model.heads.items()
    }
    return SetSummary(questions=questions, features=len(model.keys), seconds=round(seconds, 3))

"""Train the linear analyst: one model for all sets that have training posts."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from mentallama.analysts.answer_parts import heads_of
from mentallama.analysts.linear.serialization import LinearHeadMetadata, LinearSetModel, save_linear_model
from mentallama.config import LinearSettings
from mentallama.errors import UsageError
from mentallama.parallel import process_pool
from mentallama.records import Post, Record
from mentallama.tasks import Task, find_task
from mentallama.tasks.answer_kinds import Part
from mentallama.train.data.quotations import post_with_levels
from mentallama.train.linear.dataset import SetPosts, ngram_config
from mentallama.train.linear.fit import fit_set


class QuestionSummary(Record):
    """One head: numbers of posts, and the hyperparameters that cross-validation chose."""

    train: int
    validation: int
    metadata: LinearHeadMetadata


class SetSummary(Record):
    """One set: the heads of its questions, the size of its vocabulary, and the seconds that fitting took."""

    questions: dict[str, QuestionSummary]
    features: int
    seconds: float


class LinearSummary(Record):
    """All sets of a run. `skipped` gives the reason for each set or question without a model."""

    sets: dict[str, SetSummary]
    skipped: dict[str, str]


@dataclass(frozen=True)
class _SetFitJob:
    """All that a process needs to fit one set."""

    posts: SetPosts
    heads: Mapping[str, Part]
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
        Posts of any sets and splits; test posts are ignored.
    out
        The model's folder.
    settings
        The hyperparameters to choose from.
    jobs
        Number of processes, each fitting one set at a time; the files are the same, byte for byte, for any number.
    tasks
        Tasks by set name; None: those of the package.
    advance
        Called with the set's name when a set has been fitted.

    Raises
    ------
    UsageError
        A set has training posts but no validation posts, a label that its task does not have, or
        training posts without a word in common; or there is nothing to train on.
    """
    fit_jobs, skipped = _fit_jobs(posts, settings, tasks)
    if not fit_jobs:
        reasons = "; ".join(f"{question}: {reason}" for question, reason in skipped.items()) or "no posts"
        raise UsageError(f"there is nothing to train on ({reasons})")
    models: dict[str, LinearSetModel] = {}
    seconds: dict[str, float] = {}
    for name, model, duration in _fit_all(fit_jobs, jobs):
        models[name], seconds[name] = model, duration
        if advance is not None:
            advance(name)
    save_linear_model(out, ngram_config(settings), {name: models[name] for name in fit_jobs})
    sets = {name: _set_summary(fit_jobs[name], models[name], seconds[name]) for name in fit_jobs}
    return LinearSummary(sets=sets, skipped=skipped)


def _fit_jobs(
    posts: Iterable[Post], settings: LinearSettings, tasks: Mapping[str, Task] | None
) -> tuple[dict[str, _SetFitJob], dict[str, str]]:
    """Group posts by set; returns the jobs by set name in alphabetical order, and the reasons for what is skipped."""
    by_set: dict[str, list[Post]] = defaultdict(list)
    for post in posts:
        by_set[post.set].append(post)
    jobs: dict[str, _SetFitJob] = {}
    skipped: dict[str, str] = {}
    for name in sorted(by_set, key=str.lower):
        task = find_task(name, tasks)
        parts = heads_of(task)
        posts_of_set = SetPosts.from_posts(name, (post_with_levels(task, p) for p in by_set[name]), parts)
        reasons = {head: _skip_reason(posts_of_set, task, head, part) for head, part in parts.items()}
        skipped |= {f"{name}, {head}": reason for head, reason in reasons.items() if reason}
        heads = {head: part for head, part in parts.items() if not reasons[head]}
        if heads:
            jobs[name] = _SetFitJob(posts_of_set, heads, settings)
    return jobs, skipped


def _skip_reason(posts: SetPosts, task: Task, head: str, part: Part) -> str | None:
    """Why a head is not trained, or None if it is."""
    train = posts.indices(head, validation=False)
    validation = posts.indices(head, validation=True)
    counts = Counter(posts.labels_of(head, train))
    unknown = (set(counts) | set(posts.labels_of(head, validation))) - set(part.levels)
    if unknown:
        names = ", ".join(map(repr, sorted(unknown)))
        raise UsageError(f"{task.set}, {head}: the task has no label {names}")
    if len(counts) < 2:
        return f"{len(train)} labelled training posts with {len(counts)} different labels; at least two are needed"
    if not len(validation):
        raise UsageError(
            f"{task.set}, {head}: there are {len(train)} training posts but no validation posts; "
            "have collect draw a validation split"
        )
    return None


def _fit_all(jobs: Mapping[str, _SetFitJob], workers: int) -> Iterator[tuple[str, LinearSetModel, float]]:
    """Fit all sets, the most expensive first; yields name, model and seconds as they finish."""
    order = sorted(jobs, key=lambda name: (-_relative_cost(jobs[name]), name))
    if workers == 1 or len(jobs) == 1:
        yield from (_timed_fit(name, jobs[name]) for name in order)
        return
    with process_pool(min(workers, len(jobs))) as pool:
        for future in as_completed([pool.submit(_timed_fit, name, jobs[name]) for name in order]):
            yield future.result()


def _relative_cost(job: _SetFitJob) -> int:
    """Characters times weight vectors, to which the time of a fit is proportional."""
    vectors = sum(len(part.levels) if len(part.levels) > 2 else 1 for part in job.heads.values())
    return sum(map(len, job.posts.texts)) * vectors


def _timed_fit(name: str, job: _SetFitJob) -> tuple[str, LinearSetModel, float]:
    started = time.perf_counter()
    model = fit_set(job.posts, job.heads, job.settings)
    return name, model, time.perf_counter() - started


def _set_summary(job: _SetFitJob, model: LinearSetModel, seconds: float) -> SetSummary:
    questions = {
        question: QuestionSummary(
            train=len(job.posts.indices(question, validation=False)),
            validation=len(job.posts.indices(question, validation=True)),
            metadata=head.metadata,
        )
        for question, head in model.heads.items()
    }
    return SetSummary(questions=questions, features=len(model.keys), seconds=round(seconds, 3))

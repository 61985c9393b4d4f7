"""Metrics over scored rows, all from one table: gold label x (predicted label, unread, refused, cut).

F1 is 2·hits / (gold + predicted), and 0 where a label occurs in gold and is never hit. Means over labels:

- weighted: by the label's rows in gold. A label that is only predicted has weight 0.
- macro: over labels that occur in gold or among the predictions.
- micro: hits, gold and predicted added up first. Equals accuracy where every answer was read.

These are scikit-learn's definitions (`f1_score(..., labels=occurring, zero_division=0)`); unread,
refused and cut answers are misses of the gold label and never a label of their own.
Shares are in percent, 0-100.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.evaluate.score_row import ScoredRow
from mentallama.metrics.bootstrap import Resampling, post_interval
from mentallama.metrics.calibration import Calibration, calibrate
from mentallama.records import STATUSES, Record
from mentallama.tasks import Task

Counts = NDArray[np.int64]
"""Confusion counts, shape (..., labels, labels + 3); the last three columns are `LOST`."""

LOST = STATUSES[1:]
"""unread, refused, cut: the three outcomes that are no label."""

DIGITS = 4
"""Digits kept in files: a weighted F1 is quoted with two, an interval moves in the third."""


class ClassScore(Record):
    """One label, in percent. None where nothing could be divided: see `support` and `predicted`."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


class GraveScore(Record):
    """Recall, in percent, of the label whose miss costs most; None where gold has no such row."""

    label: str
    recall: float | None
    n: int
    found: int


class Scores(Record):
    """All metrics of one list of rows. Shares in percent, rounded to 4 digits."""

    n: int
    posts: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    micro_f1: float
    interval: tuple[float, float] | None
    """95 % of weighted F1 over posts drawn anew; None with fewer than two posts."""
    read: int
    unread: int
    refused: int
    cut: int
    grave: GraveScore | None
    calibration: Calibration | None
    per_class: dict[str, ClassScore]
    confusion: dict[str, dict[str, int]]
    """Gold label -> predicted label or unread/refused/cut -> rows."""
    questions: dict[str, Scores] = {}
    """The same by question, for a set that asks several."""


def measure(rows: Sequence[ScoredRow], task: Task, resampling: Resampling | None = None) -> Scores:
    """All metrics of one set's rows, and by question where it asks several.

    Raises
    ------
    ValueError
        There are no rows: a set without rows has no score.
    """
    resampling = resampling or Resampling()
    asked = {name: [row for row in rows if row.question == name] for name in task.questions}
    by_question = {
        name: _measure_one(part, task, resampling)
        for name, part in asked.items()
        if part and len(task.questions) > 1
    }
    return _measure_one(rows, task, resampling).model_copy(update={"questions": by_question})


def _measure_one(rows: Sequence[ScoredRow], task: Task, resampling: Resampling) -> Scores:
    if not rows:
        raise ValueError(f"{task.set}: no rows to score")
    labels = list(task.labels)
    by_post = count_by_post(rows, labels)
    counts: Counts = by_post.sum(axis=0)
    lost = counts[:, len(labels) :].sum(axis=0)
    return Scores(
        n=len(rows),
        posts=len(by_post),
        accuracy=rounded(accuracy(counts)),
        weighted_f1=rounded(float(weighted_f1(counts))),
        macro_f1=rounded(macro_f1(counts)),
        micro_f1=rounded(micro_f1(counts)),
        interval=_round_pair(post_interval(by_post, weighted_f1, resampling)),
        read=len(rows) - int(lost.sum()),
        unread=int(lost[0]),
        refused=int(lost[1]),
        cut=int(lost[2]),
        grave=grave_score(counts, labels, task.grave),
        calibration=calibrate(rows),
        per_class=class_scores(counts, labels),
        confusion=name_cells(counts, labels),
    )


def count_by_post(rows: Sequence[ScoredRow], labels: Sequence[str]) -> Counts:
    """Confusion counts of each post, shape (posts, labels, labels + 3), posts in order of first row."""
    place = {name: column for column, name in enumerate((*labels, *LOST))}
    posts: dict[str, int] = {}
    cells = [
        (posts.setdefault(row.post_id, len(posts)), place[row.gold], place[row.predicted or row.status])
        for row in rows
    ]
    counts = np.zeros((len(posts), len(labels), len(place)), dtype=np.int64)
    np.add.at(counts, tuple(np.array(cells).T), 1)
    return counts


def hits_gold_predicted(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Per label: rows hit, rows of that gold label, rows predicted so; each of shape (..., labels)."""
    size = counts.shape[-2]
    square = counts[..., :size]
    return np.diagonal(square, axis1=-2, axis2=-1), counts.sum(axis=-1), square.sum(axis=-2)


def f1_by_label(counts: Counts) -> NDArray[np.float64]:
    """F1 of each label, 0-1, shape (..., labels); 0 for labels in neither gold nor predictions."""
    hits, gold, predicted = hits_gold_predicted(counts)
    both = gold + predicted
    scores: NDArray[np.float64] = np.divide(2 * hits, both, out=np.zeros(both.shape), where=both > 0)
    return scores


def weighted_f1(counts: Counts) -> NDArray[np.float64]:
    """Weighted F1 in percent for each table of a stack; shape (...)."""
    gold = counts.sum(axis=-1)
    mean: NDArray[np.float64] = (f1_by_label(counts) * gold).sum(axis=-1) / gold.sum(axis=-1)
    return 100 * mean


def macro_f1(counts: Counts) -> float:
    """Mean F1 in percent over the labels that occur in gold or predictions."""
    _, gold, predicted = hits_gold_predicted(counts)
    return 100 * float(f1_by_label(counts)[gold + predicted > 0].mean())


def micro_f1(counts: Counts) -> float:
    """F1 in percent of all labels pooled."""
    hits, gold, predicted = hits_gold_predicted(counts)
    return 100 * 2 * int(hits.sum()) / int(gold.sum() + predicted.sum())


def accuracy(counts: Counts) -> float:
    """Share of rows hit, in percent of all rows, read or not."""
    hits, gold, _ = hits_gold_predicted(counts)
    return 100 * int(hits.sum()) / int(gold.sum())


def class_scores(counts: Counts, labels: Sequence[str]) -> dict[str, ClassScore]:
    """Precision, recall and F1 of every label of the task."""
    columns = zip(labels, *(column.tolist() for column in hits_gold_predicted(counts)), strict=True)
    return {
        label: ClassScore(
            precision=share(hits, predicted),
            recall=share(hits, gold),
            f1=share(2 * hits, gold + predicted),
            support=gold,
            predicted=predicted,
        )
        for label, hits, gold, predicted in columns
    }


def grave_score(counts: Counts, labels: Sequence[str], grave: str | None) -> GraveScore | None:
    """Recall of the grave label; None where the task names none."""
    if grave is None:
        return None
    hits, gold, _ = (int(column[labels.index(grave)]) for column in hits_gold_predicted(counts))
    return GraveScore(label=grave, recall=share(hits, gold), n=gold, found=hits)


def name_cells(counts: Counts, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """The confusion counts by name, zeros included."""
    columns = (*labels, *LOST)
    lines = zip(labels, counts.tolist(), strict=True)
    return {gold: dict(zip(columns, line, strict=True)) for gold, line in lines}


def share(part: int, whole: int) -> float | None:
    """Percent, rounded for files; None where the whole is 0."""
    return rounded(100 * part / whole) if whole else None


def rounded(value: float) -> float:
    """Rounded to `DIGITS`, for files."""
    return round(value, DIGITS)


def _round_pair(pair: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if pair is None else (rounded(pair[0]), rounded(pair[1]))

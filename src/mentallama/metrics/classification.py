"""Metrics over scored rows, all from one table: gold label x (predicted label, unparsed, refused, truncated).

F1 is 2·hits / (gold + predicted), and 0 where a label occurs in gold and is never hit. Means over labels:

- weighted: by the label's rows in gold. A label that is only predicted has weight 0.
- macro: over labels that occur in gold or among the predictions.
- micro: hits, gold and predicted added up first. Equals accuracy where every answer was parsed.

These are scikit-learn's definitions (`f1_score(..., labels=occurring, zero_division=0)`); unparsed,
refused and truncated answers are misses of the gold label and never a label of their own.
Shares are in percent, 0-100.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.evaluate.score_row import ScoredRow
from mentallama.metrics.bootstrap import Resampling, bootstrap_interval
from mentallama.metrics.calibration import CalibrationScores, calibration_scores
from mentallama.records import READING_STATUSES, Record
from mentallama.tasks import Task

ConfusionCounts = NDArray[np.int64]
"""Confusion counts, shape (..., labels, labels + 3); the last three columns are `NO_LABEL_STATUSES`."""

NO_LABEL_STATUSES = READING_STATUSES[1:]
"""unparsed, refused, truncated: the three outcomes that are no label."""

SCORE_DECIMALS = 4
"""Digits kept in files: a weighted F1 is quoted with two, an interval moves in the third."""


class ClassScore(Record):
    """One label, in percent. None where nothing could be divided: see `support` and `predicted`."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


class HighRiskScore(Record):
    """Recall, in percent, of the label whose miss costs most; None where gold has no such row."""

    label: str
    recall: float | None
    n: int
    hits: int


class Scores(Record):
    """All metrics of one list of rows. Shares in percent, rounded to 4 digits."""

    n: int
    posts: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    micro_f1: float
    weighted_f1_interval: tuple[float, float] | None
    """95 % of weighted F1 over posts drawn anew; None with fewer than two posts."""
    parsed: int
    unparsed: int
    refused: int
    truncated: int
    high_risk: HighRiskScore | None
    calibration: CalibrationScores | None
    per_class: dict[str, ClassScore]
    confusion: dict[str, dict[str, int]]
    """Gold label -> predicted label or unparsed/refused/truncated -> rows."""
    by_question: dict[str, Scores] = {}
    """The same by question, for a set that asks several."""


def compute_scores(rows: Sequence[ScoredRow], task: Task, resampling: Resampling | None = None) -> Scores:
    """All metrics of one set's rows, and by question where it asks several.

    Raises
    ------
    ValueError
        There are no rows: a set without rows has no score.
    """
    resampling = resampling or Resampling()
    asked = {name: [row for row in rows if row.question == name] for name in task.questions}
    by_question = {
        name: _scores_of_rows(part, task, resampling)
        for name, part in asked.items()
        if part and len(task.questions) > 1
    }
    return _scores_of_rows(rows, task, resampling).model_copy(update={"by_question": by_question})


def _scores_of_rows(rows: Sequence[ScoredRow], task: Task, resampling: Resampling) -> Scores:
    if not rows:
        raise ValueError(f"{task.set}: no rows to score")
    labels = list(task.labels)
    by_post = confusion_by_post(rows, labels)
    counts: ConfusionCounts = by_post.sum(axis=0)
    lost = counts[:, len(labels) :].sum(axis=0)
    return Scores(
        n=len(rows),
        posts=len(by_post),
        accuracy=round_score(accuracy(counts)),
        weighted_f1=round_score(float(weighted_f1(counts))),
        macro_f1=round_score(macro_f1(counts)),
        micro_f1=round_score(micro_f1(counts)),
        weighted_f1_interval=_round_interval(bootstrap_interval(by_post, weighted_f1, resampling)),
        parsed=len(rows) - int(lost.sum()),
        unparsed=int(lost[0]),
        refused=int(lost[1]),
        truncated=int(lost[2]),
        high_risk=high_risk_score(counts, labels, task.high_risk_label),
        calibration=calibration_scores(rows),
        per_class=class_scores(counts, labels),
        confusion=confusion_dict(counts, labels),
    )


def confusion_by_post(rows: Sequence[ScoredRow], labels: Sequence[str]) -> ConfusionCounts:
    """Confusion counts of each post, shape (posts, labels, labels + 3), posts in order of first row."""
    place = {name: column for column, name in enumerate((*labels, *NO_LABEL_STATUSES))}
    posts: dict[str, int] = {}
    cells = [
        (posts.setdefault(row.post_id, len(posts)), place[row.gold], place[row.predicted or row.status])
        for row in rows
    ]
    counts = np.zeros((len(posts), len(labels), len(place)), dtype=np.int64)
    np.add.at(counts, tuple(np.array(cells).T), 1)
    return counts


def hits_and_totals(counts: ConfusionCounts) -> tuple[ConfusionCounts, ConfusionCounts, ConfusionCounts]:
    """Per label: rows hit, rows of that gold label, rows predicted so; each of shape (..., labels)."""
    size = counts.shape[-2]
    square = counts[..., :size]
    return np.diagonal(square, axis1=-2, axis2=-1), counts.sum(axis=-1), square.sum(axis=-2)


def f1_by_label(counts: ConfusionCounts) -> NDArray[np.float64]:
    """F1 of each label, 0-1, shape (..., labels); 0 for labels in neither gold nor predictions."""
    hits, gold, predicted = hits_and_totals(counts)
    both = gold + predicted
    scores: NDArray[np.float64] = np.divide(2 * hits, both, out=np.zeros(both.shape), where=both > 0)
    return scores


def weighted_f1(counts: ConfusionCounts) -> NDArray[np.float64]:
    """Weighted F1 in percent for each table of a stack; shape (...)."""
    return 100 * _weighted_mean_f1(counts)


def _weighted_mean_f1(counts: ConfusionCounts) -> NDArray[np.float64]:
    """Weighted F1, 0-1, of each table; shape (...)."""
    gold = counts.sum(axis=-1)
    mean: NDArray[np.float64] = (f1_by_label(counts) * gold).sum(axis=-1) / gold.sum(axis=-1)
    return mean


def macro_f1(counts: ConfusionCounts) -> float:
    """Mean F1 in percent over the labels that occur in gold or predictions."""
    _, gold, predicted = hits_and_totals(counts)
    return 100 * float(f1_by_label(counts)[gold + predicted > 0].mean())


def micro_f1(counts: ConfusionCounts) -> float:
    """F1 in percent of all labels pooled."""
    hits, gold, predicted = hits_and_totals(counts)
    return 100 * 2 * int(hits.sum()) / int(gold.sum() + predicted.sum())


def accuracy(counts: ConfusionCounts) -> float:
    """Share of rows hit, in percent of all rows, parsed or not."""
    hits, gold, _ = hits_and_totals(counts)
    return 100 * int(hits.sum()) / int(gold.sum())


def class_scores(counts: ConfusionCounts, labels: Sequence[str]) -> dict[str, ClassScore]:
    """Precision, recall and F1 of every label of the task."""
    columns = zip(labels, *(column.tolist() for column in hits_and_totals(counts)), strict=True)
    return {
        label: ClassScore(
            precision=percent(hits, predicted),
            recall=percent(hits, gold),
            f1=percent(2 * hits, gold + predicted),
            support=gold,
            predicted=predicted,
        )
        for label, hits, gold, predicted in columns
    }


def high_risk_score(
    counts: ConfusionCounts, labels: Sequence[str], high_risk_label: str | None
) -> HighRiskScore | None:
    """Recall of the grave label; None where the task names none."""
    if high_risk_label is None:
        return None
    hits, gold, _ = (int(column[labels.index(high_risk_label)]) for column in hits_and_totals(counts))
    return HighRiskScore(label=high_risk_label, recall=percent(hits, gold), n=gold, hits=hits)


def confusion_dict(counts: ConfusionCounts, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """The confusion counts by name, zeros included."""
    columns = (*labels, *NO_LABEL_STATUSES)
    lines = zip(labels, counts.tolist(), strict=True)
    return {gold: dict(zip(columns, line, strict=True)) for gold, line in lines}


def percent(part: int, whole: int) -> float | None:
    """Percent, rounded for files; None where the whole is 0."""
    return round_score(100 * part / whole) if whole else None


def round_score(value: float) -> float:
    """Rounded to `SCORE_DECIMALS`, for files."""
    return round(value, SCORE_DECIMALS)


def _round_interval(pair: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if pair is None else (round_score(pair[0]), round_score(pair[1]))


def weighted_f1_of_labels(truth: Sequence[object], predicted: Sequence[object]) -> float:
    """Weighted F1, 0-1, of label pairs; 0 without any. Predictions that are no label of `truth` are only misses.

    >>> weighted_f1_of_labels(["yes", "yes", "no", "no"], ["yes", "unparsed", "no", "yes"])
    0.5833333333333333
    """
    if not len(truth):
        return 0.0
    labels, indices = np.unique([*truth, *predicted], return_inverse=True)
    cells = indices[: len(truth)] * len(labels) + indices[len(truth) :]
    counts = np.bincount(cells, minlength=len(labels) ** 2).reshape(len(labels), len(labels))
    return float(_weighted_mean_f1(counts))

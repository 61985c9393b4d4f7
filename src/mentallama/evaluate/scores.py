"""Scores of rows, and of sets: the metrics of the registry, a confidence interval, counts and calibration.

Unparsed, refused and truncated answers are misses of the gold label and never a class of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics import registry
from mentallama.metrics.bootstrap import (
    Interval,
    Resampling,
    bootstrap_distribution,
    bootstrap_interval,
    percentile_interval,
)
from mentallama.metrics.calibration import CalibrationScores, brier_score, calibration_scores
from mentallama.metrics.classification import (
    ConfusionCounts,
    hits_and_totals,
    percent,
    round_interval,
    round_score,
    weighted_f1,
)
from mentallama.metrics.selective_prediction import Abstention, ReviewRecall, RiskCoverage
from mentallama.records import READING_STATUSES, Example, Reading, ReadingStatus, Record
from mentallama.tasks import Task
from mentallama.text.fingerprint import key_hash, text_key

NO_LABEL_STATUSES = READING_STATUSES[1:]
"""The three outcomes without a label: unparsed, refused, truncated. They are the last columns of confusion counts."""


class ScoredRow(Record):
    """One labelled row with its score.

    `predicted` is a label exactly if `status` is "parsed": an unparsed, refused or truncated answer is wrong and is
    never a class. `probability` (0-1) is the model's probability of `predicted`, `high_risk_probability` that
    of the set's high-risk label; `brier` is the row's Brier score over all labels (0 best, 2 worst). All are None where
    there are no probabilities.

    `post_id` tells posts of one run apart. `post_hash` is that of the post's letters, by which the same post is found
    in other runs and in outputs of other tools; "" where the text is not known.
    """

    example_id: str
    set: str
    question: str
    post_id: str
    post_hash: str = ""
    gold: str
    status: ReadingStatus
    predicted: str | None = None
    probability: float | None = None
    high_risk_probability: float | None = None
    brier: float | None = None

    @property
    def correct(self) -> bool:
        """Whether the predicted label is the gold label."""
        return self.predicted == self.gold


def score_row(
    example: Example,
    reading: Reading,
    probabilities: Mapping[str, float],
    high_risk_label: str | None = None,
) -> ScoredRow:
    """Score one answer against the example's gold label; `high_risk_label` is the task's.

    The text of the example is cleaned, as posts of a run are.

    Raises
    ------
    ValueError
        The example has no gold label.
    """
    if example.label is None:
        raise ValueError(f"example {example.id} has no label to score against")
    predicted = reading.label if reading.status == "parsed" else None
    return ScoredRow(
        example_id=example.id,
        set=example.task,
        question=example.question,
        post_id=example.post_id,
        post_hash=f"{key_hash(text_key(example.text) or example.text):016x}" if example.text else "",
        gold=example.label,
        status=reading.status,
        predicted=predicted,
        probability=None if predicted is None else probabilities.get(predicted),
        high_risk_probability=None if high_risk_label is None else probabilities.get(high_risk_label),
        brier=brier_score(example.label, probabilities),
    )


class ClassScore(Record):
    """Scores of one label, in percent; None where the denominator is 0 (see `support` and `predicted`)."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


class HighRiskScore(Record):
    """Recall, in percent, of the label whose misses are most costly; None if no row has it as its gold label.

    `n` rows have the label, of which `hits` were predicted.
    """

    label: str
    recall: float | None
    n: int
    hits: int


class Scores(Record):
    """All metrics of one list of rows. Percentages are rounded to 4 decimals."""

    n: int
    posts: int
    metrics: dict[str, float]
    """Name in `metrics.registry.METRICS` -> value, in percent."""
    weighted_f1_interval: tuple[float, float] | None
    """95 % bootstrap interval over posts; None with fewer than two posts."""
    parsed: int
    unparsed: int
    refused: int
    truncated: int
    high_risk: HighRiskScore | None
    calibration: CalibrationScores | None
    risk_coverage: RiskCoverage | None = None
    """None where there are no probabilities."""
    review: ReviewRecall | None = None
    """Recall of the high-risk label where people review the rows that most probably have it."""
    abstention: Abstention | None = None
    """Scores of the answers above a threshold that is chosen on validation rows; None without a run of a recipe."""
    per_class: dict[str, ClassScore]
    confusion: dict[str, dict[str, int]]
    """Gold label -> predicted label, unparsed, refused or truncated -> rows."""
    by_question: dict[str, Scores] = {}
    """The same by question, for a set that asks several."""

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """The main figures; confusion counts and classes are asked for by name."""
        counts = {name: getattr(self, name) for name in ("n", "posts", *READING_STATUSES)}
        shown = {**self.metrics, "weighted_f1_interval": self.weighted_f1_interval, **counts}
        return list(shown.items())

    @property
    def weighted_f1(self) -> float:
        """Weighted F1, in percent."""
        return self.metrics["weighted_f1"]

    @property
    def accuracy(self) -> float:
        """Share of all rows that are correct, in percent."""
        return self.metrics["accuracy"]

    @property
    def macro_f1(self) -> float:
        """Macro F1, in percent."""
        return self.metrics["macro_f1"]


class UpstreamScores(Record):
    """The same answers against the release's labels and against upstream labels, on the rows that have both.

    `differ` of the `rows` have different labels. Weighted F1 is in percent; `difference` is that against upstream
    labels minus that against the release's. Intervals are None with fewer than two posts.
    """

    rows: int
    posts: int
    differ: int
    release_f1: float
    release_interval: Interval | None
    upstream_f1: float
    upstream_interval: Interval | None
    difference: float
    difference_interval: Interval | None


def score_against_upstream(
    rows: Sequence[ScoredRow],
    upstream: Mapping[tuple[str, str], str],
    labels: Sequence[str],
    resampling: Resampling,
) -> UpstreamScores | None:
    """Score one set's rows against both labels; None if no row has an upstream label.

    Parameters
    ----------
    upstream
        (post id, question) -> upstream label.
    labels
        Those of the set, in its order.
    """
    release = [row for row in rows if (row.post_id, row.question) in upstream]
    if not release:
        return None
    other = [row.model_copy(update={"gold": upstream[row.post_id, row.question]}) for row in release]
    counts = np.stack([confusion_by_post(part, labels) for part in (release, other)], axis=1)

    def both(sums: ConfusionCounts) -> NDArray[np.float64]:
        scores = weighted_f1(sums)
        return np.stack([scores[:, 0], scores[:, 1], scores[:, 1] - scores[:, 0]], axis=1)

    release_f1, upstream_f1, difference = both(counts.sum(axis=0, keepdims=True))[0].tolist()
    distribution = bootstrap_distribution(counts, both, resampling)
    values = np.full((1, 3), np.nan) if distribution is None else distribution.values
    intervals = [percentile_interval(column, resampling.confidence, len(counts)) for column in values.T]
    return UpstreamScores(
        rows=len(release),
        posts=len(counts),
        differ=sum(one.gold != two.gold for one, two in zip(release, other, strict=True)),
        release_f1=round_score(release_f1),
        release_interval=round_interval(intervals[0]),
        upstream_f1=round_score(upstream_f1),
        upstream_interval=round_interval(intervals[1]),
        difference=round_score(difference),
        difference_interval=round_interval(intervals[2]),
    )


def compute_scores(rows: Sequence[ScoredRow], task: Task, resampling: Resampling | None = None) -> Scores:
    """All metrics of one set's rows, and by question where the set asks several.

    Raises
    ------
    ValueError
        There are no rows: a set without rows has no score.
    """
    resampling = resampling or Resampling()
    rows_by_question = {name: [row for row in rows if row.question == name] for name in task.questions}
    by_question = {
        name: _scores_of_rows(part, task, resampling)
        for name, part in rows_by_question.items()
        if part and len(task.questions) > 1
    }
    return _scores_of_rows(rows, task, resampling).model_copy(update={"by_question": by_question})


def _scores_of_rows(rows: Sequence[ScoredRow], task: Task, resampling: Resampling) -> Scores:
    if not rows:
        raise ValueError(f"{task.set}: no rows to score")
    labels = list(task.labels)
    by_post = confusion_by_post(rows, labels)
    counts: ConfusionCounts = by_post.sum(axis=0)
    unparsed, refused, truncated = (int(n) for n in counts[:, len(labels) :].sum(axis=0))
    interval = bootstrap_interval(by_post, weighted_f1, resampling)
    return Scores(
        n=len(rows),
        posts=len(by_post),
        metrics={metric.name: round_score(metric.compute(counts)) for metric in registry.METRICS},
        weighted_f1_interval=round_interval(interval),
        parsed=len(rows) - unparsed - refused - truncated,
        unparsed=unparsed,
        refused=refused,
        truncated=truncated,
        high_risk=_high_risk_score(counts, labels, task.high_risk_label),
        calibration=calibration_scores(
            [row.brier for row in rows if row.brier is not None],
            [(row.probability, row.correct) for row in rows if row.probability is not None],
        ),
        per_class=_class_scores(counts, labels),
        confusion=_confusion_by_name(counts, labels),
    )


def confusion_by_post(rows: Sequence[ScoredRow], labels: Sequence[str]) -> ConfusionCounts:
    """Confusion counts of each post, shape (posts, labels, labels + 3), posts in order of their first row."""
    column = {name: index for index, name in enumerate((*labels, *NO_LABEL_STATUSES))}
    posts: dict[str, int] = {}
    cells = [
        (posts.setdefault(row.post_id, len(posts)), column[row.gold], column[row.predicted or row.status])
        for row in rows
    ]
    counts = np.zeros((len(posts), len(labels), len(column)), dtype=np.int64)
    np.add.at(counts, tuple(np.array(cells).T), 1)
    return counts


def _class_scores(counts: ConfusionCounts, labels: Sequence[str]) -> dict[str, ClassScore]:
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


def _high_risk_score(
    counts: ConfusionCounts, labels: Sequence[str], high_risk_label: str | None
) -> HighRiskScore | None:
    if high_risk_label is None:
        return None
    hits, gold, _ = (int(column[labels.index(high_risk_label)]) for column in hits_and_totals(counts))
    return HighRiskScore(label=high_risk_label, recall=percent(hits, gold), n=gold, hits=hits)


def _confusion_by_name(counts: ConfusionCounts, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """The confusion counts by name, zeros included."""
    columns = (*labels, *NO_LABEL_STATUSES)
    lines = zip(labels, counts.tolist(), strict=True)
    return {gold: dict(zip(columns, line, strict=True)) for gold, line in lines}

"""Differences between two systems that were scored on the same rows: intervals that resample posts, tests, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mentallama.evaluate.kinds.part_counts import high_risk_parts
from mentallama.evaluate.scores import ScoredRow, confusion_by_post, counts_by_post
from mentallama.metrics.bootstrap import (
    Interval,
    Resampling,
    bootstrap_distribution,
    bootstrap_interval,
    post_indices,
)
from mentallama.metrics.kinds.answer_levels import ClassTotals
from mentallama.metrics.significance import ALPHA, bootstrap_p_value, holm, mcnemar_exact
from mentallama.report.comparison.systems import RowKey
from mentallama.tasks import Task

RowPair = tuple[ScoredRow, ScoredRow]

Key = TypeVar("Key")


@dataclass(frozen=True)
class RecallDifference:
    """Recall of the high-risk label by a second system minus that by a first, in points, over `rows` rows with it.

    `interval` is None with fewer than two posts, or so few with the label that a resample often has none.
    """

    label: str
    rows: int
    difference: float
    interval: Interval | None


@dataclass(frozen=True)
class PairedDifference:
    """Weighted F1 of a second system minus that of a first, in points.

    `interval` is the bootstrap interval of the difference; None with fewer than two posts. `only_first` and
    `only_second` count the rows that only one of the two systems got right. `mcnemar_p` tests these two counts, and
    takes rows as independent; `bootstrap_p` tests the difference in weighted F1, and draws posts. `adjusted_p` is
    `bootstrap_p` corrected over the sets of a comparison; None before that. `recall` is None where the set has no
    high-risk label, or no row has it.
    """

    rows: int
    difference: float
    interval: Interval | None
    only_first: int
    only_second: int
    mcnemar_p: float
    bootstrap_p: float | None
    adjusted_p: float | None = None
    recall: RecallDifference | None = None

    @property
    def direction(self) -> int:
        """1 if the second system's weighted F1 is higher, -1 if lower, 0 if the two are not separable.

        They are separable if the interval leaves out 0 and p, adjusted where it is, is at most `ALPHA`.
        """
        p_value = self.bootstrap_p if self.adjusted_p is None else self.adjusted_p
        return 0 if p_value is None or p_value > ALPHA else _side_of_zero(self.interval)

    @property
    def verdict(self) -> str:
        """The second system against the first, in words.

        A system is never called better if its recall of the high-risk label is lower beyond the interval, nor worse if
        it is higher.
        """
        recall = 0 if self.recall is None else _side_of_zero(self.recall.interval)
        label = "" if self.recall is None else self.recall.label
        return VERDICTS[self.direction, recall].format(label=label)


VERDICTS: Mapping[tuple[int, int], str] = {
    (1, 1): "better",
    (1, 0): "better",
    (1, -1): "higher F1, but lower recall of “{label}”",
    (0, 1): "not separable in F1, but higher recall of “{label}”",
    (0, 0): "not separable",
    (0, -1): "not separable in F1, but lower recall of “{label}”",
    (-1, 1): "lower F1, but higher recall of “{label}”",
    (-1, 0): "worse",
    (-1, -1): "worse",
}
"""By the direction of the difference in weighted F1 and of that in recall of the high-risk label."""


def _side_of_zero(interval: Interval | None) -> int:
    """1 for an interval above 0, -1 for one below, 0 for one that includes 0 and for none."""
    return 0 if interval is None else (interval[0] > 0) - (interval[1] < 0)


def pair_rows(first: Mapping[RowKey, ScoredRow], second: Mapping[RowKey, ScoredRow]) -> list[RowPair]:
    """Pair the rows of two systems that were scored on the same rows of a set.

    Raises
    ------
    ValueError
        They were not, or their labels differ.
    """
    if first.keys() != second.keys():
        raise ValueError("other rows")
    pairs = [(row, second[key]) for key, row in first.items()]
    if any(one.gold != other.gold for one, other in pairs):
        raise ValueError("other labels")
    return pairs


def paired_difference(
    pairs: Sequence[RowPair],
    labels: Sequence[str],
    resampling: Resampling,
    high_risk_label: str | None = None,
    task: Task | None = None,
) -> PairedDifference:
    """The difference of two systems over pairs of rows.

    Parameters
    ----------
    labels
        Those of the set, in its order.
    task
        The set's task; needed for answers of several parts.
    """
    first = [one for one, _ in pairs]
    # Ids of posts differ between systems; with those of the first, counts of one post have the same index in both.
    second = [other.model_copy(update={"post_id": one.post_id}) for one, other in pairs]
    composite = task if task is not None and task.is_composite else None
    totals = ClassTotals.of_confusion if composite is None else ClassTotals.of_counts
    counts = _stacked(first, second, lambda rows: _counts(rows, labels, composite))

    def f1_difference(sums: NDArray[np.int64]) -> NDArray[np.float64]:
        scores = totals(sums).weighted_f1()
        gained: NDArray[np.float64] = scores[..., 1] - scores[..., 0]
        return gained

    f1 = bootstrap_distribution(counts, f1_difference, resampling)
    only_first = sum(one.correct and not other.correct for one, other in pairs)
    only_second = sum(other.correct and not one.correct for one, other in pairs)
    recall = None
    if high_risk_label is not None and composite is not None:
        found = _stacked(first, second, lambda rows: _high_risk_counts(rows, composite))
        recall = _recall(found, totals, 0, high_risk_label, resampling)
    elif high_risk_label is not None:
        recall = _recall(counts, totals, labels.index(high_risk_label), high_risk_label, resampling)
    return PairedDifference(
        rows=len(pairs),
        difference=float(f1_difference(counts.sum(axis=0))),
        interval=None if f1 is None else f1.interval(resampling.confidence),
        only_first=only_first,
        only_second=only_second,
        mcnemar_p=mcnemar_exact(only_first, only_second),
        bootstrap_p=None if f1 is None else bootstrap_p_value(f1),
        recall=recall,
    )


def _stacked(
    first: Sequence[ScoredRow],
    second: Sequence[ScoredRow],
    count: Callable[[Sequence[ScoredRow]], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """Counts of both systems by post, shape (posts, 2, classes, columns)."""
    return np.stack([count(first), count(second)], axis=1)


def _counts(rows: Sequence[ScoredRow], labels: Sequence[str], task: Task | None) -> NDArray[np.int64]:
    return confusion_by_post(rows, labels) if task is None else counts_by_post(rows, task)


def _high_risk_counts(rows: Sequence[ScoredRow], task: Task) -> NDArray[np.int64]:
    """Hits, gold and predicted of the high-risk label by post, shape (posts, 1, 3)."""
    posts = post_indices([row.post_id for row in rows])
    counts = np.zeros((int(posts.max(initial=-1)) + 1, 1, 3), dtype=np.int64)
    for post, row in zip(posts, rows, strict=True):
        gold, predicted = (high_risk_parts(task, answer) for answer in (row.gold, row.predicted))
        counts[post, 0] += (len(gold & predicted), len(gold), len(predicted))
    return counts


def adjust_over_sets(differences: Mapping[Key, PairedDifference]) -> dict[Key, PairedDifference]:
    """The differences of two systems on several sets, with p-values corrected for the number of sets (Holm)."""
    tested = {key: part.bootstrap_p for key, part in differences.items() if part.bootstrap_p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {key: replace(part, adjusted_p=adjusted.get(key)) for key, part in differences.items()}


def _recall(
    counts: NDArray[np.int64],
    totals: Callable[[NDArray[np.int64]], ClassTotals],
    index: int,
    label: str,
    resampling: Resampling,
) -> RecallDifference | None:
    """Difference in recall of the class at `index`; None if no row has it."""
    rows = int(totals(counts).gold[:, 0, index].sum())
    if not rows:
        return None

    def difference(sums: NDArray[np.int64]) -> NDArray[np.float64]:
        classes = totals(sums)
        hits, gold = classes.hits[..., index], classes.gold[..., index]
        recall = np.divide(hits, gold, out=np.full(gold.shape, np.nan), where=gold > 0)
        gained: NDArray[np.float64] = 100 * (recall[..., 1] - recall[..., 0])
        return gained

    interval = bootstrap_interval(counts, difference, resampling)
    return RecallDifference(label, rows, float(difference(counts.sum(axis=0))), interval)

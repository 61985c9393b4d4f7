"""Classification metrics over confusion counts: gold label x (predicted label, outcomes without a label).

The F1 of a label is 2·hits / (gold + predicted), where `gold` and `predicted` count its rows in the gold labels and in
the predictions; it is 0 for a gold label that is never hit. Averages over labels:

- weighted: by the label's gold rows. A label that is only predicted has weight 0.
- macro: over the labels that occur in the gold labels or the predictions.
- micro: F1 of the summed hits, gold and predicted rows. Equals accuracy if every answer has a label.

These are scikit-learn's definitions (`f1_score(..., labels=occurring, zero_division=0)`). Rows without a predicted
label are misses of the gold label and never a class of their own. Scores are in percent, 0-100, unless stated
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ConfusionCounts = NDArray[np.int64]
"""Rows by gold and predicted label, shape (..., labels, labels + k); the last k >= 0 columns count rows without a
label."""

SCORE_DECIMALS = 4
"""Decimals of scores in files: a weighted F1 is quoted with two, and its bootstrap interval varies in the third."""


def confusion_counts(truth: ArrayLike, predicted: ArrayLike, shape: tuple[int, ...]) -> ConfusionCounts:
    """Count (row index, column index) pairs into a table of the given shape (labels, columns)."""
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, (np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)), 1)
    return counts


def hits_and_totals(counts: ConfusionCounts) -> tuple[ConfusionCounts, ConfusionCounts, ConfusionCounts]:
    """Number of hits, gold rows and predicted rows of each label; three arrays of shape (..., labels)."""
    size = counts.shape[-2]
    square = counts[..., :size]
    return np.diagonal(square, axis1=-2, axis2=-1), counts.sum(axis=-1), square.sum(axis=-2)


def f1_by_label(counts: ConfusionCounts) -> NDArray[np.float64]:
    """F1 of each label, 0-1, shape (..., labels); 0 for labels in neither gold nor predictions."""
    hits, gold, predicted = hits_and_totals(counts)
    total = gold + predicted
    scores: NDArray[np.float64] = np.divide(2 * hits, total, out=np.zeros(total.shape), where=total > 0)
    return scores


def weighted_f1(counts: ConfusionCounts) -> NDArray[np.float64]:
    """Weighted F1 of each table in a stack; shape (...)."""
    return 100 * _weighted_mean_f1(counts)


def weighted_f1_of_labels(truth: Sequence[object], predicted: Sequence[object]) -> float:
    """Weighted F1, 0-1, of label pairs; 0 if there are none. A prediction that is no label of `truth` is only a miss.

    >>> weighted_f1_of_labels(["yes", "yes", "no", "no"], ["yes", "unparsed", "no", "yes"])
    0.5833333333333333
    """
    if not len(truth):
        return 0.0
    labels, indices = np.unique([*truth, *predicted], return_inverse=True)
    shape = (len(labels), len(labels))
    return float(_weighted_mean_f1(confusion_counts(indices[: len(truth)], indices[len(truth) :], shape)))


def macro_f1(counts: ConfusionCounts) -> float:
    """Mean F1 over the labels that occur in the gold labels or the predictions."""
    _, gold, predicted = hits_and_totals(counts)
    return 100 * float(f1_by_label(counts)[gold + predicted > 0].mean())


def micro_f1(counts: ConfusionCounts) -> float:
    """F1 of all labels pooled."""
    hits, gold, predicted = hits_and_totals(counts)
    return 100 * 2 * int(hits.sum()) / int(gold.sum() + predicted.sum())


def accuracy(counts: ConfusionCounts) -> float:
    """Share of hits among all rows, including those without a predicted label."""
    hits, gold, _ = hits_and_totals(counts)
    return 100 * int(hits.sum()) / int(gold.sum())


def percent(part: int, whole: int) -> float | None:
    """`part` in percent of `whole`, rounded for files; None if `whole` is 0."""
    return round_score(100 * part / whole) if whole else None


def round_score(value: float) -> float:
    """Round to `SCORE_DECIMALS`, for files."""
    return round(value, SCORE_DECIMALS)


def round_interval(ends: tuple[float, float] | None, factor: float = 1.0) -> tuple[float, float] | None:
    """Both ends times `factor`, rounded for files; None for None."""
    return None if ends is None else (round_score(factor * ends[0]), round_score(factor * ends[1]))


def _weighted_mean_f1(counts: ConfusionCounts) -> NDArray[np.float64]:
    """Weighted F1, 0-1, of each table in a stack; shape (...)."""
    gold = counts.sum(axis=-1)
    mean: NDArray[np.float64] = (f1_by_label(counts) * gold).sum(axis=-1) / gold.sum(axis=-1)
    return mean

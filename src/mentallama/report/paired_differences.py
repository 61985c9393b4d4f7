"""Differences between two runs that were scored on the same rows, with intervals that resample posts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mentallama.evaluate.scores import ScoredRow, confusion_by_post
from mentallama.metrics.bootstrap import Resampling, bootstrap_interval
from mentallama.metrics.classification import weighted_f1

RowPair = tuple[ScoredRow, ScoredRow]


@dataclass(frozen=True)
class PairedDifference:
    """Weighted F1 of a second run minus that of a first, in points.

    `interval` is the bootstrap interval of the difference; None with fewer than two posts. `only_first` and
    `only_second` count the rows that only one of the two runs got right.
    """

    rows: int
    difference: float
    interval: tuple[float, float] | None
    only_first: int
    only_second: int


def pair_rows(first: Sequence[ScoredRow], second: Sequence[ScoredRow]) -> list[RowPair] | str:
    """Pair the rows of two runs on one set by post and question, or say why they are not the same rows.

    Equal texts that a set asks about twice are paired in their order.
    """
    waiting: defaultdict[tuple[str, str], list[ScoredRow]] = defaultdict(list)
    for row in reversed(second):
        waiting[row.post_id, row.question].append(row)
    pairs = [
        (row, waiting[row.post_id, row.question].pop())
        for row in first
        if waiting.get((row.post_id, row.question))
    ]
    if len(pairs) < max(len(first), len(second)):
        return f"other rows: {len(first):,} and {len(second):,}, of which {len(pairs):,} are the same"
    differing = sum(one.gold != other.gold for one, other in pairs)
    return f"other labels on {differing:,} of {len(pairs):,} rows" if differing else pairs


def paired_difference(
    pairs: Sequence[RowPair], labels: Sequence[str], resampling: Resampling
) -> PairedDifference:
    """The difference of two runs over pairs of rows; `labels` are those of the set, in its order."""
    first, second = zip(*pairs, strict=True)
    # Post ids and their order are the same in both, so the counts of one post have the same index.
    counts = np.stack([confusion_by_post(rows, labels) for rows in (first, second)], axis=1)

    def difference(sums: NDArray[np.int64]) -> NDArray[np.float64]:
        scores = weighted_f1(sums)
        gained: NDArray[np.float64] = scores[..., 1] - scores[..., 0]
        return gained

    return PairedDifference(
        rows=len(pairs),
        difference=float(difference(counts.sum(axis=0))),
        interval=bootstrap_interval(counts, difference, resampling),
        only_first=sum(one.correct and not other.correct for one, other in pairs),
        only_second=sum(other.correct and not one.correct for one, other in pairs),
    )

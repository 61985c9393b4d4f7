"""Differences between two systems that were scored on the same rows: intervals that resample posts, tests, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mentallama.evaluate.scores import ScoredRow, confusion_by_post
from mentallama.metrics.bootstrap import Interval, Resampling, bootstrap_distribution, bootstrap_interval
from mentallama.metrics.classification import hits_and_totals, weighted_f1
from mentallama.metrics.significance import ALPHA, bootstrap_p_value, holm, mcnemar_exact
from mentallama.report.comparison.systems import RowKey

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
) -> PairedDifference:
    """The difference of two systems over pairs of rows; `labels` are those of the set, in its order."""
    first = [one for one, _ in pairs]
    # Ids of posts differ between systems; with those of the first, counts of one post have the same index in both.
    second = [other.model_copy(update={"post_id": one.post_id}) for one, other in pairs]
    counts = np.stack([confusion_by_post(rows, labels) for rows in (first, second)], axis=1)
    total = counts.sum(axis=0)
    f1 = bootstrap_distribution(counts, _f1_difference, resampling)
    only_first = sum(one.correct and not other.correct for one, other in pairs)
    only_second = sum(other.correct and not one.correct for one, other in pairs)
    return PairedDifference(
        rows=len(pairs),
        difference=float(_f1_difference(total)),
        interval=None if f1 is None else f1.interval(resampling.confidence),
        only_first=only_first,
        only_second=only_second,
        mcnemar_p=mcnemar_exact(only_first, only_second),
        bootstrap_p=None if f1 is None else bootstrap_p_value(f1),
        recall=None if high_risk_label is None else _recall(counts, labels, high_risk_label, resampling),
    )


def adjust_over_sets(differences: Mapping[Key, PairedDifference]) -> dict[Key, PairedDifference]:
    """The differences of two systems on several sets, with p-values corrected for the number of sets (Holm)."""
    tested = {key: part.bootstrap_p for key, part in differences.items() if part.bootstrap_p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {key: replace(part, adjusted_p=adjusted.get(key)) for key, part in differences.items()}


def _recall(
    counts: NDArray[np.int64], labels: Sequence[str], label: str, resampling: Resampling
) -> RecallDifference | None:
    index = labels.index(label)
    rows = int(counts[:, 0, index].sum())
    if not rows:
        return None

    def difference(sums: NDArray[np.int64]) -> NDArray[np.float64]:
        hits, gold, _ = (column[..., index] for column in hits_and_totals(sums))
        recall = np.divide(hits, gold, out=np.full(gold.shape, np.nan), where=gold > 0)
        gained: NDArray[np.float64] = 100 * (recall[..., 1] - recall[..., 0])
        return gained

    interval = bootstrap_interval(counts, difference, resampling)
    return RecallDifference(label, rows, float(difference(counts.sum(axis=0))), interval)


def _f1_difference(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    scores = weighted_f1(sums)
    gained: NDArray[np.float64] = scores[..., 1] - scores[..., 0]
    return gained

"""Answers as numbers: for each row the level that gold answer and prediction give to each part of the answer.

An answer without a label (unparsed, refused or truncated) decides nothing. It is not an answer of absent labels, nor of
lowest levels: metrics that count right decisions count all of its parts as wrong, and metrics of the distance between
levels leave it out, because no level was given that could be near or far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.classification import hits_and_totals
from mentallama.metrics.kinds.typed_spans import SpanCounts

Indices = NDArray[np.int64]

NOT_FILLED = -1
"""Instead of the index of a level: the item of a scale is not filled."""


@dataclass(frozen=True)
class AnswerLevels:
    """Gold and predicted levels of rows x parts, as indices of levels, or `NOT_FILLED`.

    `answered` (rows,) says which rows have an answer; a row without one is not filled in `predicted`. `level_scores`
    are the numbers of the levels, such as 0 to 3, where the levels are ordered.
    """

    gold: Indices
    predicted: Indices
    answered: NDArray[np.bool_]
    level_scores: tuple[int, ...] = ()

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """Where both have a level, (rows, parts)."""
        both: NDArray[np.bool_] = (self.gold != NOT_FILLED) & (self.predicted != NOT_FILLED)
        return both & self.answered[:, None]

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Where an answer gives the gold level, or leaves open what the gold answer leaves open, (rows, parts)."""
        equal: NDArray[np.bool_] = self.gold == self.predicted
        return equal & self.answered[:, None]

    def scores(self, levels: Indices) -> NDArray[np.float64]:
        """The numbers of levels that are all filled."""
        return np.asarray(self.level_scores, dtype=np.float64)[levels]

    def score_pairs(self, part: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gold and predicted numbers of the rows where both have a level of the part."""
        both = self.comparable[:, part]
        return self.scores(self.gold[both, part]), self.scores(self.predicted[both, part])


@dataclass(frozen=True)
class ClassTotals:
    """Hits, gold and predicted of each class, whose F1 is 2 hits / (gold + predicted); arrays of shape (..., classes).

    The classes of a single label are the labels. Those of other answers are what an answer can state: a label is
    present, an item has a level, a token lies in a quotation of a type.
    """

    hits: Indices
    gold: Indices
    predicted: Indices

    @classmethod
    def of_confusion(cls, counts: Indices) -> ClassTotals:
        """From confusion counts, shape (..., labels, columns)."""
        return cls(*hits_and_totals(counts))

    @classmethod
    def of_counts(cls, counts: Indices) -> ClassTotals:
        """From counts of hits, gold and predicted, shape (..., classes, 3)."""
        return cls(counts[..., 0], counts[..., 1], counts[..., 2])

    def of_classes(self, classes: slice) -> ClassTotals:
        """The same of some of the classes."""
        return ClassTotals(self.hits[..., classes], self.gold[..., classes], self.predicted[..., classes])

    def f1(self) -> NDArray[np.float64]:
        """F1 of each class, 0-1; 0 for one in neither gold answers nor predictions."""
        total = self.gold + self.predicted
        scores: NDArray[np.float64] = np.divide(
            2 * self.hits, total, out=np.zeros(total.shape), where=total > 0
        )
        return scores

    def weighted_f1(self) -> NDArray[np.float64]:
        """Mean of F1 weighted by gold counts, in percent, shape (...); NaN where no class occurs in gold answers."""
        support = self.gold.sum(axis=-1)
        summed = (self.f1() * self.gold).sum(axis=-1)
        mean: NDArray[np.float64] = np.divide(
            summed, support, out=np.full(support.shape, np.nan), where=support > 0
        )
        return 100 * mean

    def macro_f1(self) -> float | None:
        """Mean of F1 over the classes that occur, in percent; None if none does."""
        occurs = self.gold + self.predicted > 0
        return 100 * float(self.f1()[occurs].mean()) if occurs.any() else None

    def micro_f1(self) -> float | None:
        """F1 of all classes pooled, in percent; None if none occurs."""
        total = int(self.gold.sum() + self.predicted.sum())
        return 100 * 2 * int(self.hits.sum()) / total if total else None


def stated_levels(levels: Indices, answered: NDArray[np.bool_], n_levels: int, first: int) -> Indices:
    """Whether each row states each class, 0 or 1, shape (rows, parts x stated levels).

    A class is a part with a level from `first` on: with `first` 1, the lowest level, absent, is no class.
    """
    stated: NDArray[np.bool_] = levels[:, :, None] == np.arange(first, n_levels)
    return (stated & answered[:, None, None]).reshape(len(levels), -1).astype(np.int64)


def class_counts(answers: AnswerLevels, n_levels: int, first: int) -> Indices:
    """Hits, gold and predicted of each row and class, shape (rows, classes, 3); classes as in `stated_levels`."""
    everyone = np.ones(len(answers.gold), dtype=bool)
    gold = stated_levels(answers.gold, everyone, n_levels, first)
    predicted = stated_levels(answers.predicted, answers.answered, n_levels, first)
    return np.stack([gold * predicted, gold, predicted], axis=-1)


@dataclass(frozen=True)
class ScaleSums:
    """Sum and band of the answer of each row; NaN and None where an answer has no sum. No bands where there are none.

    `gold` and `predicted` have shape (rows,).
    """

    gold: NDArray[np.float64]
    predicted: NDArray[np.float64]
    gold_bands: tuple[str | None, ...] = ()
    predicted_bands: tuple[str | None, ...] = ()

    def pairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gold and predicted sums of the rows that have both."""
        both = ~(np.isnan(self.gold) | np.isnan(self.predicted))
        return self.gold[both], self.predicted[both]


NO_SUMS = ScaleSums(np.empty(0), np.empty(0))
"""Sums of answers of other kinds than scale."""


@dataclass(frozen=True)
class ScoredAnswers:
    """The input of the metrics of a set's rows.

    `exact` of the `rows` have an answer that is right in all its parts. `classes` are summed over the rows, and
    `classes_per_part` of them belong to each part. `sums` are those of a scale, `spans` the matches of each type of
    quotation, summed over the rows.
    """

    rows: int
    exact: int
    classes: ClassTotals
    classes_per_part: int
    levels: AnswerLevels
    sums: ScaleSums = NO_SUMS
    spans: tuple[SpanCounts, ...] = ()

    def of_part(self, part: int) -> ScoredAnswers:
        """The same of one part of the answers."""
        one = slice(part, part + 1)
        classes = slice(part * self.classes_per_part, (part + 1) * self.classes_per_part)
        levels = replace(self.levels, gold=self.levels.gold[:, one], predicted=self.levels.predicted[:, one])
        return replace(
            self,
            exact=int(levels.right.sum()),
            classes=self.classes.of_classes(classes),
            levels=levels,
            sums=NO_SUMS,
            spans=self.spans[one],
        )

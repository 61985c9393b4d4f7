"""Metrics of filled scales: the items, their sum, and the band that the sum lies in.

A sum exists only where every item is filled, in the gold answer and in the prediction: an item that is left open is
counted and never taken as the lowest level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.kinds.answer_levels import AnswerLevels
from mentallama.metrics.kinds.ordinal import Floats, mean_absolute_error, quadratic_weighted_kappa


def mean_over_items(answers: AnswerLevels, metric: Callable[[Floats, Floats], float | None]) -> float | None:
    """Unweighted mean of a metric of gold and predicted numbers over the items for which it is defined; else None."""
    values = [metric(*answers.score_pairs(part)) for part in range(answers.gold.shape[1])]
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def mean_item_kappa(answers: AnswerLevels) -> float | None:
    """Mean over the items of quadratic weighted kappa."""
    return mean_over_items(answers, quadratic_weighted_kappa)


def mean_item_error(answers: AnswerLevels) -> float | None:
    """Mean over the items of the mean absolute error."""
    return mean_over_items(answers, mean_absolute_error)


def complete_sums(answers: AnswerLevels) -> tuple[Floats, Floats]:
    """Sums of the numbers of the levels, gold and predicted, of the rows where both fill every item."""
    complete = answers.comparable.all(axis=1)
    gold, predicted = (
        answers.scores(levels[complete]).sum(axis=1) for levels in (answers.gold, answers.predicted)
    )
    return gold, predicted


def band_indices(sums: Floats, lowest_sums: Sequence[int]) -> NDArray[np.int64]:
    """Index of the band of each sum, given the lowest sum of each band in ascending order; -1 below the first.

    >>> band_indices(np.array([4.0, 5.0, 27.0]), [0, 5, 10, 15, 20]).tolist()
    [0, 1, 4]
    """
    return np.searchsorted(np.asarray(lowest_sums), sums, side="right") - 1


def band_accuracy(answers: AnswerLevels, lowest_sums: Sequence[int]) -> float | None:
    """Share of rows whose predicted sum lies in the band of the gold sum, in percent.

    Of all rows whose gold answer is complete: a prediction without a sum has no band and is wrong. None if there are no
    bands, or no gold answer is complete.
    """
    n_gold = int((answers.gold >= 0).all(axis=1).sum())
    if not n_gold or not lowest_sums:
        return None
    gold, predicted = (band_indices(sums, lowest_sums) for sums in complete_sums(answers))
    return 100 * int((gold == predicted).sum()) / n_gold

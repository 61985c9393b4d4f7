"""Metrics of filled scales: the items, their sum, and the band that the sum lies in.

Sums and bands are given (`ScaleSums`): they follow the rule of the scale. A sum exists only where every item is filled:
one that is left open is counted and never taken as the lowest level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mentallama.metrics.kinds.answer_levels import AnswerLevels, ScaleSums
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


def band_accuracy(sums: ScaleSums) -> float | None:
    """Share of rows whose predicted sum lies in the band of the gold sum, in percent.

    Of all rows whose gold answer has a sum: a prediction without one has no band and is wrong. None if there are no
    bands, or no gold answer has a sum.
    """
    bands = [pair for pair in zip(sums.gold_bands, sums.predicted_bands, strict=True) if pair[0] is not None]
    return 100 * sum(gold == predicted for gold, predicted in bands) / len(bands) if bands else None

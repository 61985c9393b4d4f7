"""Metrics of ordered levels: how far predictions are from the gold levels, in the numbers of the levels.

Two sequences of numbers go in, those of the gold levels and of the predicted ones. An answer without a level has no
number; see `worst_case_absolute_error` for what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.correlation import WeightedCorrelation, pearson, spearman

Floats = NDArray[np.float64]


def quadratic_weighted_kappa(gold: Floats, predicted: Floats) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 for equal levels, 0 for chance, below 0 for less.

    It is 1 minus the mean squared distance of the pairs, by that of every gold number from every predicted one. The
    weights are distances of the levels' numbers; scikit-learn's `cohen_kappa_score` takes levels as equally spaced,
    and gives the same where they are.

    Returns
    -------
    float or None
        None if there is no pair, or all numbers are equal, so that chance agreement is perfect.

    Examples
    --------
    >>> quadratic_weighted_kappa(np.array([0.0, 1, 2]), np.array([0.0, 1, 1]))
    0.6666666666666666
    """
    if not len(gold):
        return None
    expected = float(gold.var() + predicted.var() + (gold.mean() - predicted.mean()) ** 2)
    return 1 - float(((gold - predicted) ** 2).mean()) / expected if expected > 0 else None


def mean_absolute_error(gold: Floats, predicted: Floats) -> float | None:
    """Mean distance of prediction and gold in the numbers of the levels, 0 best; None if there is no pair.

    >>> mean_absolute_error(np.array([0.0, 1, 2]), np.array([0.0, 2, 0]))
    1.0
    """
    return float(np.abs(gold - predicted).mean()) if len(gold) else None


def worst_case_absolute_error(
    gold: Floats, predicted: Floats, unanswered: Floats, level_scores: Sequence[int]
) -> float | None:
    """Mean absolute error where each answer without a level counts as the level that is furthest from the gold one.

    The error of all rows lies between 0 for these answers, and this. A model that is silent on hard posts has a low
    mean absolute error, and not a low one of these.

    Parameters
    ----------
    unanswered
        Gold numbers of the rows whose answer has no level.

    Examples
    --------
    >>> worst_case_absolute_error(np.array([0.0]), np.array([1.0]), np.array([1.0]), (0, 1, 2, 3))
    1.5
    """
    if not len(gold) + len(unanswered):
        return None
    furthest = np.maximum(unanswered - min(level_scores), max(level_scores) - unanswered)
    return float((np.abs(gold - predicted).sum() + furthest.sum()) / (len(gold) + len(unanswered)))


def rank_correlation(gold: Floats, predicted: Floats) -> float | None:
    """Spearman's rank correlation, -1 to 1; None if there are fewer than two pairs, or either does not vary."""
    return _correlation(spearman, gold, predicted)


def linear_correlation(gold: Floats, predicted: Floats) -> float | None:
    """Pearson's correlation, -1 to 1; None as for `rank_correlation`."""
    return _correlation(pearson, gold, predicted)


def _correlation(method: WeightedCorrelation, gold: Floats, predicted: Floats) -> float | None:
    if len(gold) < 2:
        return None
    value = float(method(gold, predicted, np.ones((1, len(gold))))[0])
    return None if np.isnan(value) else value

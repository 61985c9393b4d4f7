"""Ordered levels of a linear head: an adjacent-categories logit model (Agresti 2010, section 4.1).

The log-odds of each level against the next lower one are `score + constant`, where the score is linear in the words of
a post. So a single weight per feature moves all levels, as in the proportional-odds model, and the odds of "this level
or a higher one" rise with the score for every level. Unlike cumulative logits it is a softmax, with logits
`number of the level * score + intercept`: a head of this kind is stored and calibrated like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_BISECTIONS = 100
"""Halvings of the interval in which the usual score is searched; floats allow no more."""


@dataclass(frozen=True)
class LevelScale:
    """The logits of levels as a function of a score: `numbers * score + intercepts`.

    `numbers` has shape (levels,), ascending; its first and last differ by 1. `usual_score` is the score at which the
    mean level is that of the label prior: the baseline from which the words of a post are counted.
    """

    numbers: FloatArray
    intercepts: FloatArray
    usual_score: float

    @classmethod
    def of_weights(cls, weights: FloatArray, intercepts: FloatArray, prior: FloatArray) -> LevelScale:
        """Recover the numbers from weights of shape (features, levels), which are their outer product with one vector.

        A head whose weights are all 0 has evenly spaced numbers.
        """
        direction = weights[:, -1] - weights[:, 0]
        length = float(direction @ direction)
        even = np.linspace(-0.5, 0.5, len(intercepts))
        numbers = weights.T @ direction / length if length else even
        return cls(numbers, intercepts, _score_of_mean(numbers, intercepts, float(numbers @ prior)))

    def log_odds(self, score: float, level: int) -> float:
        """Log-odds of a level, log p / (1 - p), at a score."""
        logits = self.numbers * score + self.intercepts
        others = np.delete(logits, level)
        return float(logits[level] - np.logaddexp.reduce(others))

    def slope(self, score: float, level: int) -> float:
        """Derivative of `log_odds` by the score: the level's number minus the mean number of the others."""
        logits = np.delete(self.numbers * score + self.intercepts, level)
        others = np.exp(logits - np.logaddexp.reduce(logits))
        return float(self.numbers[level] - others @ np.delete(self.numbers, level))


def _score_of_mean(numbers: FloatArray, intercepts: FloatArray, mean: float) -> float:
    """The score at which the mean of the numbers is `mean`; it rises with the score, so bisection finds it."""
    low, high = -1.0, 1.0
    while _mean(numbers, intercepts, low) > mean:
        low *= 2
    while _mean(numbers, intercepts, high) < mean:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean(numbers, intercepts, middle) < mean else (low, middle)
    return (low + high) / 2


def _mean(numbers: FloatArray, intercepts: FloatArray, score: float) -> float:
    logits = numbers * score + intercepts
    return float(numbers @ np.exp(logits - np.logaddexp.reduce(logits)))

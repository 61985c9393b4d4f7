"""Correlation of a metric with ratings: Pearson, Spearman and Kendall, with intervals that resample posts.

A resample is a weight per item, how often the item was drawn. Ranks and pairs are those of the resample, not of the
whole: each function equals scipy's on the items repeated by their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mentallama.metrics.bootstrap import Resampling, percentile_interval, resampled_weights
from mentallama.records import Record

Floats = NDArray[np.float64]
WeightedCorrelation = Callable[[Floats, Floats, Floats], Floats]
"""Correlation of two variables (items,) under weights (resamples, items): a value per resample, NaN if undefined."""

NO_VARIANCE = "one of the variables does not vary"

_PAIRS_PER_BLOCK = 1_000_000
"""Pairs of items that Kendall's tau holds in memory at a time (8 MB an array)."""


class CorrelationScore(Record):
    """A correlation over `items` items and its percentile interval over posts; `reason` says why there is no value.

    The interval is None where there is no value, where there are fewer than two posts, or where fewer than nine in ten
    resamples have a value.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    items: int
    reason: str | None = None


def pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Pearson's product-moment correlation."""
    return _weighted_pearson(np.broadcast_to(x, weights.shape), np.broadcast_to(y, weights.shape), weights)


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's rank correlation; equal values share their mean rank."""
    return _weighted_pearson(_mean_ranks(x, weights), _mean_ranks(y, weights), weights)


def kendall(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b, which allows for ties (Kendall 1945). Its time is quadratic in the items, its memory is not."""
    sums = np.zeros(
        (3, len(weights))
    )  # concordant less discordant pairs, pairs untied in x, pairs untied in y
    step = max(1, _PAIRS_PER_BLOCK // len(x))
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        sign_x, sign_y = (np.sign(values[block, None] - values[None, :]) for values in (x, y))
        for row, signs in enumerate((sign_x * sign_y, sign_x**2, sign_y**2)):
            sums[row] += ((weights[:, block] @ signs) * weights).sum(axis=1)
    scale = np.sqrt(sums[1] * sums[2])
    return _quotient(sums[0], scale, scale > 0)


CORRELATIONS: dict[str, WeightedCorrelation] = {"pearson": pearson, "spearman": spearman, "kendall": kendall}
"""Correlation coefficients by name, in the order of tables."""


def correlate(
    method: str, x: ArrayLike, y: ArrayLike, posts: Sequence[str], resampling: Resampling
) -> CorrelationScore:
    """Correlation of two variables over the same items; `posts` names the post of each item."""
    return correlate_all([method], x, y, posts, resampling)[method]


def correlate_all(
    methods: Sequence[str], x: ArrayLike, y: ArrayLike, posts: Sequence[str], resampling: Resampling
) -> dict[str, CorrelationScore]:
    """The correlations named by `methods`, see `CORRELATIONS`.

    >>> score = correlate_all(["kendall"], [1, 2, 3], [1, 3, 2], ["a", "b", "c"], Resampling())["kendall"]
    >>> round(score.value, 4), score.items
    (0.3333, 3)
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    functions = {name: _of_pair(CORRELATIONS[name], first, second) for name in methods}
    return _with_intervals(functions, np.stack([first, second], axis=1), posts, resampling)


def correlation_difference(
    method: str,
    x: ArrayLike,
    other: ArrayLike,
    y: ArrayLike,
    posts: Sequence[str],
    resampling: Resampling,
) -> CorrelationScore:
    """How much higher `x` correlates with `y` than `other` does; its interval draws the same posts for both."""
    first, second, common = (np.asarray(values, np.float64) for values in (x, other, y))
    correlation = CORRELATIONS[method]

    def difference(weights: Floats) -> Floats:
        return correlation(first, common, weights) - correlation(second, common, weights)

    data = np.stack([first, second, common], axis=1)
    return _with_intervals({method: difference}, data, posts, resampling)[method]


def leave_one_rater_out(
    methods: Sequence[str], ratings: Floats, posts: Sequence[str], resampling: Resampling
) -> dict[str, CorrelationScore]:
    """Mean over raters of the correlation of one rater with the mean of the others: a ceiling for metrics.

    Parameters
    ----------
    ratings
        Shape (items, raters). Items that lack a rating (NaN) are left out.
    """
    complete = np.flatnonzero(~np.isnan(ratings).any(axis=1))
    kept = ratings[complete]
    raters = range(ratings.shape[1])
    others = [
        np.delete(kept, rater, axis=1).mean(axis=1) if len(raters) > 1 else kept[:, 0] for rater in raters
    ]

    def mean_of_raters(method: WeightedCorrelation) -> Callable[[Floats], Floats]:
        return lambda weights: np.mean([method(kept[:, r], others[r], weights) for r in raters], axis=0)

    if len(raters) < 2:
        score = CorrelationScore(value=None, items=len(kept), reason="there is one rater")
        return dict.fromkeys(methods, score)
    return _with_intervals(
        {name: mean_of_raters(CORRELATIONS[name]) for name in methods},
        kept,
        [posts[row] for row in complete],
        resampling,
    )


def _of_pair(method: WeightedCorrelation, x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    return lambda weights: method(x, y, weights)


def _with_intervals(
    functions: dict[str, Callable[[Floats], Floats]],
    data: Floats,
    posts: Sequence[str],
    resampling: Resampling,
) -> dict[str, CorrelationScore]:
    """The value and the interval of each function of the weights; `data` (items, variables) is for the reasons."""
    items = len(data)
    reason = _why_undefined(data)
    if reason is not None:
        return {name: CorrelationScore(value=None, items=items, reason=reason) for name in functions}
    numbers = {post: number for number, post in enumerate(dict.fromkeys(posts))}
    drawn: dict[str, list[Floats]] = {name: [] for name in functions}
    if len(numbers) > 1:
        for weights in resampled_weights(np.array([numbers[post] for post in posts]), resampling):
            for name, function in functions.items():
                drawn[name].append(function(weights))
    return {
        name: _score(function(np.ones((1, items))), drawn[name], (items, len(numbers)), resampling)
        for name, function in functions.items()
    }


def _score(
    value: Floats, drawn: Sequence[Floats], sizes: tuple[int, int], resampling: Resampling
) -> CorrelationScore:
    """The score of a value; `sizes` are the numbers of items and of posts."""
    items, posts = sizes
    if np.isnan(value[0]):
        return CorrelationScore(value=None, items=items, reason=NO_VARIANCE)
    interval = percentile_interval(np.concatenate(drawn), resampling.confidence, posts) if drawn else None
    return CorrelationScore(value=float(value[0]), interval=interval, items=items)


def _why_undefined(data: Floats) -> str | None:
    if len(data) < 2:
        return "fewer than two items"
    return NO_VARIANCE if (data == data[0]).all(axis=0).any() else None


def _mean_ranks(values: Floats, weights: Floats) -> Floats:
    """Rank of each item in each resample, (resamples, items); items of weight 0 get the rank they would have."""
    unique, position = np.unique(values, return_inverse=True)
    order = np.argsort(position, kind="stable")
    starts = np.searchsorted(position[order], np.arange(len(unique)))
    by_value = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (by_value.cumsum(axis=1) - by_value / 2)[:, position]
    return ranks


def _weighted_pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)  # no item drawn: every sum is 0
    centred_x, centred_y = (
        values - (weights * values).sum(axis=1, keepdims=True) / total for values in (x, y)
    )
    product, square_x, square_y = (
        (weights * a * b).sum(axis=1)
        for a, b in ((centred_x, centred_y), (centred_x, centred_x), (centred_y, centred_y))
    )
    # a resample of equal values has no variance but that of rounding
    tolerance = [1e-13 * (weights * values**2).sum(axis=1) for values in (x, y)]
    defined = (square_x > tolerance[0]) & (square_y > tolerance[1])
    scale = np.sqrt(square_x * square_y)
    return np.clip(_quotient(product, scale, defined), -1.0, 1.0)


def _quotient(above: Floats, below: Floats, defined: NDArray[np.bool_]) -> Floats:
    """Element-wise quotient, NaN where it is not defined."""
    quotient: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=defined)
    return quotient

"""Bootstrap confidence intervals that resample posts.

Posts are resampled rather than rows: if a set asks several questions about a post, the post's rows are correlated, and
an interval that resamples rows would be too narrow.

An interval is an expanded percentile interval (Hesterberg 2015, "What Teachers Should Know About the Bootstrap",
section 5.3): its percentiles are those of Student's t with posts - 1 degrees of freedom. A plain percentile interval is
too narrow by the factor sqrt((posts - 1) / posts) and by what t exceeds the normal distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mentallama.records import Record

Interval = tuple[float, float]

Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Function from summed counts, shape (resamples, ...), to one or more numbers per resample, shape (resamples, ...).
NaN where a resample's counts do not determine it."""

MAX_DRAWN_INDICES = 4_000_000
"""Maximum number of drawn indices in memory at a time (32 MB)."""

MIN_DEFINED_SHARE = 0.9
"""Resamples in which a statistic must be defined for an interval."""

INDICES_PER_BINOMIAL = 16
"""Drawing how often one kind of post is drawn takes about as long as drawing this many posts."""


class Resampling(Record):
    """Settings of an interval. With 1,000 resamples each end has a standard error of about 0.1 points of F1."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class BootstrapDistribution:
    """A statistic of the observed counts, `estimate`, and of each resample, `values` of shape (resamples, ...)."""

    posts: int
    estimate: NDArray[np.float64]
    values: NDArray[np.float64]

    def interval(self, confidence: float) -> Interval | None:
        """Interval of a statistic of one number per resample."""
        return percentile_interval(self.values, confidence, self.posts)


def bootstrap_distribution(
    counts_by_post: NDArray[Any], statistic: Statistic, resampling: Resampling
) -> BootstrapDistribution | None:
    """The bootstrap distribution of a statistic of summed counts; None if there are fewer than two posts.

    Parameters
    ----------
    counts_by_post
        Counts, or sums, of each post, shape (posts, ...). A resample's are sums over the posts drawn.
    statistic
        Vectorised over the first axis.
    """
    posts = len(counts_by_post)
    if posts < 2:
        return None
    shape = counts_by_post.shape[1:]
    sums = np.concatenate(list(_resampled_sums(counts_by_post.reshape(posts, -1), resampling)))
    return BootstrapDistribution(
        posts=posts,
        estimate=statistic(counts_by_post.sum(axis=0, keepdims=True))[0],
        values=statistic(sums.reshape(-1, *shape)),
    )


def bootstrap_interval(
    counts_by_post: NDArray[Any], statistic: Statistic, resampling: Resampling
) -> Interval | None:
    """Interval of a statistic of summed counts, as for `bootstrap_distribution`.

    Returns
    -------
    tuple of float, or None
        Lower and upper end in the statistic's unit; None if there are fewer than two posts, or if the statistic is
        undefined in more than one resample in ten.
    """
    distribution = bootstrap_distribution(counts_by_post, statistic, resampling)
    return None if distribution is None else distribution.interval(resampling.confidence)


def mean_interval(values: ArrayLike, posts: Sequence[str], resampling: Resampling) -> Interval | None:
    """Interval of the mean of one value per row, as `mean_intervals` computes it."""
    return mean_intervals(np.asarray(values, dtype=np.float64)[:, None], posts, resampling)[0]


def mean_intervals(
    values: NDArray[np.float64], posts: Sequence[str], resampling: Resampling
) -> list[Interval | None]:
    """Intervals of the means of columns of values, where rows of the same post are drawn together.

    Parameters
    ----------
    values
        Shape (rows, columns); NaN where a row has no value in a column.
    posts
        The id of the post that each row is about.

    Returns
    -------
    list of tuples, or None
        Lower and upper end for each column; None if fewer than two posts have a value.
    """
    known = ~np.isnan(values)
    index = post_indices(posts)
    n_posts = int(index.max(initial=-1)) + 1
    sums = np.zeros((n_posts, 2, values.shape[1]))
    np.add.at(sums, index, np.stack([np.where(known, values, 0.0), known], axis=1))
    distribution = bootstrap_distribution(sums, _ratio, resampling)
    if distribution is None:
        return [None] * values.shape[1]
    with_value = (sums[:, 1] > 0).sum(axis=0).tolist()
    return [
        percentile_interval(distribution.values[:, column], resampling.confidence, n)
        for column, n in enumerate(with_value)
    ]


def percentile_interval(values: NDArray[np.float64], confidence: float, units: int) -> Interval | None:
    """Expanded percentile interval of a statistic's values in resamples of `units` posts, or items.

    NaN marks a resample in which the statistic is undefined.

    Returns
    -------
    tuple of float, or None
        None if there are fewer than two units, or if more than one value in ten is undefined.
    """
    defined = values[~np.isnan(values)]
    if units < 2 or len(defined) < max(1, MIN_DEFINED_SHARE * len(values)):
        return None
    tail = _expanded_tail(units, confidence)
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def resampled_weights(posts: NDArray[np.int64], resampling: Resampling) -> Iterator[NDArray[np.float64]]:
    """How often each row is in each resample of the posts, in blocks (resamples of the block, rows).

    Parameters
    ----------
    posts
        The number of the post that each row is about, 0 to posts - 1, shape (rows,); a post's rows are drawn together.
    """
    n_posts = int(posts.max()) + 1
    rng = np.random.default_rng(resampling.seed)
    step = max(1, MAX_DRAWN_INDICES // len(posts))
    for start in range(0, resampling.resamples, step):
        drawn = rng.integers(n_posts, size=(min(step, resampling.resamples - start), n_posts))
        yield count_draws(drawn, n_posts)[:, posts]


def count_draws(drawn: NDArray[np.int64], posts: int) -> NDArray[np.float64]:
    """Count how often each post was drawn, from indices (resamples, draws) to counts (resamples, posts).

    >>> count_draws(np.array([[0, 0, 2]]), 3).tolist()
    [[2.0, 0.0, 1.0]]
    """
    resamples = len(drawn)
    flat = (drawn + np.arange(resamples)[:, None] * posts).ravel()
    counts = np.bincount(flat, minlength=resamples * posts).reshape(resamples, posts)
    return counts.astype(np.float64)


def _resampled_sums(counts: NDArray[Any], resampling: Resampling) -> Iterator[NDArray[np.float64]]:
    """Yield the sums of resamples, shape (some resamples, cells), from counts (posts, cells).

    Posts with the same counts are of one kind. Where there are few kinds, as there are for confusion counts, how often
    each is drawn comes from one multinomial distribution, which gives sums of the same distribution. Sums of real
    numbers are hardly ever equal, so that no kinds are looked for.
    """
    posts = len(counts)
    if np.issubdtype(counts.dtype, np.integer):
        kinds, sizes = _unique_rows(counts)
        if len(kinds) * INDICES_PER_BINOMIAL <= posts:
            rng = np.random.default_rng(resampling.seed)
            drawn = rng.multinomial(posts, sizes / posts, size=resampling.resamples)
            yield drawn.astype(np.float64) @ kinds
            return
    for weights in resampled_weights(np.arange(posts), resampling):
        yield weights @ counts


def _expanded_tail(posts: int, confidence: float) -> float:
    """Share of resamples beyond each end of an expanded percentile interval.

    >>> round(_expanded_tail(10_000, 0.95), 4), round(_expanded_tail(20, 0.95), 4)
    (0.025, 0.0159)
    """
    # The functions behind scipy.stats' norm and t, which are slow to call.
    from scipy.special import ndtr, stdtrit

    quantile = stdtrit(posts - 1, (1 - confidence) / 2) * np.sqrt(posts / (posts - 1))
    return float(ndtr(quantile))


def _unique_rows(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct rows of counts (rows, cells) and how often each occurs.

    A row of a few small counts is read as the digits of one number, since numbers are sorted faster than rows.
    """
    from_0 = counts - counts.min(axis=0)
    used = from_0[:, from_0.any(axis=0)]
    base = int(used.max(initial=0)) + 1
    if base ** used.shape[1] > np.iinfo(np.int64).max:
        return np.unique(counts, axis=0, return_counts=True)
    numbers = used @ base ** np.arange(used.shape[1], dtype=np.int64)
    _, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    return counts[first], sizes


def post_indices(posts: Sequence[str]) -> NDArray[np.int64]:
    """Number of each row's post, counted from 0 in order of their first rows."""
    numbers: dict[str, int] = {}
    return np.fromiter((numbers.setdefault(post, len(numbers)) for post in posts), np.int64, len(posts))


def _ratio(sums: NDArray[Any]) -> NDArray[np.float64]:
    """First of two sums by the second, from shape (resamples, 2, columns); NaN where the second is 0."""
    ratio: NDArray[np.float64] = np.divide(
        sums[:, 0], sums[:, 1], out=np.full(sums[:, 0].shape, np.nan), where=sums[:, 1] > 0
    )
    return ratio

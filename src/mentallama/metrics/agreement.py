"""Agreement between raters, each coefficient with a bootstrap interval over items.

Ratings are an array (items, raters) of numbers; NaN marks a missing rating. Every coefficient is a function of sums
over items, so a resample of the items is one weighted sum. A coefficient whose denominator is zero, as Krippendorff's
alpha where nobody used a second category, has no value but a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.bootstrap import Resampling, percentile_interval, resampled_weights
from mentallama.records import Record

Floats = NDArray[np.float64]
AlphaLevel = Literal["nominal", "ordinal", "interval"]
CategoryWeights = Literal["identity", "linear", "quadratic"]

_NEGLIGIBLE = 1e-12
"""A denominator below this share of its largest term is the rounding error of zero."""

TOO_FEW = "fewer than two items have two ratings"
NO_VARIANCE = "the ratings do not vary"


class AgreementScore(Record):
    """A coefficient over `items` items and its percentile interval; `reason` says why there is no value.

    The interval is None where there is no value, or where fewer than nine in ten resamples have one.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    items: int
    reason: str | None = None


def krippendorff_alpha(ratings: Floats, level: AlphaLevel, resampling: Resampling) -> AgreementScore:
    """Krippendorff's alpha (Krippendorff 2018, chapter 12), 1 for perfect agreement, 0 for chance.

    Items with fewer than two ratings are left out. The distances of `ordinal` depend on how often each category is used
    and are computed anew in every resample.

    >>> krippendorff_alpha(np.array([[1, 1], [2, 2], [3, 2.0]]), "nominal", Resampling()).value
    0.5454545454545454
    """
    counts, values = _category_counts(ratings, None, min_ratings=2)
    totals = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    coincidences = pairs / (totals - 1)[:, None, None]

    def alpha(sums: Floats) -> Floats:
        table = sums.reshape(-1, len(values), len(values))
        used = table.sum(axis=2)
        distances = _squared_distances(used, values, level)
        observed = (table * distances).sum(axis=(1, 2))
        expected = (used[:, :, None] * used[:, None, :] * distances).sum(axis=(1, 2))
        # (n - 1) from drawing pairs of values without replacement
        return 1 - _ratio(observed * (used.sum(axis=1) - 1), expected)

    return _with_interval(coincidences.reshape(len(counts), len(values) ** 2), alpha, resampling)


def _squared_distances(used: Floats, values: Floats, level: AlphaLevel) -> Floats:
    """Squared distances of categories, (resamples, categories, categories)."""
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(len(values)), (len(used), len(values), len(values)))
    # The ordinal distance of two categories is the interval distance of their mid-ranks.
    positions = values[None, :] if level == "interval" else used.cumsum(axis=1) - used / 2
    distances: Floats = (positions[:, :, None] - positions[:, None, :]) ** 2
    return distances


def fleiss_kappa(ratings: Floats, resampling: Resampling) -> AgreementScore:
    """Fleiss' kappa for nominal categories (Fleiss 1971); items that lack a rating are left out."""
    complete = ratings[~np.isnan(ratings).any(axis=1)]
    counts, _ = _category_counts(complete, None, min_ratings=2)
    raters = ratings.shape[1]
    agreeing = (counts * (counts - 1)).sum(axis=1, keepdims=True) / max(1, raters * (raters - 1))

    def kappa(sums: Floats) -> Floats:
        items = sums[:, :-1].sum(axis=1) / raters
        observed = _ratio(sums[:, -1], items)
        expected = (_ratio(sums[:, :-1], (items * raters)[:, None]) ** 2).sum(axis=1)
        return _ratio(observed - expected, 1 - expected)

    return _with_interval(np.hstack([counts, agreeing]), kappa, resampling)


def gwet_ac(
    ratings: Floats, categories: Sequence[float], weights: CategoryWeights, resampling: Resampling
) -> AgreementScore:
    """Gwet's AC2, and AC1 with `identity` weights (Gwet 2014, chapters 4 and 6); missing ratings are allowed.

    `categories` are all that raters could choose, used or not: chance agreement depends on their number.
    """
    size = len(categories)
    counts, values = _category_counts(ratings, categories, min_ratings=1)
    weight = _category_weights(values, weights)
    totals = counts.sum(axis=1)
    rated_twice = totals >= 2
    agreeing = (counts * (counts @ weight - 1)).sum(axis=1) / np.where(rated_twice, totals * (totals - 1), 1)
    columns = [
        counts / totals[:, None],
        (agreeing * rated_twice)[:, None],
        rated_twice[:, None].astype(np.float64),
    ]

    def coefficient(sums: Floats) -> Floats:
        shares = _ratio(sums[:, :size], sums[:, :size].sum(axis=1, keepdims=True))
        observed = _ratio(sums[:, -2], sums[:, -1])
        expected = weight.sum() / (size * (size - 1)) * (shares * (1 - shares)).sum(axis=1)
        return _ratio(observed - expected, 1 - expected)

    return _with_interval(np.hstack(columns), coefficient, resampling, enough=int(rated_twice.sum()) >= 2)


def _category_weights(values: Floats, weights: CategoryWeights) -> Floats:
    if weights == "identity":
        return np.eye(len(values), dtype=np.float64)
    distances: Floats = np.abs(values[:, None] - values[None, :]) / (values[-1] - values[0])
    return 1 - (distances if weights == "linear" else distances**2)


def intraclass_correlations(ratings: Floats, resampling: Resampling) -> dict[str, AgreementScore]:
    """The six intraclass correlations of Shrout and Fleiss (1979); items that lack a rating are left out.

    ICC(1,·) takes raters as drawn anew for each item, ICC(2,·) as a sample that rated all items (absolute agreement,
    ICC(A,·) of McGraw and Wong 1996), ICC(3,·) as the only raters of interest (consistency, ICC(C,·)). ICC(·,1) is the
    reliability of one rater, ICC(·,k) that of the mean of all.
    """
    complete = ratings[~np.isnan(ratings).any(axis=1)]
    centred = complete - (
        complete.mean() if complete.size else 0.0
    )  # smaller squares, smaller rounding errors
    items = np.ones((len(complete), 1))
    columns = [
        centred,
        centred.sum(axis=1, keepdims=True) ** 2,
        (centred**2).sum(axis=1, keepdims=True),
        items,
    ]
    sums = np.hstack(columns)

    def form(name: str) -> Callable[[Floats], Floats]:
        return lambda drawn: _intraclass(drawn, ratings.shape[1])[name]

    enough = len(complete) >= 2 and ratings.shape[1] >= 2
    return {name: _with_interval(sums, form(name), resampling, enough=enough) for name in ICC_FORMS}


ICC_FORMS = ("ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(1,k)", "ICC(2,k)", "ICC(3,k)")


def _intraclass(sums: Floats, raters: int) -> Mapping[str, Floats]:
    """All forms from the mean squares of a two-way layout: between items (B), raters (J), error (E), within items."""
    items, squares = sums[:, -1], sums[:, -2]
    mean_part = sums[:, :raters].sum(axis=1) ** 2 / (items * raters)
    between_items = sums[:, -3] / raters - mean_part
    between_raters = (sums[:, :raters] ** 2).sum(axis=1) / items - mean_part
    within = squares - mean_part - between_items
    b = between_items / (items - 1)
    j = between_raters / (raters - 1)
    e = (within - between_raters) / ((items - 1) * (raters - 1))
    w = within / (items * (raters - 1))
    rater_part = (j - e) / items
    terms = {
        "ICC(1,1)": (b - w, b + (raters - 1) * w),
        "ICC(2,1)": (b - e, b + (raters - 1) * e + raters * rater_part),
        "ICC(3,1)": (b - e, b + (raters - 1) * e),
        "ICC(1,k)": (b - w, b),
        "ICC(2,k)": (b - e, b + rater_part),
        "ICC(3,k)": (b - e, b),
    }
    scale = np.maximum(squares / items, np.finfo(np.float64).tiny)
    return {name: _ratio(above, below, scale) for name, (above, below) in terms.items()}


def _category_counts(
    ratings: Floats, categories: Sequence[float] | None, min_ratings: int
) -> tuple[Floats, Floats]:
    """How often each category was given to each item with `min_ratings` or more, and the sorted categories."""
    present = ~np.isnan(ratings)
    kept = ratings[present.sum(axis=1) >= min_ratings]
    values = np.unique(kept[~np.isnan(kept)] if categories is None else np.asarray(categories, np.float64))
    if not np.isin(kept[~np.isnan(kept)], values).all():
        raise ValueError("a rating is none of the categories")
    return (kept[:, :, None] == values).sum(axis=1).astype(np.float64), values


def _ratio(above: Floats, below: Floats, scale: Floats | float = 1.0) -> Floats:
    """Element-wise quotient; NaN where the denominator is zero but for rounding."""
    defined = np.broadcast_to(
        np.abs(below) > _NEGLIGIBLE * scale, np.broadcast_shapes(above.shape, below.shape)
    )
    quotient: Floats = np.divide(above, below, out=np.full(defined.shape, np.nan), where=defined)
    return quotient


def _with_interval(
    terms: Floats, coefficient: Callable[[Floats], Floats], resampling: Resampling, *, enough: bool = True
) -> AgreementScore:
    """A coefficient of the summed `terms`, (items, terms), and its interval over items."""
    items = len(terms)
    if items < 2 or not enough:
        return AgreementScore(value=None, items=items, reason=TOO_FEW)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(coefficient(terms.sum(axis=0, keepdims=True))[0])
        if np.isnan(value):
            return AgreementScore(value=None, items=items, reason=NO_VARIANCE)
        drawn = [coefficient(weights @ terms) for weights in resampled_weights(np.arange(items), resampling)]
    return AgreementScore(
        value=value,
        interval=percentile_interval(np.concatenate(drawn), resampling.confidence, items),
        items=items,
    )

"""Selective prediction: answers ranked by their probability, so that the uncertain ones are left to people.

Two ways of use are measured. An analyst abstains below a threshold: the risk-coverage curve (Geifman and El-Yaniv
2017), and a threshold that is chosen on validation rows and applied to test rows unchanged. Or people review the rows
that most probably have the high-risk label, as many as they have time for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.bootstrap import Interval, Resampling, percentile_interval, resampled_weights
from mentallama.metrics.classification import round_interval, round_score
from mentallama.records import Record

Floats = NDArray[np.float64]

REVIEW_BUDGETS = (0.01, 0.05, 0.10)
"""Shares of the rows that people review."""

N_CURVE_POINTS = 20
"""Points of a risk-coverage curve, at equal steps of coverage."""


class CurvePoint(Record):
    """At this share of rows answered, the share of them that are wrong; both 0-1."""

    coverage: float
    risk: float


class RiskCoverage(Record):
    """Risk-coverage curve of the `n` rows with a probability, from the most probable answers to all.

    `aurc` is the area under it, the mean risk over all coverages (0 best); `n_without_probability` rows are left out.
    """

    n: int
    n_without_probability: int
    aurc: float
    points: tuple[CurvePoint, ...]


class AbstentionTarget(Record):
    """The aim of a threshold on the validation rows: the widest coverage with this accuracy, or just this coverage.

    Both are shares, 0-1; exactly one is set.
    """

    accuracy: float | None = None
    coverage: float | None = None


DEFAULT_TARGET = AbstentionTarget(coverage=0.8)


class Abstention(Record):
    """Scores where an answer below a threshold, chosen on validation rows, is left to a person; shares in percent.

    `threshold` (0-1) is the lowest probability of an answer that is given; an answer without a probability is not
    given. The validation coverage and accuracy are those that the threshold was chosen by. On the `rows` of the test,
    `coverage` is the share answered; accuracy, weighted F1 and their 95 % intervals are of the `answered` rows only,
    None if there are none. `high_risk_abstained` of the `high_risk_rows` are not answered. Nothing is known where
    `reason` says why.
    """

    target: AbstentionTarget
    validation_rows: int
    rows: int
    reason: str | None = None
    threshold: float | None = None
    validation_coverage: float | None = None
    validation_accuracy: float | None = None
    answered: int = 0
    coverage: float | None = None
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    weighted_f1: float | None = None
    weighted_f1_interval: Interval | None = None
    high_risk_label: str | None = None
    high_risk_rows: int = 0
    high_risk_abstained: int = 0


class BudgetRecall(Record):
    """Recall, in percent, of the high-risk label among the `reviewed` rows, a `budget` (0-1) of all.

    None where `reason` says why; `interval` also with fewer than two posts, or too few rows with the label.
    """

    budget: float
    reviewed: int
    recall: float | None = None
    interval: Interval | None = None
    reason: str | None = None


class ReviewRecall(Record):
    """Recall of the high-risk label where people review the rows that most probably have it.

    `high_risk_rows` of the `n` rows have the label. Rows without a probability are reviewed last. Where the probability
    of rows is equal, recall is its expected value over their orders.
    """

    label: str
    n: int
    high_risk_rows: int
    budgets: tuple[BudgetRecall, ...] = ()
    reason: str | None = None


def risk_coverage(probabilities: Floats, correct: NDArray[np.bool_]) -> RiskCoverage | None:
    """Risk-coverage curve; None if no row has a probability.

    Parameters
    ----------
    probabilities, correct
        Of each row's answer, shape (rows,); NaN for a row without a probability. Where probabilities are equal, the
        risk is its expected value over the orders of these rows.
    """
    known = ~np.isnan(probabilities)
    n = int(known.sum())
    if not n:
        return None
    risks = _selective_risks(probabilities[known], correct[known])
    steps = np.unique(np.ceil(np.arange(1, N_CURVE_POINTS + 1) * n / N_CURVE_POINTS).astype(int))
    return RiskCoverage(
        n=n,
        n_without_probability=len(known) - n,
        aurc=round(float(risks.mean()), 6),
        points=tuple(
            CurvePoint(coverage=round(float(k) / n, 6), risk=round(float(risks[k - 1]), 6)) for k in steps
        ),
    )


def _selective_risks(probabilities: Floats, correct: NDArray[np.bool_]) -> Floats:
    """Expected share of wrong answers among the 1, 2, ... n most probable ones, shape (n,)."""
    starts, order = _tied_blocks(probabilities)
    wrong = (~correct[order]).astype(np.float64)
    sizes = np.diff(np.append(starts, len(order)))
    expected = np.repeat(np.add.reduceat(wrong, starts) / sizes, sizes)
    risks: Floats = np.cumsum(expected) / np.arange(1, len(order) + 1)
    return risks


def choose_threshold(
    probabilities: Floats, correct: NDArray[np.bool_], target: AbstentionTarget
) -> float | None:
    """The lowest probability that an answer needs, for a target on these rows; None if no threshold reaches it.

    Parameters
    ----------
    probabilities, correct
        As for `risk_coverage`; rows without a probability are never answered, and count in the coverage.
    """
    known = ~np.isnan(probabilities)
    values, positions = np.unique(-probabilities[known], return_inverse=True)
    answered = np.cumsum(np.bincount(positions, minlength=len(values)))
    if target.accuracy is not None:
        hits = np.cumsum(np.bincount(positions, correct[known], minlength=len(values)))
        reached = np.flatnonzero(hits >= target.accuracy * answered - 1e-9)[-1:]
    else:
        assert target.coverage is not None
        reached = np.flatnonzero(answered >= target.coverage * len(probabilities) - 1e-9)[:1]
    return -float(values[reached[0]]) if len(reached) else None


def review_recall(
    probabilities: Floats,
    has_label: NDArray[np.bool_],
    posts: NDArray[np.int64],
    label: str,
    resampling: Resampling,
) -> ReviewRecall:
    """Recall of the high-risk label at each budget of `REVIEW_BUDGETS`, with intervals that resample posts.

    Parameters
    ----------
    probabilities
        Of the high-risk label, shape (rows,); NaN for a row without one.
    has_label
        Whether the row's gold label is the high-risk label.
    posts
        Number of the post that each row is about, from 0.
    """
    n, n_high_risk = len(has_label), int(has_label.sum())
    empty = ReviewRecall(label=label, n=n, high_risk_rows=n_high_risk)
    if np.isnan(probabilities).all():
        return empty.model_copy(update={"reason": "these answers have no probabilities"})
    if not n_high_risk:
        return empty.model_copy(update={"reason": f"no row has the label {label}"})
    starts, order = _tied_blocks(np.nan_to_num(probabilities, nan=-1.0))
    ranked = has_label[order].astype(np.float64)
    whole = _recall_at_budgets(np.ones((1, n)), ranked, starts)[0]
    drawn = [
        _recall_at_budgets(weights, ranked, starts) for weights in resampled_weights(posts[order], resampling)
    ]
    values = np.concatenate(drawn)
    units = int(posts.max()) + 1
    budgets = [
        _budget_recall(
            budget, n, whole[index], percentile_interval(values[:, index], resampling.confidence, units)
        )
        for index, budget in enumerate(REVIEW_BUDGETS)
    ]
    return empty.model_copy(update={"budgets": tuple(budgets)})


def _budget_recall(budget: float, n: int, recall: float, interval: Interval | None) -> BudgetRecall:
    reviewed = int(_rows_of_budget(budget, np.array(n)))
    if not reviewed:
        return BudgetRecall(budget=budget, reviewed=0, reason=f"this share of {n} rows is less than one row")
    return BudgetRecall(
        budget=budget,
        reviewed=reviewed,
        recall=round_score(100 * recall),
        interval=round_interval(interval, 100),
    )


def _recall_at_budgets(weights: Floats, ranked: Floats, starts: NDArray[np.int64]) -> Floats:
    """Recall (0-1) at each budget, shape (resamples, budgets); NaN in a resample without a high-risk row.

    `weights` (resamples, rows) and `ranked`, 1 for a high-risk row, are in order of falling probability; `starts` are
    the first rows of blocks of equal probability. Of a block that the budget reaches in part, the same part of its
    high-risk rows is found, which is the expected value.
    """
    distinct = len(starts) == weights.shape[1]
    sizes = weights if distinct else np.add.reduceat(weights, starts, axis=1)
    hits = weights * ranked if distinct else np.add.reduceat(weights * ranked, starts, axis=1)
    reached, found = np.cumsum(sizes, axis=1), np.cumsum(hits, axis=1)
    budgets = _rows_of_budget(np.array(REVIEW_BUDGETS), reached[:, -1:])
    recalls: Floats = np.full(budgets.shape, np.nan)
    for resample in np.flatnonzero(found[:, -1] > 0):
        recalls[resample] = np.interp(
            budgets[resample], np.append(0.0, reached[resample]), np.append(0.0, found[resample])
        )
    recalls /= np.maximum(found[:, -1:], 1.0)
    return recalls


def _rows_of_budget(budget: float | Floats, rows: NDArray[np.float64] | NDArray[np.int64]) -> Floats:
    """Whole rows within a budget; 10 % of 30 rows are 3, whatever 0.1 * 30 is in binary."""
    whole: Floats = np.floor(budget * rows + 1e-9)
    return whole


def _tied_blocks(probabilities: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first positions of blocks of equal probability in falling order, and the rows in that order."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    return starts, order


def as_floats(values: Sequence[float | None]) -> Floats:
    """Numbers as an array, with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

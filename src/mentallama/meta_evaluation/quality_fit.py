"""Fit the weights of `explanation_quality` to human ratings, by cross-validation nested in cross-validation.

The outer loop predicts each rating by weights that were fitted without its post; the inner loop, within the training
posts of the outer one, chooses the features, the prior and how strongly weights are drawn to it. Weights minimise
    sum (rating - features · w)² + shrinkage · |w - prior|²   subject to w >= 0,
a non-negative ridge regression towards a prior instead of towards zero. On a few hundred ratings of one system many
features hardly vary; ridge towards zero would drop them, though other systems' explanations differ in just these. Equal
and similar simple weights predict nearly as well as fitted ones (Dawes 1979) and hold elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from mentallama.errors import UsageError
from mentallama.explanation_metrics.explanation_quality.features import FEATURES, explanation_features
from mentallama.explanation_metrics.explanation_quality.model import (
    FORMAT_VERSION,
    MAX_SCORE,
    FitDescription,
    QualityModel,
)
from mentallama.explanation_metrics.human_ratings import OVERALL, RatedExplanation
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.correlation import CorrelationScore, correlate
from mentallama.tasks import Task

Floats = NDArray[np.float64]

OUTER_FOLDS, INNER_FOLDS = 10, 5
MIN_POSTS = 3 * OUTER_FOLDS
SHRINKAGES = (1.0, 3.0, 10.0, 30.0, 100.0)
OPTIONAL_FEATURES = ("specificity", "criterion_recall")
"""Features that may be left out: they count in another way what `evidence` and `criterion_coverage` count."""
PRIORS: dict[str, Mapping[str, float]] = {
    "equal": {},
    "label third": {"label_agreement": 1 / 3, "well_formedness": 1 / 6},
}
"""Shares of the full score that features have before any rating is seen; the others share the rest equally. A wrong
label costs one of three points in the second, bad English half of one."""
WEIGHT_DECIMALS = 4


@dataclass(frozen=True)
class Candidate:
    """Settings that the inner loop chooses from."""

    features: tuple[str, ...]
    prior: str
    shrinkage: float

    def prior_weights(self) -> Floats:
        """Weights before any rating, summing to the highest score."""
        given = {name: share for name, share in PRIORS[self.prior].items() if name in self.features}
        rest = (1 - sum(given.values())) / (len(self.features) - len(given))
        return MAX_SCORE * np.array([given.get(name, rest) for name in self.features])


@dataclass(frozen=True)
class QualityFit:
    """Fitted weights, and the out-of-fold score of each row, also as if its reference label were not known.

    `left_out` are Pearson correlations by file left out.
    """

    model: QualityModel
    rows: tuple[RatedExplanation, ...]
    out_of_fold: tuple[float, ...]
    without_label: tuple[float, ...]
    left_out: dict[str, float | None]


def candidates() -> list[Candidate]:
    """All settings, those with less shrinkage first."""
    subsets = [
        tuple(name for name in FEATURES if name not in dropped)
        for size in range(len(OPTIONAL_FEATURES) + 1)
        for dropped in combinations(OPTIONAL_FEATURES, size)
    ]
    return [Candidate(*settings) for settings in product(subsets, PRIORS, SHRINKAGES)]


def fit_quality(
    rated: Sequence[RatedExplanation], task: Task, resampling: Resampling, aspect: str = OVERALL
) -> QualityFit:
    """Fit weights to the mean ratings of an aspect; rows that cannot be scored, or have no label, are left out.

    Raises
    ------
    UsageError
        Fewer than `MIN_POSTS` posts are left, or they are all rated alike.
    """
    rows = tuple(row for row in rated if row.case.absence is None and row.case.example.label is not None)
    posts = [row.case.example.post_id for row in rows]
    if len(set(posts)) < MIN_POSTS:
        raise UsageError(
            f"weights can be fitted to {MIN_POSTS} or more posts with an explanation and a reference label; there are "
            f"{len(set(posts))}"
        )
    table = _Table(
        np.array(
            [[_number(value) for value in explanation_features(row.case, task).values()] for row in rows]
        ),
        np.array([row.mean(aspect) for row in rows]),
    )
    if np.ptp(table.ratings) == 0:
        raise UsageError(f"the mean ratings of {aspect} are all equal; there is nothing to fit")
    predicted, without_label = _out_of_fold(table, posts, resampling.seed)
    final = choose(table, assign_folds(posts, OUTER_FOLDS, resampling.seed))
    weights = table.weights(final).round(WEIGHT_DECIMALS)
    model = QualityModel(
        version=FORMAT_VERSION,
        weights={name: float(weight) for name, weight in zip(final.features, weights, strict=True)},
        fit=_describe(
            rows,
            final,
            correlate("pearson", predicted, table.ratings, posts, resampling),
            aspect,
            task,
            resampling,
        ),
    )
    return QualityFit(
        model,
        rows,
        tuple(map(float, predicted)),
        tuple(map(float, without_label)),
        _leave_one_file_out(rows, table, posts, resampling),
    )


def _describe(
    rows: Sequence[RatedExplanation],
    chosen: Candidate,
    correlation: CorrelationScore,
    aspect: str,
    task: Task,
    resampling: Resampling,
) -> FitDescription:
    if correlation.value is None:
        raise UsageError("the features of these explanations are all equal; there is nothing to fit")
    interval = correlation.interval
    return FitDescription(
        aspect=aspect,
        task=task.set,
        data_sha256=_data_digest(rows, aspect),
        rows=dict(Counter(row.file for row in rows)),
        prior=chosen.prior,
        shrinkage=chosen.shrinkage,
        outer_folds=OUTER_FOLDS,
        inner_folds=INNER_FOLDS,
        seed=resampling.seed,
        pearson=round(correlation.value, 4),
        pearson_interval=None if interval is None else (round(interval[0], 4), round(interval[1], 4)),
        fitted_to=tuple(sorted(row.case.example.id for row in rows)),
    )


def _out_of_fold(table: _Table, posts: Sequence[str], seed: int) -> tuple[Floats, Floats]:
    """Predictions for the posts of each outer fold, by settings and weights from the other folds; with the agreement
    with the reference label, and without it."""
    outer = assign_folds(posts, OUTER_FOLDS, seed)
    predicted, without_label = np.empty(len(posts)), np.empty(len(posts))
    for fold in range(OUTER_FOLDS):
        training = outer != fold
        inner = assign_folds([posts[row] for row in np.flatnonzero(training)], INNER_FOLDS, seed)
        chosen = choose(table.select(training), inner)
        weights = table.select(training).weights(chosen)
        predicted[~training] = table.select(~training).predict(chosen, weights)
        others = np.where(np.array(chosen.features) == "label_agreement", 0.0, weights)
        without_label[~training] = table.select(~training).predict(
            chosen, others * weights.sum() / others.sum()
        )
    return predicted, without_label


@dataclass(frozen=True)
class _Table:
    """Features (rows, all features) and mean ratings (rows,)."""

    features: Floats
    ratings: Floats

    def select(self, rows: NDArray[np.bool_]) -> _Table:
        return _Table(self.features[rows], self.ratings[rows])

    def columns(self, candidate: Candidate) -> Floats:
        return self.features[:, [_POSITIONS[name] for name in candidate.features]]

    def weights(self, candidate: Candidate) -> Floats:
        from scipy.optimize import nnls

        prior = candidate.prior_weights()
        root = np.sqrt(candidate.shrinkage)
        stacked = np.vstack([self.columns(candidate), root * np.eye(len(prior))])
        solution: Floats = nnls(stacked, np.concatenate([self.ratings, root * prior]))[0]
        return solution

    def predict(self, candidate: Candidate, weights: Floats) -> Floats:
        return np.clip(self.columns(candidate) @ weights, 0.0, MAX_SCORE)


_POSITIONS = {name: position for position, name in enumerate(FEATURES)}


def assign_folds(posts: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row, 0 to folds - 1; rows of one post share it, and the order of the rows does not matter."""
    unique = sorted(set(posts))
    order = np.random.default_rng(seed).permutation(len(unique))
    fold_of = {unique[index]: place % folds for place, index in enumerate(order)}
    return np.array([fold_of[post] for post in posts], dtype=np.int64)


def choose(table: _Table, folds: NDArray[np.int64]) -> Candidate:
    """The candidate whose out-of-fold predictions have the highest Pearson correlation with the ratings."""

    def correlation(candidate: Candidate) -> float:
        predicted = np.empty(len(folds))
        for fold in np.unique(folds):
            training = table.select(folds != fold)
            held_out = table.select(folds == fold)
            predicted[folds == fold] = held_out.predict(candidate, training.weights(candidate))
        varies = np.ptp(predicted) > 0 and np.ptp(table.ratings) > 0
        return float(np.corrcoef(predicted, table.ratings)[0, 1]) if varies else -1.0

    return max(candidates(), key=correlation)


def _leave_one_file_out(
    rows: Sequence[RatedExplanation], table: _Table, posts: Sequence[str], resampling: Resampling
) -> dict[str, float | None]:
    """Pearson correlation within each file of weights that were chosen and fitted on the posts of the others only."""
    names = np.array([row.file for row in rows])
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(names.tolist()):
        tested = names == name
        shared = {post for post, is_tested in zip(posts, tested, strict=True) if is_tested}
        training = np.array([post not in shared for post in posts])
        training_posts = [post for post in posts if post not in shared]
        if len(set(training_posts)) < INNER_FOLDS:
            continue
        chosen = choose(table.select(training), assign_folds(training_posts, INNER_FOLDS, resampling.seed))
        predicted = table.select(tested).predict(chosen, table.select(training).weights(chosen))
        tested_posts = [post for post, is_tested in zip(posts, tested, strict=True) if is_tested]
        found[name] = correlate("pearson", predicted, table.ratings[tested], tested_posts, resampling).value
    return found


def _number(value: float | None) -> float:
    if value is None:
        raise ValueError("a feature is not defined for a row with a reference label")
    return value


def _data_digest(rows: Sequence[RatedExplanation], aspect: str) -> str:
    lines = sorted(
        json.dumps(
            [row.case.example.id, row.case.example.label, [str(score) for score in row.ratings[aspect]]]
        )
        for row in rows
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

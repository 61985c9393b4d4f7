"""The results of a meta-evaluation: agreement between raters, and correlations of metrics with their mean ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from mentallama.explanation_metrics.explanation_quality.model import QualityModel
from mentallama.explanation_metrics.human_ratings import RatedExplanation, RatedExplanations
from mentallama.explanation_metrics.llm_judge.summary import JudgeSummary
from mentallama.metrics.agreement import (
    AgreementScore,
    AlphaLevel,
    fleiss_kappa,
    gwet_ac,
    intraclass_correlations,
    krippendorff_alpha,
)
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.correlation import (
    CORRELATIONS,
    CorrelationScore,
    correlate,
    correlate_all,
    correlation_difference,
    leave_one_rater_out,
)
from mentallama.records import RATING_SCORES, Record

ALL_FILES = "all"
"""The group of the rows of all files."""
METHODS = tuple(CORRELATIONS)
ALPHA_LEVELS: tuple[AlphaLevel, ...] = ("nominal", "ordinal", "interval")
CATEGORIES = tuple(map(float, RATING_SCORES))


class AspectAgreement(Record):
    """Agreement on one aspect: coefficients by name, and the ceiling by kind of correlation.

    `mean` and `spread` are mean and standard deviation of the items' mean ratings. The ceiling is the mean over raters
    of the correlation of one rater with the mean of the others.
    """

    mean: float
    spread: float
    coefficients: dict[str, AgreementScore]
    ceiling: dict[str, CorrelationScore]


class MetricCorrelations(Record):
    """Correlations of one column of a metric with every aspect, by kind, over the rows that it scored.

    `unscored` counts the others by reason. `in_sample` is the number of rows to which the metric was fitted: a
    correlation over these says nothing about others.
    """

    title: str
    scored: int
    unscored: dict[str, int] = {}
    in_sample: int = 0
    aspects: dict[str, dict[str, CorrelationScore]]


class GroupResults(Record):
    """Results of the rows of one file, or of all. `absent` counts the rows without an explanation by reason."""

    rows: int
    absent: dict[str, int]
    outcomes: dict[str, int]
    """Rows by the outcome of reading the answer: agrees or disagrees with the reference label, no reference label,
    unparsed, refused, truncated."""
    agreement: dict[str, AspectAgreement]
    metrics: dict[str, MetricCorrelations]


class PerturbationResult(Record):
    """Mean score of `cases` explanations before and after a perturbation, and the share whose score fell, 0-1."""

    cases: int
    before: float | None
    after: float | None
    fell: float | None


class PredictorComparison(Record):
    """One predictor of a rating beside the out-of-fold score, on the rows that have both.

    `difference` is the out-of-fold Pearson correlation less the predictor's, with its interval over posts.
    """

    items: int
    pearson: float | None
    out_of_fold: float | None
    difference: float | None
    interval: tuple[float, float] | None = None


class FitResults(Record):
    """A fit of `explanation_quality` to the rated rows.

    `out_of_fold` are correlations of predictions by weights that had not seen the post, by aspect and kind,
    `without_label` the same as if no reference label were known;
    `left_out_files` Pearson correlations within each file of weights fitted to the other files.
    """

    model: QualityModel
    out_of_fold: dict[str, dict[str, CorrelationScore]]
    without_label: dict[str, dict[str, CorrelationScore]]
    comparisons: dict[str, PredictorComparison]
    left_out_files: dict[str, float | None]


class MetaEvaluation(Record):
    """The content of `meta_evaluation.json`. `groups` are by file, after the group of all."""

    task: str
    question: str
    resampling: Resampling
    raters: int
    duplicates: int
    groups: dict[str, GroupResults]
    perturbations: dict[str, dict[str, PerturbationResult]] = {}
    """Of the metric explanation_quality: by "with reference label" and "without", and by perturbation."""
    fit: FitResults | None = None
    judge: JudgeSummary | None = None
    """The calls of an LLM judge, and how far it agrees with the raters of all files; None where none was asked."""


class ScoredColumn(Record):
    """Values of one column by `row_key`, reasons of the rows without one, and ids of the examples it was fitted to."""

    title: str
    values: dict[str, float]
    unscored: dict[str, str] = {}
    fitted_to: frozenset[str] = frozenset()


def row_key(row: RatedExplanation) -> str:
    """Identifies a row among all files."""
    return f"{row.file}:{row.row}"


def evaluate_group(
    rated: RatedExplanations, columns: Mapping[str, ScoredColumn], resampling: Resampling
) -> GroupResults:
    """Agreement and correlations of some rows; columns are by `row_key`."""
    outcomes = Counter(_outcome(row) for row in rated.rows)
    return GroupResults(
        rows=len(rated.rows),
        absent=dict(Counter(row.case.absence for row in rated.rows if row.case.absence is not None)),
        outcomes=dict(sorted(outcomes.items())),
        agreement={aspect: _agreement(rated, aspect, resampling) for aspect in rated.aspects},
        metrics={name: _correlations(rated, column, resampling) for name, column in columns.items()},
    )


def _outcome(row: RatedExplanation) -> str:
    reading, gold = row.case.reading, row.case.example.label
    if reading.status != "parsed":
        return reading.status
    if gold is None:
        return "no reference label"
    return (
        "agrees with the reference label" if reading.label == gold else "disagrees with the reference label"
    )


def _agreement(rated: RatedExplanations, aspect: str, resampling: Resampling) -> AspectAgreement:
    ratings = rated.ratings_of(aspect)
    means = np.array([row.mean(aspect) for row in rated.rows])
    alphas = {
        f"Krippendorff's alpha, {level}": krippendorff_alpha(ratings, level, resampling)
        for level in ALPHA_LEVELS
    }
    gwet = {
        "Gwet's AC1": gwet_ac(ratings, CATEGORIES, "identity", resampling),
        "Gwet's AC2, linear": gwet_ac(ratings, CATEGORIES, "linear", resampling),
        "Gwet's AC2, quadratic": gwet_ac(ratings, CATEGORIES, "quadratic", resampling),
    }
    return AspectAgreement(
        mean=float(means.mean()),
        spread=float(means.std()),
        coefficients={
            **alphas,
            "Fleiss' kappa": fleiss_kappa(ratings, resampling),
            **gwet,
            **intraclass_correlations(ratings, resampling),
        },
        ceiling=leave_one_rater_out(METHODS, ratings, _posts(rated.rows), resampling),
    )


def _correlations(
    rated: RatedExplanations, column: ScoredColumn, resampling: Resampling
) -> MetricCorrelations:
    scored = [row for row in rated.rows if row_key(row) in column.values]
    reasons = Counter(column.unscored[row_key(row)] for row in rated.rows if row_key(row) in column.unscored)
    values = [column.values[row_key(row)] for row in scored]
    return MetricCorrelations(
        title=column.title,
        scored=len(scored),
        unscored=dict(reasons),
        in_sample=sum(row.case.example.id in column.fitted_to for row in scored),
        aspects={
            aspect: correlate_all(
                METHODS, values, [row.mean(aspect) for row in scored], _posts(scored), resampling
            )
            for aspect in rated.aspects
        },
    )


def _posts(rows: Sequence[RatedExplanation]) -> list[str]:
    return [row.case.example.post_id for row in rows]


def compare_with_out_of_fold(
    rows: Sequence[RatedExplanation],
    out_of_fold: Sequence[float],
    column: ScoredColumn,
    aspect: str,
    resampling: Resampling,
) -> PredictorComparison:
    """A column beside the out-of-fold scores of `rows`, on those rows that the column scored."""
    pairs = [
        (row, score) for row, score in zip(rows, out_of_fold, strict=True) if row_key(row) in column.values
    ]
    kept = [row for row, _ in pairs]
    values = [column.values[row_key(row)] for row in kept]
    scores, ratings = [score for _, score in pairs], [row.mean(aspect) for row in kept]
    posts = _posts(kept)
    difference = correlation_difference("pearson", scores, values, ratings, posts, resampling)
    return PredictorComparison(
        items=len(kept),
        pearson=correlate("pearson", values, ratings, posts, resampling).value,
        out_of_fold=correlate("pearson", scores, ratings, posts, resampling).value,
        difference=difference.value,
        interval=difference.interval,
    )


def out_of_fold_correlations(
    rows: Sequence[RatedExplanation], out_of_fold: Sequence[float], resampling: Resampling
) -> dict[str, dict[str, CorrelationScore]]:
    """Correlations of out-of-fold scores with every aspect, by kind."""
    posts = _posts(rows)
    return {
        aspect: correlate_all(METHODS, out_of_fold, [row.mean(aspect) for row in rows], posts, resampling)
        for aspect in rows[0].ratings
    }

"""Means, intervals and tests over the evidence of a set's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mentallama.explain.deletion import DeletionCurve
from mentallama.explain.results import (
    Contrast,
    Estimate,
    EvidenceRow,
    MethodFaithfulness,
    PairedEstimate,
    PlausibilityMeans,
    SetFaithfulness,
)
from mentallama.explain.word_ranking import FloatArray
from mentallama.metrics.bootstrap import Resampling, mean_interval, post_indices
from mentallama.metrics.significance import holm, sign_flip_p_value

BASELINE = "random"
"""The method that all others are compared with."""


def summarize_set(
    rows_by_method: Mapping[str, Sequence[EvidenceRow]], of: int, resampling: Resampling
) -> SetFaithfulness:
    """Summarize the methods on one set.

    Parameters
    ----------
    rows_by_method
        The evidence of each method, of `BASELINE` too, for the same answers in the same order.
    of
        Number of answers that these were drawn from.
    """
    baseline = rows_by_method[BASELINE]
    posts = [row.post_id for row in baseline]
    scores = {name: _scores([row.top for row in rows]) for name, rows in rows_by_method.items()}
    matched = {name: _scores([row.matched for row in rows]) for name, rows in rows_by_method.items()}
    differences = {name: values - scores[BASELINE] for name, values in scores.items() if name != BASELINE}
    against_random = _contrasts(differences, posts, resampling)
    against_matched = _contrasts(
        {name: values - matched[name] for name, values in scores.items()}, posts, resampling
    )
    return SetFaithfulness(
        rows=len(baseline),
        posts=len(set(posts)),
        of=of,
        probability=float(np.mean([row.top.whole for row in baseline])),
        methods={
            name: MethodFaithfulness(
                comprehensiveness=_estimate(scores[name][:, 0], posts, resampling),
                sufficiency=_estimate(scores[name][:, 1], posts, resampling),
                removed=_mean([row.top.removed for row in rows]),
                kept=_mean([row.top.kept for row in rows]),
                matched_comprehensiveness=_estimate(matched[name][:, 0], posts, resampling),
                matched_sufficiency=_estimate(matched[name][:, 1], posts, resampling),
                against_random=against_random.get(name),
                against_matched=against_matched[name],
                completeness_gap=_mean_gap(rows),
                plausibility=_plausibility_means(rows, resampling),
            )
            for name, rows in rows_by_method.items()
        },
    )


def _scores(curves: Sequence[DeletionCurve]) -> FloatArray:
    """Comprehensiveness and sufficiency of each answer, shape (answers, 2)."""
    return np.array([(curve.comprehensiveness, curve.sufficiency) for curve in curves], dtype=np.float64)


def _contrasts(
    differences: Mapping[str, FloatArray], posts: Sequence[str], resampling: Resampling
) -> dict[str, Contrast]:
    """Test the differences of several methods, shape (answers, 2) each, with p-values adjusted over the methods."""
    columns = [
        _paired_estimates(
            {name: values[:, column] for name, values in differences.items()}, posts, resampling
        )
        for column in range(2)
    ]
    return {
        name: Contrast(comprehensiveness=columns[0][name], sufficiency=columns[1][name])
        for name in differences
    }


def _paired_estimates(
    differences: Mapping[str, FloatArray], posts: Sequence[str], resampling: Resampling
) -> dict[str, PairedEstimate]:
    p_values = holm(
        [sign_flip_p_value(_by_post(values, posts), resampling.seed) for values in differences.values()]
    )
    return {
        name: PairedEstimate(**dict(_estimate(values, posts, resampling)), p_value=p_value)
        for (name, values), p_value in zip(differences.items(), p_values, strict=True)
    }


def _by_post(values: FloatArray, posts: Sequence[str]) -> list[float]:
    """Sum of each post's values: several questions about one post are not independent."""
    sums: list[float] = np.bincount(post_indices(posts), weights=values).tolist()
    return sums


def _estimate(values: FloatArray, posts: Sequence[str], resampling: Resampling) -> Estimate:
    return Estimate(value=float(values.mean()), interval=mean_interval(values, posts, resampling))


def _mean(values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Mean of each position."""
    return tuple(np.mean(values, axis=0).tolist())


def _mean_gap(rows: Sequence[EvidenceRow]) -> float | None:
    gaps = [row.completeness_gap for row in rows if row.completeness_gap is not None]
    return float(np.mean(gaps)) if gaps else None


def _plausibility_means(rows: Sequence[EvidenceRow], resampling: Resampling) -> PlausibilityMeans | None:
    annotated = [(row.post_id, row.plausibility) for row in rows if row.plausibility is not None]
    if not annotated:
        return None
    posts = [post for post, _ in annotated]
    estimates = {
        name: _estimate(np.array([getattr(found, name) for _, found in annotated]), posts, resampling)
        for name in ("token_f1", "iou_f1", "auprc")
    }
    return PlausibilityMeans(rows=len(annotated), **estimates)

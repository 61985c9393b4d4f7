"""Scores of a set's rows ranked by probability: abstention below a threshold, and review of the riskiest rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mentallama.config.evaluate import Evaluate
from mentallama.evaluate.kinds.part_counts import high_risk_parts
from mentallama.evaluate.scores import ScoredRow, Scores, counts_by_post, nothing_to_find, weighted_f1_of
from mentallama.metrics.bootstrap import Interval, Resampling, bootstrap_interval, mean_interval, post_indices
from mentallama.metrics.classification import percent, round_interval, round_score
from mentallama.metrics.selective_prediction import (
    DEFAULT_TARGET,
    Abstention,
    AbstentionTarget,
    as_floats,
    choose_threshold,
    review_recall,
    risk_coverage,
)
from mentallama.tasks import Task

NO_VALIDATION = (
    "there are no predictions on all labelled validation rows; predict.splits: [validation, test] makes them, "
    "without predict.max_rows_per_set"
)


def with_selective_scores(
    scores: Scores, rows: Sequence[ScoredRow], task: Task, resampling: Resampling
) -> Scores:
    """The scores with the risk-coverage curve, and recall of the high-risk label where people review some rows."""
    curve = risk_coverage(
        as_floats([row.probability for row in rows]), np.array([row.correct for row in rows], dtype=bool)
    )
    label = task.high_risk_label
    review = None
    if label is not None:
        review = review_recall(
            as_floats([row.high_risk_probability for row in rows]),
            np.array([_has_high_risk(row, task) for row in rows], dtype=bool),
            post_indices([row.post_id for row in rows]),
            label,
            resampling,
        )
    return scores.model_copy(update={"risk_coverage": curve, "review": review})


def with_abstention(
    scores: Mapping[str, Scores],
    rows: Mapping[str, Sequence[ScoredRow]],
    validation: Mapping[str, Sequence[ScoredRow]],
    tasks: Mapping[str, Task],
    settings: Evaluate,
    resampling: Resampling,
) -> dict[str, Scores]:
    """The scores of each set with those of abstention below a threshold that is chosen on its validation rows."""
    target = abstention_target(settings)
    return {
        name: part.model_copy(
            update={
                "abstention": abstention_scores(
                    rows[name], validation.get(name, ()), tasks[name], target, resampling
                )
            }
        )
        for name, part in scores.items()
    }


def abstention_target(settings: Evaluate) -> AbstentionTarget:
    """The target of the settings; `DEFAULT_TARGET` where they name none."""
    if settings.target_accuracy is None and settings.target_coverage is None:
        return DEFAULT_TARGET
    return AbstentionTarget(accuracy=settings.target_accuracy, coverage=settings.target_coverage)


def abstention_scores(
    rows: Sequence[ScoredRow],
    validation: Sequence[ScoredRow],
    task: Task,
    target: AbstentionTarget,
    resampling: Resampling,
) -> Abstention:
    """Scores of the test rows that are answered under a threshold that is chosen on the validation rows."""
    empty = Abstention(target=target, validation_rows=len(validation), rows=len(rows))
    if not validation:
        return empty.model_copy(update={"reason": NO_VALIDATION})
    probabilities = as_floats([row.probability for row in validation])
    if np.isnan(probabilities).all():
        return empty.model_copy(update={"reason": "the answers on validation rows have no probabilities"})
    correct = np.array([row.correct for row in validation], dtype=bool)
    threshold = choose_threshold(probabilities, correct, target)
    if threshold is None:
        reason = "no threshold reaches the target on the validation rows"
        return empty.model_copy(update={"reason": reason})
    tried = answered_rows(validation, threshold)
    answered = answered_rows(rows, threshold)
    high_risk = [row for row in rows if _has_high_risk(row, task)]
    return empty.model_copy(
        update={
            "threshold": threshold,
            "validation_coverage": percent(len(tried), len(validation)),
            "validation_accuracy": percent(sum(row.correct for row in tried), len(tried)),
            "answered": len(answered),
            "coverage": percent(len(answered), len(rows)),
            **_answered_scores(answered, task, resampling),
            "high_risk_label": task.high_risk_label,
            "high_risk_rows": len(high_risk),
            "high_risk_abstained": len(high_risk) - len(answered_rows(high_risk, threshold)),
        }
    )


def _has_high_risk(row: ScoredRow, task: Task) -> bool:
    """Whether the gold answer has the task's high-risk label."""
    return bool(high_risk_parts(task, row.gold))


def answered_rows(rows: Sequence[ScoredRow], threshold: float) -> list[ScoredRow]:
    """The rows whose answer is at least as probable as the threshold."""
    return [row for row in rows if row.probability is not None and row.probability >= threshold]


def _answered_scores(
    rows: Sequence[ScoredRow], task: Task, resampling: Resampling
) -> dict[str, float | Interval | None]:
    """Accuracy and weighted F1 of answered rows, with intervals; nothing where none is answered."""
    if not rows:
        return {}
    correct = [float(row.correct) for row in rows]
    of_accuracy = mean_interval(correct, [row.post_id for row in rows], resampling)
    counts, f1 = counts_by_post(rows, task), weighted_f1_of(task)
    of_f1 = bootstrap_interval(counts, f1, resampling)
    return {
        "accuracy": percent(sum(row.correct for row in rows), len(rows)),
        "accuracy_interval": round_interval(of_accuracy, 100),
        "weighted_f1": None if nothing_to_find(rows, task) else round_score(float(f1(counts.sum(axis=0)))),
        "weighted_f1_interval": round_interval(of_f1),
    }

"""Scores of explanations, by row and by set: means with intervals that resample posts, and what was not scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    ExplanationRow,
    MetricSpec,
    ScoreColumn,
)
from mentallama.explanation_metrics.registry import EXPLANATION_METRICS, MetricKind
from mentallama.explanation_metrics.right_reason import (
    REQUIRED_COLUMNS,
    RightReasonScore,
    has_right_reason,
    right_reason_score,
)
from mentallama.metrics.bootstrap import Resampling, mean_intervals
from mentallama.metrics.classification import round_score
from mentallama.records import Record


class ColumnScore(Record):
    """The mean of one column over the `n` rows that have a value, with its 95 % bootstrap interval over posts.

    Both are None where no row has a value; the interval also where there are fewer than two posts.
    """

    mean: float | None
    interval: tuple[float, float] | None
    n: int


class SetExplanationScores(Record):
    """Scores of one set's explanations.

    `rows` counts the answers to labelled rows, `absent` those of them without an explanation by reason (refused,
    empty), and `unscored` those that a metric could not score, by metric and reason. `right_reason` is None where one
    of its metrics was not computed.
    """

    rows: int
    absent: dict[str, int] = {}
    unscored: dict[str, dict[str, int]] = {}
    columns: dict[str, ColumnScore] = {}
    right_reason: RightReasonScore | None = None

    @property
    def explained(self) -> int:
        """Number of answers with an explanation."""
        return self.rows - sum(self.absent.values())


def scored_columns(sets: Iterable[SetExplanationScores]) -> list[ScoreColumn]:
    """The columns that any of the sets has, in the order of tables."""
    names = {name for one in sets for name in one.columns}
    return [
        column for kind in EXPLANATION_METRICS.values() for column in kind.columns if column.name in names
    ]


def score_cases(
    cases: Sequence[ExplanationCase], metrics: Sequence[tuple[MetricKind, ExplanationMetric]]
) -> list[ExplanationRow]:
    """Score every case that has an explanation by every metric; one row per case, in order."""
    present = [case for case in cases if case.absence is None]
    names = [MetricSpec.parse(metric.name).name for _, metric in metrics]
    scores = [iter(metric.score(present)) for _, metric in metrics]
    return [
        _row(
            case,
            [] if case.absence else [(name, next(s)) for name, s in zip(names, scores, strict=True)],
        )
        for case in cases
    ]


def _row(case: ExplanationCase, scores: Sequence[tuple[str, CaseScore]]) -> ExplanationRow:
    row = ExplanationRow(
        example_id=case.example.id,
        set=case.example.task,
        question=case.example.question,
        post_id=case.example.post_id,
        gold=case.example.label,
        predicted=case.reading.label,
        absence=case.absence,
        values={name: value for _, score in scores for name, value in score.values.items()},
        unscored={metric: score.reason for metric, score in scores if score.reason is not None},
    )
    return row.model_copy(update={"right_reason": has_right_reason(row)})


def summarize_rows(
    rows: Sequence[ExplanationRow], columns: Sequence[str], resampling: Resampling
) -> SetExplanationScores:
    """The scores of one set's rows; `columns` are the columns of all metrics, in the order of tables."""
    unscored: dict[str, Counter[str]] = {}
    for row in rows:
        for metric, reason in row.unscored.items():
            unscored.setdefault(metric, Counter())[reason] += 1
    return SetExplanationScores(
        rows=len(rows),
        absent=dict(Counter(row.absence for row in rows if row.absence is not None)),
        unscored={metric: dict(reasons) for metric, reasons in unscored.items()},
        columns=_column_scores(rows, columns, resampling),
        right_reason=right_reason_score(rows, resampling) if set(columns) >= REQUIRED_COLUMNS else None,
    )


def _column_scores(
    rows: Sequence[ExplanationRow], columns: Sequence[str], resampling: Resampling
) -> dict[str, ColumnScore]:
    import numpy as np

    values = np.array([[row.values.get(name, np.nan) for name in columns] for row in rows], dtype=np.float64)
    values = values.reshape(len(rows), len(columns))
    intervals = mean_intervals(values, [row.post_id for row in rows], resampling)
    scores = {}
    for name, column, interval in zip(columns, values.T, intervals, strict=True):
        scored = column[~np.isnan(column)]
        scores[name] = ColumnScore(
            mean=round_score(float(scored.mean())) if len(scored) else None,
            interval=None if interval is None else (round_score(interval[0]), round_score(interval[1])),
            n=len(scored),
        )
    return scores


def rows_by_set(rows: Sequence[ExplanationRow]) -> Mapping[str, list[ExplanationRow]]:
    """The rows of each set, sets in order of their first row."""
    by_set: dict[str, list[ExplanationRow]] = {}
    for row in rows:
        by_set.setdefault(row.set, []).append(row)
    return by_set

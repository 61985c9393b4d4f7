"""Scores of explanations by row and by set."""

from __future__ import annotations

import pytest

from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.registry import DEFAULT_METRICS, EXPLANATION_METRICS, open_metrics
from mentallama.explanation_metrics.scoring import score_cases, summarize_rows
from mentallama.metrics.bootstrap import Resampling, mean_interval
from mentallama.records import Example, Reading


def case(number: int, explanation: str, reference: str | None, status: str = "parsed") -> ExplanationCase:
    example = Example(
        id=str(number),
        post_id=f"p{number}",
        task="DR",
        question="depression",
        form="instruction",
        text="so tired",
        label="yes",
    )
    label = "yes" if status == "parsed" else None
    reading = Reading(status=status, label=label, explanation=explanation)  # type: ignore[arg-type]
    return ExplanationCase(example=example, reading=reading, reference=reference)


def test_refused_and_empty_explanations_are_counted_and_not_scored() -> None:
    cases = [
        case(0, "tired and sad", "tired and sad"),
        case(1, "tired", "sad"),
        case(2, "", "sad"),
        case(3, "I cannot help.", "sad", "refused"),
        case(4, "tired", None),
    ]
    rows = score_cases(cases, open_metrics(["overlap"], MetricOptions()))
    scores = summarize_rows(rows, ["rouge1"], Resampling(resamples=100))
    assert [row.values.get("rouge1") for row in rows] == [100.0, 0.0, None, None, None]
    assert scores.rows == 5
    assert scores.absent == {"empty": 1, "refused": 1}
    assert scores.unscored == {"overlap": {"no reference": 1}}
    assert (scores.columns["rouge1"].mean, scores.columns["rouge1"].n) == (50.0, 2)


def test_the_interval_of_a_mean_draws_the_rows_of_a_post_together() -> None:
    # Two posts with means 0 and 1: a resample holds 0, 1 or 2 of the second, so the ends are 0 and 1 whatever the rows.
    values, posts = [0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"]
    assert mean_interval(values, posts, Resampling(resamples=200)) == (0.0, 1.0)
    assert mean_interval([1.0, 2.0], ["a", "a"], Resampling()) is None


@pytest.mark.parametrize(
    ("specs", "message"),
    [(["overlp"], "overlap"), (["overlap:x"], "takes no location"), (["overlap", "overlap"], "named twice")],
)
def test_wrong_specs_are_named(specs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_metrics(specs, MetricOptions())


def test_the_table_names_every_metric_once_and_its_columns_are_distinct() -> None:
    columns = [column.name for kind in EXPLANATION_METRICS.values() for column in kind.columns]
    assert len(set(columns)) == len(columns)
    assert set(DEFAULT_METRICS) <= set(EXPLANATION_METRICS)

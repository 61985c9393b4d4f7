"""Overlap of responses with references: by row, by the gate's bound, by set and teacher."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mentallama.check.gates.reference_overlap import (
    check_reference_overlap,
    collect_references,
    overlap_report,
    score_overlap,
)
from mentallama.check.response_rows import ResponseRow
from tests.factories.check_cases import post_of, row_for


def answered(number: int, explanation: str, model: str = "teacher", name: str = "DR") -> ResponseRow:
    post = post_of(name, f"Grey week number {number} has come.", {"depression": "no"}, number=number)
    text = f"No, the poster does not suffer from depression. Reasoning: {explanation}"
    return row_for(post, "depression", text, model=model)


def test_rows_are_measured_against_references_of_the_same_post_and_question() -> None:
    rows = [answered(1, "The tone is calm."), answered(2, "The tone is calm.")]
    references = collect_references(
        [answered(2, "The tone is calm.", "golden"), answered(3, "It is grey.", "golden")]
    )
    found = score_overlap(rows, references)
    assert found[0] == {}
    assert found[1] == pytest.approx({"chrf": 100, "bleu": 100, "rouge1": 100, "rouge2": 100, "rougeL": 100})


def test_the_gate_judges_by_chrf_where_there_is_a_bound_and_a_reference() -> None:
    rows = [answered(1, "x"), answered(2, "y"), answered(3, "z")]
    measured: list[dict[str, float]] = [{"chrf": 30.0}, {"chrf": 29.9}, {}]
    verdicts = check_reference_overlap(rows, measured, 30)
    assert [(each.ok, each.score) for each in verdicts] == [(True, 30.0), (False, 29.9), (True, None)]
    assert verdicts[1].reason == "chrF against the reference is 29.9, below 30"
    assert verdicts[2].reason == "not judged: there is no reference"
    assert all(each.ok for each in check_reference_overlap(rows, measured, None))


def test_figures_are_means_by_set_and_teacher() -> None:
    rows = [answered(1, "x"), answered(2, "y"), answered(3, "z"), answered(3, "z", "other")]
    measured: list[dict[str, float]] = [{"chrf": 20.0}, {"chrf": 30.0}, {}, {"chrf": 7.0}]
    assert overlap_report(rows, measured) == [
        {"set": "DR", "model": "teacher", "references": 2, "chrf": 25.0},
        {"set": "DR", "model": "other", "references": 1, "chrf": 7.0},
    ]


def test_another_measure_is_one_more_line() -> None:
    def length(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
        return [float(len(each) - len(other)) for each, other in zip(hypotheses, references, strict=True)]

    rows = [answered(1, "Calm."), answered(2, "Calm and steady.")]
    found = score_overlap(rows, collect_references([answered(2, "Calm.", "golden")]), {"length": length})
    assert found == [{}, {"length": 11.0}]

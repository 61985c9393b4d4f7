"""Overlap with a reference explanation: ROUGE-1, -2 and -L, BLEU and chrF."""

from __future__ import annotations

from collections.abc import Sequence

from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    ScoreColumn,
    unscored,
)
from mentallama.metrics.registry import overlap_scores

OVERLAP_COLUMNS = (
    ScoreColumn("rouge1", "ROUGE-1"),
    ScoreColumn("rouge2", "ROUGE-2"),
    ScoreColumn("rougeL", "ROUGE-L"),
    ScoreColumn("bleu", "BLEU"),
    ScoreColumn("chrf", "chrF"),
)


class OverlapWithReference(ExplanationMetric):
    """Overlap of words and characters with the reference explanation, 0-100."""

    name = "overlap"

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> OverlapWithReference:
        del location, options
        return cls()

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        scores = overlap_scores((case.explanation, case.reference) for case in cases if case.reference)
        return [
            CaseScore(values=next(scores)) if case.reference else unscored("no reference") for case in cases
        ]

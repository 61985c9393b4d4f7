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
from mentallama.metrics.registry import OVERLAP_METRICS
from mentallama.metrics.text_overlap import PAIRS_AT_ONCE
from mentallama.parallel import batched

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
        pairs = [(case.explanation, case.reference) for case in cases if case.reference]
        scores = (score for batch in batched(pairs, PAIRS_AT_ONCE) for score in _score_pairs(batch))
        return [next(scores) if case.reference else unscored("no reference") for case in cases]


def _score_pairs(pairs: Sequence[tuple[str, str]]) -> list[CaseScore]:
    """The scores of pairs of explanation and reference."""
    explanations, references = zip(*pairs, strict=True)
    columns = [metric(explanations, references) for metric in OVERLAP_METRICS.values()]
    return [
        CaseScore(values=dict(zip(OVERLAP_METRICS, row, strict=True))) for row in zip(*columns, strict=True)
    ]

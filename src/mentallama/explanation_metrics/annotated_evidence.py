"""Annotated evidence: overlap of an answer's evidence with the passages that annotators marked for the gold label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mentallama.answers.quotations import match_quotes
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    ScoreColumn,
    unscored,
)
from mentallama.metrics.span_overlap import Offsets, token_overlap, touched_tokens
from mentallama.records import Span
from mentallama.tasks import Task
from mentallama.text.quote_extraction import extract_quotes
from mentallama.text.tokenize import word_spans

ANNOTATED_EVIDENCE_COLUMNS = (
    ScoreColumn("evidence_precision", "evidence precision", in_terminal=False),
    ScoreColumn("evidence_recall", "evidence recall", in_terminal=False),
    ScoreColumn("evidence_f1", "evidence token F1"),
    ScoreColumn("evidence_iou", "evidence IoU"),
)


class AnnotatedEvidence(ExplanationMetric):
    """Token precision, recall, F1 and IoU, in percent, of the answer's evidence against the annotators' (ERASER).

    The evidence of an answer are the passages that the model marked in favour of it; if it marked none, the passages
    that its explanation quotes. An answer without either has 0 in all columns. Posts in which annotators marked
    nothing for the gold label are unscored.
    """

    name = "annotated_evidence"

    def __init__(self, options: MetricOptions) -> None:
        self._options = options

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> AnnotatedEvidence:
        del location
        return cls(options)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        return [_score(case, self._options.tasks[case.example.task]) for case in cases]


def _score(case: ExplanationCase, task: Task) -> CaseScore:
    annotated = _offsets(case.annotated)
    tokens = word_spans(case.example.text) if annotated else []
    if not touched_tokens(tokens, annotated):
        return unscored("no evidence of annotators")
    overlap = token_overlap(tokens, _offsets(_evidence(case, task)), annotated)
    return CaseScore(
        values={
            column.name: 100 * value
            for column, value in zip(ANNOTATED_EVIDENCE_COLUMNS, overlap, strict=True)
        }
    )


def _evidence(case: ExplanationCase, task: Task) -> list[Span]:
    """The passages that speak for the answer."""
    marked = [span for span in case.evidence if span.weight is None or span.weight > 0]
    if marked:
        return marked
    matches = match_quotes(case.example.text, extract_quotes("", case.explanation), task)
    return [span for match in matches for span in match.spans]


def _offsets(spans: Iterable[Span]) -> list[Offsets]:
    return [(span.start, span.end) for span in spans]

"""Agreement of a written reason with the model's own evidence: does it name what the answer rests on, and only that?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import median

from mentallama.answers.quotations import match_quotes
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    ScoreColumn,
    unscored,
)
from mentallama.metrics.span_overlap import touched_tokens
from mentallama.records import Span
from mentallama.tasks import Task
from mentallama.text.quote_extraction import extract_quotes
from mentallama.text.quote_matching import find_quote
from mentallama.text.tokenize import word_spans

TOP_SPANS = 3
"""Spans of evidence that a reason should name: explanations in the published release have two to four quotations."""

NO_EVIDENCE = "no evidence of the model"

EVIDENCE_AGREEMENT_COLUMNS = (
    ScoreColumn("evidence_named", "evidence named"),
    ScoreColumn("quotes_beside_evidence", "quotes beside the evidence", direction=-1),
)


class EvidenceAgreement(ExplanationMetric):
    """Compares what a reason names with the model's own evidence, in percent.

    `evidence_named` is the share of the `TOP_SPANS` strongest passages in favour of the answer that the reason names: a
    quotation covers at least half of the words, or the reason repeats them, up to small changes.
    `quotes_beside_evidence` is the share of the reason's quotations of the post that do not matter by the model's own
    evidence: for or against the answer, they contribute less than half of the passages of as many words of the post do.
    Answers without evidence in their favour are unscored, and the second number is missing where nothing of the post is
    quoted.

    The evidence is that of the stage `explain` where there is any, otherwise that of the prediction. It shows what the
    label rests on; a reason can fail this test and still be a good reason.
    """

    name = "evidence_agreement"

    def __init__(self, options: MetricOptions) -> None:
        self._options = options

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> EvidenceAgreement:
        del location
        return cls(options)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        return [_score(case, self._options.tasks[case.example.task]) for case in cases]


def _score(case: ExplanationCase, task: Task) -> CaseScore:
    evidence = case.attributed or case.evidence
    top = sorted((span for span in evidence if _weight(span) > 0), key=_weight, reverse=True)[:TOP_SPANS]
    if not top:
        return unscored(NO_EVIDENCE)
    matches = match_quotes(case.example.text, extract_quotes("", case.explanation), task)
    quoted = [match.spans for match in matches if match.spans]
    words = word_spans(case.example.text)
    named = [_is_named(span, case, words, quoted) for span in top]
    values = {"evidence_named": 100 * sum(named) / len(top)}
    if quoted:
        weights = _word_weights(words, case.contributions or evidence)
        beside = [_is_beside(_words_in(words, spans), weights) for spans in quoted]
        values["quotes_beside_evidence"] = 100 * sum(beside) / len(quoted)
    return CaseScore(values=values)


def _weight(span: Span) -> float:
    return span.weight or 0.0


def _is_named(
    span: Span,
    case: ExplanationCase,
    words: Sequence[tuple[int, int]],
    quoted: Sequence[Sequence[Span]],
) -> bool:
    own = _words_in(words, [span])
    covered = own & frozenset[int]().union(*(_words_in(words, spans) for spans in quoted))
    if own and 2 * len(covered) >= len(own):
        return True
    return find_quote(case.explanation, case.example.text[span.start : span.end]) is not None


def _is_beside(words: frozenset[int], weights: Sequence[float]) -> bool:
    """Whether words contribute less than the median passage of as many words."""
    sums = [0.0, *accumulate(weights)]
    passages = [abs(stop - start) for start, stop in zip(sums, sums[len(words) :], strict=False)]
    return abs(sum(weights[word] for word in words)) < median(passages)


def _word_weights(words: Sequence[tuple[int, int]], contributions: Sequence[Span]) -> list[float]:
    """The contribution of each word; that of a passage is divided evenly among its words."""
    weights = [0.0] * len(words)
    for span in contributions:
        own = _words_in(words, [span])
        for word in own:
            weights[word] += _weight(span) / len(own)
    return weights


def _words_in(words: Sequence[tuple[int, int]], spans: Sequence[Span]) -> frozenset[int]:
    return touched_tokens(words, [(span.start, span.end) for span in spans])

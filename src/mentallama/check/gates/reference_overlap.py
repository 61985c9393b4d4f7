"""Gate: the explanation is similar to a reference explanation, where there is one.

A reference is what an expert wrote about the same post and question or, failing that, the published release's response.
Overlap in wording is a weak sign of quality, so the gate drops rows only if the recipe sets a threshold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from mentallama.check.gate import CorpusVerdicts, ResponseCorpus
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_rows import ResponseRow
from mentallama.metrics.registry import OVERLAP_METRICS, overlap_scores
from mentallama.metrics.text_overlap import OverlapMetric
from mentallama.records import Verdict
from mentallama.text.fingerprint import text_key

GATE = "reference_overlap"
CHRF = "chrf"

ReferenceKey = tuple[str, str, str]
"""Set, question, and the normalised key of the post's text."""
OverlapScores = dict[str, float]
"""Metric -> score, 0-100; empty if the row has no reference."""


def judge_reference_overlap(corpus: ResponseCorpus, threshold: float | None) -> CorpusVerdicts | None:
    """Score every explanation against its reference; None if there is neither a reference nor a threshold."""
    references = collect_references(corpus.reference_rows()) | collect_references(corpus.expert_rows)
    if not references and threshold is None:
        return None
    scores = score_overlap(corpus.rows, references)
    return CorpusVerdicts(
        check_reference_overlap(corpus.rows, scores, threshold), tuple(overlap_report(corpus.rows, scores))
    )


def collect_references(rows: Iterable[ResponseRow]) -> dict[ReferenceKey, str]:
    """The explanations of reference rows, by post and question."""
    return {reference_key(row): row.reading.explanation for row in rows if row.reading.explanation}


def reference_key(row: ResponseRow) -> ReferenceKey:
    """The key of the post and question that a reference is for, whichever file the post came from."""
    return row.task.set, row.example.question, text_key(row.post.text)


def score_overlap(
    rows: Sequence[ResponseRow],
    references: Mapping[ReferenceKey, str],
    metrics: Mapping[str, OverlapMetric] = OVERLAP_METRICS,
) -> list[OverlapScores]:
    """Score each row's explanation against its reference; a row without one has no scores."""
    with_reference = [
        (index, references[key])
        for index, row in enumerate(rows)
        if (key := reference_key(row)) in references
    ]
    pairs = ((rows[index].reading.explanation, reference) for index, reference in with_reference)
    scores: list[OverlapScores] = [{} for _ in rows]
    for (index, _), row_scores in zip(with_reference, overlap_scores(pairs, metrics), strict=True):
        scores[index] = row_scores
    return scores


def check_reference_overlap(
    rows: Sequence[ResponseRow], scores: Sequence[OverlapScores], threshold: float | None
) -> list[Verdict]:
    """Fail rows whose chrF is below the threshold; without a threshold none fails.

    A row without a reference passes as not judged.
    """
    return [
        _verdict(row, row_scores.get(CHRF), threshold) for row, row_scores in zip(rows, scores, strict=True)
    ]


def overlap_report(rows: Sequence[ResponseRow], scores: Sequence[OverlapScores]) -> list[GateReportRow]:
    """Mean scores (0-100, two decimals) per set and teacher with references, in the order of the rows."""
    groups: dict[tuple[str, str], list[OverlapScores]] = defaultdict(list)
    for row, row_scores in zip(rows, scores, strict=True):
        if row_scores:
            groups[row.task.set, row.response.model].append(row_scores)
    return [_overlap_report_row(name, model, group) for (name, model), group in groups.items()]


def _overlap_report_row(name: str, model: str, group: Sequence[OverlapScores]) -> GateReportRow:
    line: GateReportRow = {"set": name, "model": model, "references": len(group)}
    line.update({metric: round(fmean(scores[metric] for scores in group), 2) for metric in group[0]})
    return line


def _verdict(row: ResponseRow, score: float | None, threshold: float | None) -> Verdict:
    if score is None:
        return row.not_judged(GATE, "there is no reference")
    reason = None
    if threshold is not None and score < threshold:
        reason = f"chrF against the reference is {score:.1f}, below {threshold:g}"
    return row.verdict(GATE, reason, round(score, 2))

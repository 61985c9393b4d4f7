"""Gate and figures: how near explanations are to reference explanations, where there are any.

A reference is the release's golden or, before it, what an expert wrote about the same post and question. Nearness of
wording is a weak sign of quality; the gate exists only where a recipe sets a bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_row import ResponseRow
from mentallama.metrics.registry import OVERLAP_METRICS
from mentallama.metrics.text_overlap import OverlapMetric
from mentallama.records import Verdict
from mentallama.text.fingerprint import text_key

GATE = "reference_overlap"
CHRF = "chrf"

ReferenceKey = tuple[str, str, str]
"""Set, question, and the key of the post's text."""
OverlapScores = dict[str, float]
"""Measure -> score, 0-100; empty where there is no reference."""


def collect_references(goldens: Iterable[ResponseRow]) -> dict[ReferenceKey, str]:
    """The explanations of rows that hold the release's own responses."""
    return {reference_key(row): row.reading.explanation for row in goldens if row.reading.explanation}


def reference_key(row: ResponseRow) -> ReferenceKey:
    """What a row's reference is filed under."""
    return row.task.set, row.example.question, text_key(row.post.text)


def score_overlap(
    rows: Sequence[ResponseRow],
    references: Mapping[ReferenceKey, str],
    measures: Mapping[str, OverlapMetric] = OVERLAP_METRICS,
) -> list[OverlapScores]:
    """Measure each row's explanation against its reference; a row without one has no scores."""
    known = [
        (at, references[place]) for at, row in enumerate(rows) if (place := reference_key(row)) in references
    ]
    ours, theirs = [rows[at].reading.explanation for at, _ in known], [reference for _, reference in known]
    found: list[OverlapScores] = [{} for _ in rows]
    for name, function in measures.items():
        for (at, _), score in zip(known, function(ours, theirs), strict=True):
            found[at][name] = score
    return found


def check_reference_overlap(
    rows: Sequence[ResponseRow], measured: Sequence[OverlapScores], threshold: float | None
) -> list[Verdict]:
    """Judge rows by what `score_overlap` found: chrF below the threshold fails; without a threshold nothing does.

    A row without a reference passes as not judged.
    """
    return [_verdict(row, scores.get(CHRF), threshold) for row, scores in zip(rows, measured, strict=True)]


def overlap_report(rows: Sequence[ResponseRow], measured: Sequence[OverlapScores]) -> list[GateReportRow]:
    """Mean scores (0-100, two digits), a line a set and teacher with references, in the order of the rows."""
    lines: dict[tuple[str, str], list[OverlapScores]] = defaultdict(list)
    for row, scores in zip(rows, measured, strict=True):
        if scores:
            lines[row.task.set, row.response.model].append(scores)
    return [_overlap_report_row(name, model, found) for (name, model), found in lines.items()]


def _overlap_report_row(name: str, model: str, found: Sequence[OverlapScores]) -> GateReportRow:
    line: GateReportRow = {"set": name, "model": model, "references": len(found)}
    line.update({each: round(fmean(scores[each] for scores in found), 2) for each in found[0]})
    return line


def _verdict(row: ResponseRow, score: float | None, threshold: float | None) -> Verdict:
    if score is None:
        return row.verdict(GATE).model_copy(update={"reason": "not judged: there is no reference"})
    reason = None
    if threshold is not None and score < threshold:
        reason = f"chrF against the reference is {score:.1f}, below {threshold:g}"
    return row.verdict(GATE, reason, round(score, 2))

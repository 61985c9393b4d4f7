"""Metrics of typed spans, in tokens of the text: exact and partial matches of spans, and tokens in spans.

Definitions are those of the tasks that named them: exact and partial matches as in SemEval-2013 Task 9.1 (Segura-Bedmar
et al. 2013; MUC-5, Chinchor and Sundheim 1993), tokens as in ERASER (DeYoung et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

TokenRange = tuple[int, int]
"""First token (inclusive) and last (exclusive), from 0."""


class SpanCounts(NamedTuple):
    """Spans of one type: pairs with equal ends, further pairs that overlap, and spans of either side."""

    exact: int
    overlapping: int
    gold: int
    predicted: int


class TokenCounts(NamedTuple):
    """Tokens in spans of one type: of both sides, of the gold side, of the predicted side."""

    hits: int
    gold: int
    predicted: int


def match_spans(
    gold: Iterable[TokenRange], predicted: Iterable[TokenRange], not_in_text: int = 0
) -> SpanCounts:
    """Pair the spans of one type; each is in at most one pair.

    Equal spans are paired first, then overlapping ones in the order of the text.

    Parameters
    ----------
    not_in_text
        Predicted spans that do not stand in the text: predicted, and never right.

    Examples
    --------
    >>> match_spans([(0, 2), (4, 7)], [(0, 2), (6, 8)])
    SpanCounts(exact=1, overlapping=1, gold=2, predicted=2)
    """
    gold_set, predicted_set = set(gold), set(predicted)
    exact = gold_set & predicted_set
    left = sorted(predicted_set - exact)
    overlapping = 0
    for start, end in sorted(gold_set - exact):
        match = next((other for other in left if other[0] < end and start < other[1]), None)
        if match is not None:
            left.remove(match)
            overlapping += 1
    return SpanCounts(len(exact), overlapping, len(gold_set), len(predicted_set) + not_in_text)


def match_tokens(
    gold: Iterable[TokenRange], predicted: Iterable[TokenRange], not_in_text: int = 0
) -> TokenCounts:
    """Count the tokens of the spans of one type; one that lies in two spans of a side counts once.

    `not_in_text` are tokens of predicted spans that do not stand in the text.

    >>> match_tokens([(0, 2), (4, 7)], [(0, 2), (6, 8)])
    TokenCounts(hits=3, gold=5, predicted=4)
    """
    gold_tokens, predicted_tokens = (
        {token for start, end in ranges for token in range(start, end)} for ranges in (gold, predicted)
    )
    hits = len(gold_tokens & predicted_tokens)
    return TokenCounts(hits, len(gold_tokens), len(predicted_tokens) + not_in_text)


def exact_span_f1(counts: Sequence[SpanCounts]) -> float | None:
    """F1 of spans with equal ends over types, pooled, in percent; None if there are no spans."""
    return _f1(counts, 0.0)


def partial_span_f1(counts: Sequence[SpanCounts]) -> float | None:
    """The same, where a pair that overlaps counts half (the partial match of SemEval-2013 Task 9.1)."""
    return _f1(counts, 0.5)


def _f1(counts: Sequence[SpanCounts], credit: float) -> float | None:
    total = sum(part.gold + part.predicted for part in counts)
    matched = sum(part.exact + credit * part.overlapping for part in counts)
    return 100 * 2 * matched / total if total else None

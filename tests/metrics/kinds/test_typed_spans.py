"""Matches of spans and tokens, worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.metrics.kinds.typed_spans import (
    SpanCounts,
    TokenRange,
    exact_span_f1,
    match_spans,
    match_tokens,
    partial_span_f1,
)

RANGES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=6).map(
    lambda drawn: [(start, start + length) for start, length in drawn]
)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([(0, 3)], [(0, 3)], (1, 0, 1, 1)),
        ([(0, 3)], [(1, 3)], (0, 1, 1, 1)),
        ([(0, 3)], [(3, 5)], (0, 0, 1, 1)),  # ranges that touch have no token in common
        ([(0, 6)], [(0, 2), (3, 5)], (0, 1, 1, 2)),  # one gold span, so one pair
        ([(0, 2), (3, 5)], [(0, 6)], (0, 1, 2, 1)),
        ([(0, 4), (2, 6)], [(0, 4)], (1, 0, 2, 1)),  # an equal span is not spent on one that overlaps
        ([(0, 2), (0, 2)], [(0, 2)], (1, 0, 1, 1)),  # a span counts once
        ([], [(0, 2)], (0, 0, 0, 1)),
        ([(0, 2)], [], (0, 0, 1, 0)),
    ],
)
def test_spans_by_hand(
    gold: list[TokenRange], predicted: list[TokenRange], expected: tuple[int, ...]
) -> None:
    assert match_spans(gold, predicted) == expected


def test_what_does_not_stand_in_the_text_is_predicted_and_never_right() -> None:
    assert match_spans([(0, 2)], [(0, 2)], not_in_text=2) == (1, 0, 1, 3)
    assert match_tokens([(0, 2)], [(0, 2)], not_in_text=5) == (2, 2, 7)


def test_f1_by_hand() -> None:
    # two types: 1 exact pair of 2 gold and 1 predicted; 1 overlapping pair of 1 gold and 2 predicted: 6 spans
    counts = [SpanCounts(1, 0, 2, 1), SpanCounts(0, 1, 1, 2)]
    assert exact_span_f1(counts) == pytest.approx(100 * 2 * 1 / 6)
    assert partial_span_f1(counts) == pytest.approx(100 * 2 * 1.5 / 6)
    assert exact_span_f1([SpanCounts(0, 0, 0, 0)]) is None


def test_tokens_by_hand() -> None:
    # gold tokens 0 1 2 5; predicted 2 3 5, one of them in two spans
    assert match_tokens([(0, 3), (5, 6)], [(2, 4), (3, 4), (5, 6)]) == (2, 4, 3)


@given(RANGES, RANGES)
def test_properties(gold: list[TokenRange], predicted: list[TokenRange]) -> None:
    counts = match_spans(gold, predicted)
    assert counts.exact + counts.overlapping <= min(counts.gold, counts.predicted)
    assert match_spans(gold, gold) == (len(set(gold)), 0, len(set(gold)), len(set(gold)))
    tokens, mirrored = match_tokens(gold, predicted), match_tokens(predicted, gold)
    assert (tokens.hits, tokens.gold, tokens.predicted) == (
        mirrored.hits,
        mirrored.predicted,
        mirrored.gold,
    )
    assert (tokens.hits > 0) == (counts.exact + counts.overlapping > 0)

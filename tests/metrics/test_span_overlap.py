"""Overlap of evidence with annotators' spans, in tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.metrics.span_overlap import (
    partial_match_f1,
    ranking_auprc,
    token_overlap,
    touched_tokens,
)

TOKENS = [(0, 2), (3, 8), (9, 11), (12, 17)]  # four tokens with a space between them


@pytest.mark.parametrize(
    ("predicted", "annotated", "expected"),
    [
        ([(0, 17)], [(0, 17)], (1.0, 1.0, 1.0, 1.0)),
        ([(0, 8)], [(3, 11)], (1 / 2, 1 / 2, 1 / 2, 1 / 3)),
        ([(0, 17)], [(3, 8)], (1 / 4, 1.0, 2 / 5, 1 / 4)),
        ([(3, 8)], [(0, 2), (12, 17)], (0.0, 0.0, 0.0, 0.0)),
        ([(7, 10)], [(3, 8)], (1 / 2, 1.0, 2 / 3, 1 / 2)),  # a part of a token is the token
        ([(0, 2), (0, 8)], [(0, 8)], (1.0, 1.0, 1.0, 1.0)),  # a token in two passages counts once
        ([], [(0, 2)], (0.0, 0.0, 0.0, 0.0)),
        ([(2, 3)], [(0, 2)], (0.0, 0.0, 0.0, 0.0)),  # the space touches no token
    ],
)
def test_overlap_worked_by_hand(
    predicted: list[tuple[int, int]], annotated: list[tuple[int, int]], expected: tuple[float, ...]
) -> None:
    assert token_overlap(TOKENS, predicted, annotated) == pytest.approx(expected)


def test_without_annotated_tokens_there_is_nothing_to_compare_with() -> None:
    for annotated in ([], [(2, 3)]):
        with pytest.raises(ValueError, match="touch no token"):
            token_overlap(TOKENS, [(0, 2)], annotated)


PASSAGES = st.lists(
    st.tuples(st.integers(0, 17), st.integers(0, 17)).map(lambda ends: (min(ends), max(ends))), max_size=4
)


@given(PASSAGES, PASSAGES)
def test_shares_are_bounded_and_agree(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    if not touched_tokens(TOKENS, first) or not touched_tokens(TOKENS, second):
        return
    one, other = token_overlap(TOKENS, first, second), token_overlap(TOKENS, second, first)
    assert one.precision == other.recall
    assert (one.f1, one.iou) == (other.f1, other.iou)
    assert 0 <= one.iou <= min(one.precision, one.recall) <= one.f1 <= max(one.precision, one.recall) <= 1
    assert one.f1 == pytest.approx(2 * one.iou / (1 + one.iou))


@pytest.mark.parametrize(
    ("predicted", "annotated", "expected"),
    [
        ([(0, 8)], [(0, 8)], 1.0),
        ([(0, 8)], [(3, 8)], 1.0),  # half of the two tokens
        ([(0, 11)], [(3, 8)], 0.0),  # a third of them
        ([(0, 2), (12, 17)], [(0, 2)], 2 / 3),  # precision 1/2, recall 1
        ([(0, 2)], [(0, 2), (9, 17)], 2 / 3),  # precision 1, recall 1/2
        ([(0, 17)], [(0, 8), (9, 17)], 1.0),  # matches both
        ([], [(0, 2)], 0.0),
        ([(2, 3)], [(0, 2)], 0.0),  # the space is no passage
    ],
)
def test_whole_passages_worked_by_hand(
    predicted: list[tuple[int, int]], annotated: list[tuple[int, int]], expected: float
) -> None:
    assert partial_match_f1(TOKENS, predicted, annotated) == pytest.approx(expected)


@given(PASSAGES, PASSAGES)
def test_matching_is_symmetric(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    if not touched_tokens(TOKENS, first) or not touched_tokens(TOKENS, second):
        return
    one = partial_match_f1(TOKENS, first, second)
    assert one == pytest.approx(partial_match_f1(TOKENS, second, first))
    assert 0 <= one <= 1


def test_ranking_worked_by_hand() -> None:
    # Annotated: the first and third of four tokens, ranked second and third: precision 1/2 at recall 1/2, 2/3 at 1.
    assert ranking_auprc(TOKENS, [2.0, 3.0, 1.0, 0.0], [(0, 2), (9, 11)]) == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )
    assert ranking_auprc(TOKENS, [3.0, 1.0, 2.0, 0.0], [(0, 2), (9, 11)]) == 1
    # Without any ranking, all tokens come at once: the share of annotated ones.
    assert ranking_auprc(TOKENS, [0.0] * 4, [(0, 2)]) == pytest.approx(1 / 4)


def test_a_ranking_needs_annotated_tokens() -> None:
    for score in (partial_match_f1, lambda *given: ranking_auprc(given[0], [1.0] * 4, given[2])):
        with pytest.raises(ValueError, match="touch no token"):
            score(TOKENS, [(0, 2)], [(2, 3)])

"""Spans chosen from contributions, and the reason written from them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.linear.features import split_words
from mentallama.analysts.linear.rationale import (
    MAX_OPPOSING_QUOTES,
    MAX_QUOTE_WORDS,
    MAX_SUPPORTING_QUOTES,
    MIN_LOG_ODDS,
    Support,
    choose_spans,
    outweighing_spans,
    write_rationale,
)
from mentallama.records import Span
from mentallama.tasks import ExplanationTemplate

REASON = ExplanationTemplate(
    evidence="It says {quotes}, {because}.",
    counter_evidence="Against it: {quotes}.",
    no_counter_evidence="Nothing against it.",
    inconclusive="Little to go by.",
    unsupported="Nothing speaks for it.",
)


def chosen(text: str, contributions: list[float]) -> list[tuple[str, float]]:
    spans = choose_spans(split_words(text), np.array(contributions))
    return [(text[span.start : span.end], round(span.weight or 0, 6)) for span in spans]


def test_the_strongest_words_are_quoted_with_their_weight() -> None:
    assert chosen("we had a fine day", [0, 0, 0, 0, 1.0]) == [("day", 1.0)]


def test_neighbours_are_joined_over_a_small_word() -> None:
    assert chosen("I feel numb and empty now", [0, 0.5, 1, 0, 1, 0]) == [("feel numb and empty", 2.5)]


def test_both_sides_are_given_strongest_first() -> None:
    result = chosen("bad. worse. good. fine. best.", [0.5, 1.0, -0.4, -0.6, -0.3])
    # Of the three words against, the two strongest.
    assert result == [("worse", 1.0), ("bad", 0.5), ("fine", -0.6), ("good", -0.4)]


def test_a_quotation_ends_with_its_clause() -> None:
    assert chosen("numb. empty", [1.0, 0.9]) == [("numb", 1.0), ("empty", 0.9)]
    assert chosen("numb, empty", [1.0, 0.9]) == [("numb, empty", 1.9)]


def test_placeholders_are_not_quoted() -> None:
    assert chosen("see [link] today", [0.0, 3.0, 0.1]) == [("today", 0.1)]


def test_a_minor_stretch_is_left_out() -> None:
    # 0.24 is less than a quarter of 1.0.
    assert chosen("one. two. three.", [1.0, 0.24, 0.25]) == [("one", 1.0), ("three", 0.25)]


def test_faint_words_are_no_evidence() -> None:
    assert chosen("one. two.", [MIN_LOG_ODDS / 2, MIN_LOG_ODDS / 3]) == []


def test_no_words_no_spans() -> None:
    assert chosen("", []) == []


@given(st.data())
def test_spans_stand_on_word_boundaries_and_apart(data: st.DataObject) -> None:
    text = data.draw(st.text(alphabet=st.sampled_from("ab é我😢.,\n [link]-"), max_size=80))
    words = split_words(text)
    size = len(words.forms)
    given_ = data.draw(st.lists(st.floats(-5, 5), min_size=size, max_size=size))
    spans = choose_spans(words, np.array(given_))
    speaks_for = [span for span in spans if (span.weight or 0) > 0]
    assert len(speaks_for) <= MAX_SUPPORTING_QUOTES
    assert len(spans) - len(speaks_for) <= MAX_OPPOSING_QUOTES
    assert spans == tuple(speaks_for) + tuple(span for span in spans if (span.weight or 0) < 0)
    for span in spans:
        first, last = words.starts.tolist().index(span.start), words.ends.tolist().index(span.end)
        assert 0 <= last - first < MAX_QUOTE_WORDS
        assert span.weight == pytest.approx(sum(given_[first : last + 1]), abs=1e-9)
        assert not words.is_placeholder[first : last + 1].any()
    in_order = sorted(spans, key=lambda span: span.start)
    assert all(a.end <= b.start for a, b in pairwise(in_order))


def reason(text: str, *spans: tuple[int, int, float], support: Support = "clear") -> str:
    marked = [Span(start=start, end=end, weight=weight) for start, end, weight in spans]
    return write_rationale(REASON, text, marked, "as sad posts do", support)


def test_a_reason_with_both_sides() -> None:
    text = "numb days, sunny evenings"
    assert reason(text, (0, 4, 1.0), (11, 16, -0.5)) == (
        "It says “numb”, as sad posts do. Against it: “sunny”."
    )


def test_a_reason_with_nothing_against() -> None:
    assert reason("numb days", (0, 4, 1.0)) == "It says “numb”, as sad posts do. Nothing against it."


def test_a_reason_with_little_to_go_by() -> None:
    assert reason("") == "Little to go by."
    assert reason("numb days", (0, 4, 0.1), support="weak") == (
        "It says “numb”, as sad posts do. Little to go by."
    )
    assert reason("numb days", (0, 4, -0.1)) == "Against it: “numb”. Little to go by."


def test_a_reason_that_nothing_supports() -> None:
    assert reason("", support="none") == "Nothing speaks for it."
    assert reason("numb days", (0, 4, -0.1), support="none") == "Against it: “numb”. Nothing speaks for it."
    own = REASON.model_copy(update={"unsupported": None})
    assert write_rationale(own, "", (), "as sad posts do", "none") == "Little to go by."


@pytest.mark.parametrize(
    ("weights", "support", "kept"),
    [
        ((1.0, -0.5), "clear", (1.0, -0.5)),
        ((1.0, -0.5), "weak", (1.0, -0.5)),
        ((1.0, -0.5), "none", (-0.5,)),
        ((1.0, -0.6, -0.5), "clear", (-0.6, -0.5)),
        ((0.5, -0.5), "clear", (-0.5,)),
        ((), "clear", ()),
    ],
)
def test_supporting_spans_are_given_if_they_outweigh_the_others(
    weights: tuple[float, ...], support: Support, kept: tuple[float, ...]
) -> None:
    spans = tuple(Span(start=n, end=n + 1, weight=weight) for n, weight in enumerate(weights))
    assert tuple(span.weight for span in outweighing_spans(spans, support)) == kept


def test_a_wording_is_quoted_once() -> None:
    assert "“numb”, “so”," in reason("numb so Numb", (0, 4, 2.0), (5, 7, 1.0), (8, 12, 0.5))


def test_braces_in_a_post_are_only_braces() -> None:
    assert "“{quotes}”" in reason("{quotes}", (0, 8, 1.0))

"""Evidence as a person would quote it: phrases chosen from the contributions of words."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.evidence_phrases import (
    CONNECTOR,
    CONTENT,
    MAX_OPPOSING_QUOTES,
    MAX_QUOTE_WORDS,
    MAX_SUPPORTING_QUOTES,
    MIN_LOG_ODDS,
    OPENER,
    UNSPACED_WORD,
    choose_spans,
    word_roles,
)
from mentallama.analysts.linear.features import split_words


def chosen(text: str, contributions: list[float]) -> list[tuple[str, float]]:
    spans = choose_spans(split_words(text), np.array(contributions))
    return [(text[span.start : span.end], round(span.weight or 0, 6)) for span in spans]


def quotes(text: str, weights: Mapping[str, float]) -> list[str]:
    """Quotations of a text of whose words some have a weight."""
    forms = split_words(text).forms
    return [quote for quote, _ in chosen(text, [weights.get(form.lower(), 0.0) for form in forms])]


@pytest.mark.parametrize(
    ("text", "weights", "expected"),
    [
        # A clause ends at a comma, and its conjunction is left out.
        (
            "The rent is due, and my boss keeps calling, I can't sleep.",
            {"boss": 0.3, "calling": 0.3, "i": 0.2, "sleep": 0.5},
            ["I can't sleep", "my boss keeps calling"],
        ),
        ("I cried because my exam went badly", {"exam": 1.0}, ["my exam went badly"]),
        # A word or two behind a conjunction belong to what stands before.
        ("I feel numb and empty now", {"numb": 1.0, "empty": 1.0}, ["I feel numb and empty now"]),
        # Function words alone are no evidence.
        ("I can't, not with any of it", {"any": -1.0, "can't": 0.5}, []),
        # A single word is, if it is all that a clause says.
        ("Hopeless. So tired", {"hopeless": 1.0}, ["Hopeless"]),
        # Of a long clause, phrases, which break off neither before a noun nor behind a negation.
        (
            "yesterday the new people from work did not invite me to their long party in the old town",
            {"invite": 1.0},
            ["did not invite me"],
        ),
        (
            "every single morning my head hurts whatever my doctor tells me about the pills",
            {"hurts": 1.0},
            ["my head hurts"],
        ),
        # Without function words, it breaks off between words.
        ("alarm coffee bus desk mail lunch desk mail bus pills bed", {"pills": 1.0}, ["bus pills"]),
        ("Ich bin müde, und mein Chef ruft ständig an", {"chef": 1.0}, ["mein Chef ruft ständig"]),
        (
            "Estoy cansada y no puedo dormir por las noches",
            {"dormir": 1.0},
            ["no puedo dormir por las noches"],
        ),
        ("我睡不着，工作很累。", {"睡": 1.0, "累": 0.5}, ["我睡不着", "工作很累"]),
    ],
)
def test_quotations_read_as_a_person_would_quote(
    text: str, weights: dict[str, float], expected: list[str]
) -> None:
    assert quotes(text, weights) == expected


def test_the_language_with_most_function_words_decides() -> None:
    # "die" is an article in German, and a word of its own in English.
    assert word_roles(["I", "want", "to", "die"])[-1] == CONTENT
    assert word_roles(["Die", "Arbeit", "und", "ich"]).tolist() == [OPENER, CONTENT, CONNECTOR, OPENER]


def test_a_quotation_weighs_the_sum_of_its_words() -> None:
    assert chosen("we had a fine day", [0.25, 0, -0.5, 0, 1.0]) == [("we had a fine day", 0.75)]


def test_numbers_are_not_cut() -> None:
    assert chosen("I owe 3,000 dollars", [0, 0, 1.0, 0, 0]) == [("I owe 3,000 dollars", 1.0)]


def test_both_sides_are_given_strongest_first() -> None:
    result = chosen("bad. worse. good. fine. best.", [0.5, 1.0, -0.4, -0.6, -0.3])
    # Of the three words against, the two strongest.
    assert result == [("worse", 1.0), ("bad", 0.5), ("fine", -0.6), ("good", -0.4)]


def test_placeholders_are_not_quoted() -> None:
    assert chosen("see [link] today", [0.0, 3.0, 0.1]) == [("today", 0.1)]


def test_a_minor_stretch_is_left_out() -> None:
    # 0.24 is less than a quarter of 1.0.
    assert chosen("alpha. beta. gamma.", [1.0, 0.24, 0.25]) == [("alpha", 1.0), ("gamma", 0.25)]


def test_faint_words_are_no_evidence() -> None:
    assert chosen("alpha. beta.", [MIN_LOG_ODDS / 2, MIN_LOG_ODDS / 3]) == []


def test_no_words_no_spans() -> None:
    assert chosen("", []) == []


ALPHABET = st.sampled_from(
    ["ab", "é", "我", "😢", ".", ",", " ", "\n", "[link]", "-", " and ", " the ", " not ", " 3 "]
)


@given(st.data())
def test_spans_stand_on_word_boundaries_and_apart(data: st.DataObject) -> None:
    text = "".join(data.draw(st.lists(ALPHABET, max_size=40)))
    words = split_words(text)
    size = len(words.forms)
    given_ = data.draw(st.lists(st.floats(-5, 5), min_size=size, max_size=size))
    spans = choose_spans(words, np.array(given_))
    speaks_for = [span for span in spans if (span.weight or 0) > 0]
    assert len(speaks_for) <= MAX_SUPPORTING_QUOTES
    assert len(spans) - len(speaks_for) <= MAX_OPPOSING_QUOTES
    assert spans == tuple(speaks_for) + tuple(span for span in spans if (span.weight or 0) < 0)
    roles = word_roles(words.forms)
    for span in spans:
        first, last = words.starts.tolist().index(span.start), words.ends.tolist().index(span.end)
        assert 0 <= last - first < MAX_QUOTE_WORDS / UNSPACED_WORD
        assert span.weight == pytest.approx(sum(given_[first : last + 1]), abs=1e-9)
        assert not words.is_placeholder[first : last + 1].any()
        assert len(set(words.clauses[first : last + 1].tolist())) == 1
        assert CONTENT in roles[first : last + 1]
        assert roles[last] not in {OPENER, CONNECTOR}
        assert roles[first] != CONNECTOR
    in_order = sorted(spans, key=lambda span: span.start)
    assert all(a.end <= b.start for a, b in pairwise(in_order))

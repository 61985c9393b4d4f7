"""The annotators' evidence is placed as character offsets: as written, folded, nearly, or not at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.collect.clean_batch import clean_batch, locate_evidence
from mentallama.collect.readers import RawPost
from mentallama.text.quote_matching import find_quote
from mentallama.text.repair import repair

POST = (
    "I can’t sleep, and the  house is so quiet. Nobody calls me, not even at home; I feel “left out” again."
)


def quoted(cell: str, separator: str | None = ",", text: str = POST) -> tuple[list[str], int]:
    spans, lost = locate_evidence(text, cell, separator)
    return [text[span.start : span.end] for span in spans], lost


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("the  house is so quiet", ["the  house is so quiet"]),
        ("THE HOUSE is so QUIET", ["the  house is so quiet"]),  # case and spaces
        (" the   house\nis so quiet ", ["the  house is so quiet"]),
        ("I can't sleep", ["I can’t sleep"]),  # a straight quote for a curly one
        ('I feel "left out"', ["I feel “left out"]),
        ("‘left out’", ["left out"]),
        ("'Nobody calls me'", ["Nobody calls me"]),  # the cell's own quotation marks
        ("Nobody calls me, not even at home", ["Nobody calls me, not even at home"]),  # a comma inside a span
        ("Nobody calls me, left out", ["Nobody calls me", "left out"]),  # two spans
        ("left out, Nobody calls me", ["Nobody calls me", "left out"]),  # in the order of the post
        ("Nobody calls me,, left out,", ["Nobody calls me", "left out"]),
        ("Nobody calls me, nobody calls me", ["Nobody calls me"]),  # once only
        ("the hose is so quiett", ["the  house is so quiet"]),  # nearly
    ],
)
def test_a_quote_is_placed(cell: str, found: list[str]) -> None:
    assert quoted(cell) == (found, 0)


@pytest.mark.parametrize(
    ("cell", "found", "lost"),
    [
        ("the dog ran over the hill", [], 1),
        ("Nobody calls me, the dog ran over the hill", ["Nobody calls me"], 1),
        ("gone, away, zebra", [], 3),
        ("slepe", [], 1),  # too short to be looked for nearly
        ("", [], 0),
        ("  \n ", [], 0),
        ("?!", [], 1),
    ],
)
def test_what_cannot_be_placed_is_counted(cell: str, found: list[str], lost: int) -> None:
    assert quoted(cell) == (found, lost)


def test_without_separator_a_cell_is_one_quote() -> None:
    assert quoted("Nobody calls me, left out", separator=None) == ([], 1)
    assert quoted("hous is so quiet. Nobody cals me", None) == (["house is so quiet. Nobody calls me"], 0)


def test_a_mis_decoded_quote_is_placed_once_it_is_repaired_as_the_post_is() -> None:
    assert quoted(repair("I can‚Äôt sleep")) == (["I can’t sleep"], 0)
    assert quoted(repair("I canâ€™t sleep")) == (["I can’t sleep"], 0)


def test_offsets_count_characters_not_bytes() -> None:
    (span,), _ = locate_evidence("😀😀 我很累 today", "我很累", None)
    assert (span.start, span.end) == (3, 6)


def test_accents_and_wide_letters_fold() -> None:
    assert quoted("muy cansáda", text="hoy MUY CANSADA") == (["MUY CANSADA"], 0)
    assert quoted("office", text="the ofﬁce") == (["ofﬁce"], 0)  # a ligature is two letters
    assert quoted("tired", text="so ｔｉｒｅｄ") == (["ｔｉｒｅｄ"], 0)


def test_a_near_match_is_widened_to_whole_words() -> None:
    (found,), lost = quoted("nobody cals me not evn at hom")
    assert (found, lost) == ("Nobody calls me, not even at home", 0)


def fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if c.isalnum())


letters = st.text(st.sampled_from("abcdeéÉß ﬁ’'\"“,.\nİı我😀"), max_size=40)


@given(text=letters, quote=letters)
def test_without_nearness_a_span_says_what_the_quote_says(text: str, quote: str) -> None:
    span = find_quote(text, quote, fuzzy=False)
    if span is None:
        assert quote not in text
    else:
        assert 0 <= span.start <= span.end <= len(text)
        assert fold(quote) in fold(text[span.start : span.end])


@given(text=st.text(max_size=60), cell=st.text(max_size=60), separator=st.sampled_from([None, ",", ";"]))
def test_offsets_are_always_inside_the_post_and_in_order(text: str, cell: str, separator: str | None) -> None:
    spans, lost = locate_evidence(text, cell, separator)
    assert lost >= 0
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    starts = [(span.start, span.end) for span in spans]
    assert starts == sorted(set(starts))


@given(
    words=st.lists(st.sampled_from(["rain", "bus", "night", "walk", "tea"]), min_size=4, max_size=12),
    data=st.data(),
)
def test_every_part_of_a_post_is_found_in_any_case(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    part = " ".join(words[start:end])
    (found,), lost = quoted(part.upper(), None, text)
    assert (found.lower(), lost) == (part, 0)


@pytest.mark.parametrize("text", ["&#8203;", "&amp;nbsp;", "\u200e", "\u2800\u3164", "&#xFEFF;\n", "\ud800"])
def test_a_text_of_which_nothing_can_be_read_is_rejected(text: str) -> None:
    row = RawPost("CLP", None, "table", "a.csv", 2, text, {})
    batch = clean_batch([row], salt="", synthetic_hashes=frozenset())
    assert (batch.posts, [each.reason for each in batch.rejects]) == ([], ["the text is empty"])


def test_posts_without_letters_have_hashes_of_their_own() -> None:
    rows = [
        RawPost("DR", None, "table", "p.csv", row, text, {})
        for row, text in enumerate(("😭😭", "🎉", "😭😭"))
    ]
    hashes = clean_batch(rows, salt="", synthetic_hashes=frozenset()).hashes.tolist()
    assert hashes[0] == hashes[2] != hashes[1]

"""Words, clauses and sentences of a text, and texts without some of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.attribution.units import clause_units, only, sentence_units, without, word_units

TEXTS = st.text(alphabet="ab ,.!?;:-—\n我。，'", max_size=40)


def pieces(text: str, units: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in units]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Rent is due, I can't sleep. Help", ["Rent is due,", "I can't sleep.", "Help"]),
        ("I paid 3,000 at 5:30 for a so-called fix", ["I paid 3,000 at 5:30 for a so-called fix"]),
        ('Tired - so tired... "really?" yes', ["Tired -", "so tired...", '"really?"', "yes"]),
        ("我睡不着，很累。救命", ["我睡不着，", "很累。", "救命"]),
        ("No. !? ,", ["No. !? ,"]),
        ("First line\nsecond", ["First line", "second"]),
        (" ", []),
        ("...", ["..."]),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    assert pieces(text, clause_units(text)) == clauses


def test_sentences_keep_their_commas() -> None:
    text = "Rent is due, I can't sleep! Why?\n我累，很累。好"
    assert pieces(text, sentence_units(text)) == ["Rent is due, I can't sleep!", "Why?", "我累，很累。", "好"]


@given(TEXTS)
def test_units_are_disjoint_ascend_and_hold_every_word(text: str) -> None:
    words = word_units(text)
    for units in (clause_units(text), sentence_units(text)):
        assert all(start < end <= later for (start, end), (later, _) in pairwise(units))
        held = [word for start, end in units for word in words if start <= word[0] and word[1] <= end]
        assert held == words


def test_left_out_pieces_leave_one_space() -> None:
    text = "Rent is due, I can't sleep. Help"
    first, second, third = clause_units(text)
    assert without(text, [second]) == "Rent is due, Help"
    assert without(text, [first, second, third]) == ""
    assert without(text, []) == text
    assert only(text, [third, first]) == "Rent is due, Help"
    assert only(text, []) == ""

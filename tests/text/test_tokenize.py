"""Word tokens, by script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.text.tokenize import word_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Calm, steady – CALM!", ["calm", "steady", "calm"]),
        ("It's 3 a.m.", ["it", "s", "3", "a", "m"]),
        ("我睡不着。", ["我", "睡", "不", "着"]),
        ("3点 ok了", ["3", "点", "ok", "了"]),
        ("ひとり、カタ", ["ひ", "と", "り", "カ", "タ"]),
        ("나는 너무 지쳤다.", ["나는", "너무", "지쳤다"]),
        ("میں تھک گیا ہوں۔", ["میں", "تھک", "گیا", "ہوں"]),
        ("मैं थका हूँ।", ["मैं", "थका", "हूँ"]),  # vowel signs are marks and stay with their word
        ("ฉันดี", ["ฉั", "น", "ดี"]),
        ("ខ្ញុំ", ["ខ្", "ញុំ"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("می\u200cروم", ["می\u200cروم"]),
        ("… — !", []),
    ],
)
def test_tokens_are_what_readers_of_the_language_take_for_words(text: str, expected: list[str]) -> None:
    assert word_tokens(text) == expected


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_has_the_same_tokens_by_the_short_way(text: str) -> None:
    assert word_tokens(text) == [token for token in word_tokens(text + " é") if token != "é"]

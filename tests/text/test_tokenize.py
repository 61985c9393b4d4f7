"""Word tokens by script, and what each user of the table of scripts makes of it."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.linear.features import split_words
from mentallama.records import Span
from mentallama.text.quote_extraction import extract_quotes
from mentallama.text.quote_matching import match_exact, match_normalized
from mentallama.text.tokenize import UNBORDERED, UNSPACED, combining_marks, word_tokens


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


@given(st.text(st.characters(max_codepoint=127) | st.sampled_from("‘’“”–—…\xa0")))
def test_plain_text_has_the_same_tokens_by_the_short_way(text: str) -> None:
    assert word_tokens(text) == [token for token in word_tokens(text + " é") if token != "é"]


KANA, HAN, THAI, LAO, KHMER, BURMESE = "か", "睡", "น", "ນ", "ន", "န"
EACH_SCRIPT = (KANA, HAN, THAI, LAO, KHMER, BURMESE)
RARE_LETTERS = ("𠮷", "豈", "ㇰ", "ｶ", "ၐ", "ꩡ")
"""Han outside the basic plane and for compatibility, Ainu kana, half-width kana, Sanskrit and Shan letters."""
SPACED = ("a", "д", "א", "ب", "क", "გ", "ሀ", "한")


@pytest.mark.parametrize("letter", [*EACH_SCRIPT, *RARE_LETTERS])
def test_a_letter_of_a_script_without_spaces_is_a_word_everywhere(letter: str) -> None:
    assert len(word_tokens(letter * 3)) == 3
    assert split_words(letter * 3).forms == [letter] * 3
    assert match_exact(f"x{letter}{letter}x", letter * 2) == (Span(start=1, end=3),)
    assert extract_quotes("", f'{letter}"{letter}"{letter}') == (letter,)


@pytest.mark.parametrize("letter", SPACED)
def test_other_letters_make_words(letter: str) -> None:
    assert len(word_tokens(letter * 3)) == 1
    assert split_words(letter * 3).forms == [letter * 3]


@pytest.mark.parametrize("letter", SPACED[:-1])
def test_a_mark_inside_a_word_of_a_script_with_spaces_opens_no_quotation(letter: str) -> None:
    assert extract_quotes("", f'{letter}"{letter}" {letter}') == ()
    assert match_exact(letter * 3, letter * 2) == ()


def test_korean_has_words_but_takes_quotation_marks_and_particles_without_a_space() -> None:
    assert word_tokens("못 자요") == ["못", "자요"]
    assert extract_quotes("", '그는"못 자요"라고') == ("못 자요",)
    assert match_normalized("나는 못 자요라고", "못 자") == (Span(start=3, end=6),)


def test_digits_and_punctuation_of_these_scripts_are_as_elsewhere() -> None:
    assert word_tokens("๒๕๖๗ ໑໒ ១២ ၁၂ ႑႒") == ["๒๕๖๗", "໑໒", "១២", "၁၂", "႑႒"]
    assert word_tokens("カ・メ。ラ") == ["カ", "メ", "ラ"]


def test_vowel_signs_belong_to_their_letter() -> None:
    assert word_tokens("นี่ ទៅ မြို့ की") == ["นี่", "ទៅ"[0:1] + "ៅ", "မြို့", "की"]


def test_the_table_holds_no_digit_of_a_script_without_spaces_and_no_punctuation() -> None:
    unspaced = re.compile(f"[{UNSPACED}]")
    kinds = {unicodedata.category(char) for char in map(chr, range(0x110000)) if unspaced.match(char)}
    assert "Nd" not in kinds
    assert kinds <= {"Lo", "Lm", "Mn", "Mc", "Cn", "Nl", "So", "Po"}
    assert all(re.match(f"[{UNBORDERED}]", letter) for letter in (*EACH_SCRIPT, "한", "ㅠ", "Ａ", "１"))


def test_combining_marks_are_those_of_unicode() -> None:
    marks = re.compile(combining_marks())
    assert all(marks.fullmatch(mark) for mark in "\u0301\u093f\u0e31\u20dd")
    assert not any(marks.match(other) for other in "aか한\u200d")

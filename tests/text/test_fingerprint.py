"""Keys: the same post has the same key however it was written down; other posts have others."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mentallama.text.fingerprint import (
    information,
    key_hash,
    shingles,
    text_key,
    weighted,
)
from mentallama.text.repair import repair

SAME = [
    ("Don't — STOP, me", "don‚Äôt stop me", "dontstopme"),
    ("  So   tired!!! ", "so tired", "sotired"),
    ("room 404", "ROOM-404", "room404"),
    ("ask @[handle] now", "ask now", "asknow"),
    ("my name is [name].", "My name is", "mynameis"),
]

DIFFERENT = [
    ("café at noon", "caf at noon"),
    # equal hashtags, and a post's own words in another script
    (
        "#depression #mentalhealth #anxiety 죽고 싶다 아무도 모른다",
        "#depression #mentalhealth #anxiety 오늘은 행복하다",
    ),
    ("#depression #mentalhealth #anxiety 死にたい", "#depression #mentalhealth #anxiety 元気です"),
    ("#depression #mentalhealth #anxiety я устал", "#depression #mentalhealth #anxiety я счастлив"),
    ("#depression #mentalhealth #anxiety أنا متعب", "#depression #mentalhealth #anxiety أنا سعيد"),
    ("오늘 tired", "내일 tired"),
    # vowels and accents that are marks of their own, or are written as such
    ("कि", "का"),
    ("มา", "มี"),
    ("がく", "かく"),
    ("bán", "bạn"),
    ("Ayer canté", "Ayer cantó"),
    ("schon", "schön"),
    ("ağ", "ag"),
    # hardly any words
    ("fine 😭", "fine 🎉"),
    ("555", "556"),
    ("١٢", "١٣"),
    ("nice ♥", "nice"),
]

OTHERS = [
    "我今天很累",
    "我明天很累",
    "오늘은 피곤해요",
    "내일은 피곤해요",
    "میں تھک گیا",
    "وہ تھک گیا",
    "Я очень устал",
    "Ты очень устал",
]


@pytest.mark.parametrize(("left", "right", "key"), SAME)
def test_case_punctuation_and_placeholders_do_not_count(left: str, right: str, key: str) -> None:
    assert text_key(left) == text_key(right) == key


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_two_posts_have_two_keys(left: str, right: str) -> None:
    assert text_key(left) != text_key(right)


LETTERS = st.text(st.characters(categories=("L", "N", "Mn", "Mc")), min_size=1, max_size=12)


@given(LETTERS, LETTERS, st.sampled_from(["", "#depression #anxiety "]))
def test_short_texts_have_one_key_only_if_they_are_equal(one: str, other: str, before: str) -> None:
    def folded(text: str) -> str:
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())

    assume(not any(c in "ʹʺʻʼʽʾʿˀˁـ" or unicodedata.name(c, "").startswith("VARIATION") for c in one + other))
    assume(any(map(str.isalnum, folded(one))) and any(map(str.isalnum, folded(other))))
    assert (text_key(before + one) == text_key(before + other)) == (folded(one) == folded(other))


@pytest.mark.parametrize(
    ("key", "letters"), [("tired", 5), ("我今天很累", 10), ("피곤해", 6), ("つかれた", 8), ("мне", 3)]
)
def test_a_chinese_japanese_or_korean_character_says_as_much_as_two_letters(key: str, letters: int) -> None:
    assert information(key) == len(weighted(key)) == letters


def test_other_scripts_keep_letters_and_so_keys_of_their_own() -> None:
    keys = [text_key(text) for text in OTHERS]
    assert len(set(keys)) == len(OTHERS)
    assert all(keys)
    assert text_key("我今天很累 ok") == "我今天很累ok"
    assert text_key("오늘 tired") == "오늘tired"
    assert text_key("我今天很累！") == text_key("我，今天很累") == "我今天很累"


@pytest.mark.parametrize("text", ["", "!!!", "… — 😀", "[handle] [link]"])
def test_a_text_without_letters_has_no_key(text: str) -> None:
    assert text_key(text) == ""


def test_a_word_in_brackets_that_is_no_placeholder_counts() -> None:
    assert text_key("[tired] [handles]") == "tiredhandles"


MARKS = "’‘“–—…"  # those of UTF-8 bytes that Windows-1252 defines
posts = st.text(st.sampled_from("abcdefgh ABC.,!?'0123456789\n" + MARKS), min_size=1, max_size=80)


@given(posts)
@example("’’’a")
@example("it’s “fine“ — really…")
def test_a_key_survives_mac_roman(text: str) -> None:
    assert text_key(repair(text.encode().decode("mac_roman"))) == text_key(text)


@given(posts)
@example("’’’a")
def test_a_key_survives_windows_1252(text: str) -> None:
    assert text_key(repair(text.encode().decode("cp1252"))) == text_key(text)


@given(st.lists(st.sampled_from(["it’s", "don’t", "I’m", "tired", "of", "rain"]), min_size=1, max_size=12))
def test_a_key_survives_gbk(words: list[str]) -> None:
    text = " ".join(words)
    assume("’" in text)
    assert text_key(repair(text.encode().decode("gbk"))) == text_key(text)


@given(st.text(alphabet="abcdefghijklm nop,.’“—", max_size=60))
def test_a_key_of_mostly_plain_letters_needs_no_repair(text: str) -> None:
    assume(sum(map(str.isascii, text)) > 0.9 * len(text))
    assert text_key(text.encode().decode("mac_roman")) == text_key(text)


@given(st.text())
@example("0\U0001f7d9")
def test_a_key_holds_letters_digits_marks_and_emoji_only(text: str) -> None:
    # by block, since newer emoji have no category in an older Python
    emoji = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
    others = [c for c in text_key(text) if not (c.isalnum() or emoji.match(c))]
    assert {unicodedata.category(c) for c in others} <= {"Mn", "Mc", "Me"}


def test_hashes_are_the_same_in_every_process_and_version() -> None:
    # printf asknow | b2sum -l 64 gives the bytes, which are read as a little-endian number
    assert key_hash("asknow").to_bytes(8, "little").hex() == ASKNOW
    assert key_hash("") != key_hash("a") != key_hash("b")


ASKNOW = "b4eee8ebe3b66d03"


def test_shingles_are_word_pairs_or_letter_pairs() -> None:
    assert shingles("So tired, of the rain") == ["so tired", "tired of", "of the", "the rain"]
    assert shingles("Tired.") == ["tired"]
    assert shingles("我今天很累") == ["我今", "今天", "天很", "很累"]
    assert shingles("So [name] tired") == ["so tired"]
    assert shingles("") == [""]

"""Keys: the same post has the same key however it was written down; other posts have others."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mentallama.text.fingerprint import key_hash, shingles, text_key
from mentallama.text.repair import repair

SAME = [
    ("Don't — STOP, me", "don‚Äôt stop me", "dontstopme"),
    ("  So   tired!!! ", "so tired", "sotired"),
    ("room 404", "ROOM-404", "room404"),
    ("ask @[handle] now", "ask now", "asknow"),
    ("my name is [name].", "My name is", "mynameis"),
    ("café at noon", "caf at noon", "cafatnoon"),  # a letter lost in decoding is lost in the key
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


def test_other_scripts_keep_letters_and_so_keys_of_their_own() -> None:
    keys = [text_key(text) for text in OTHERS]
    assert len(set(keys)) == len(OTHERS)
    assert all(keys)
    # two Latin letters of seven do not make a key; five of seven do
    assert text_key("我今天很累 ok") == "我今天很累ok"
    assert text_key("오늘 tired") == "tired"
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
def test_a_key_holds_letters_and_digits_only(text: str) -> None:
    assert all(map(str.isalnum, text_key(text)))


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

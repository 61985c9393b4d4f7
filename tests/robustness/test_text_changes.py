"""Changes of a post: they keep masked personal data, and change no more than they say."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as some

from mentallama.robustness.text_changes import add_typos, to_lower, to_upper
from mentallama.text.pii import PII_KINDS, PLACEHOLDER

TEXTS = some.lists(
    some.one_of(
        some.text(max_size=12), some.sampled_from([f"[{kind}]" for kind in PII_KINDS]), some.just("tired")
    ),
    max_size=8,
).map(" ".join)
LETTERS = re.compile(r"[^\W\d_]+")


@given(TEXTS)
def test_letter_case_keeps_length_and_placeholders(text: str) -> None:
    for change, of_letter in ((to_upper, str.upper), (to_lower, str.lower)):
        changed = change(text)
        assert len(changed) == len(text)
        assert all(after in {before, of_letter(before)} for before, after in zip(text, changed, strict=True))
        assert all(changed[match.start() : match.end()] == match[0] for match in PLACEHOLDER.finditer(text))


@given(TEXTS)
def test_letter_case_is_idempotent(text: str) -> None:
    assert to_upper(to_upper(text)) == to_upper(text)
    assert to_lower(to_lower(text)) == to_lower(text)


def test_letter_case_by_hand() -> None:
    assert to_upper("so tired, [handle]: straße") == "SO TIRED, [handle]: STRAßE"
    assert to_lower("SO [name] Tired") == "so [name] tired"
    assert to_upper("累了") == "累了"


@given(TEXTS, some.integers(0, 2**32))
def test_typos_keep_placeholders_and_short_words_and_are_reproducible(text: str, seed: int) -> None:
    changed = add_typos(text, random.Random(seed), 0.5)
    assert changed == add_typos(text, random.Random(seed), 0.5)
    assert PLACEHOLDER.findall(changed) == PLACEHOLDER.findall(text)
    for before, after in zip(PLACEHOLDER.split(text), PLACEHOLDER.split(changed), strict=True):
        assert LETTERS.split(before) == LETTERS.split(after)
        for word, edited in zip(LETTERS.findall(before), LETTERS.findall(after), strict=True):
            assert abs(len(edited) - len(word)) <= 1
            assert edited == word or len(word) >= 4


@given(TEXTS)
def test_without_a_rate_nothing_changes(text: str) -> None:
    assert add_typos(text, random.Random(1), 0.0) == text


@given(
    some.lists(some.text("abcdefgh", min_size=4, max_size=9), min_size=1, max_size=6), some.integers(0, 1000)
)
def test_at_rate_one_every_word_is_edited_inside(words: list[str], seed: int) -> None:
    edited = add_typos(" ".join(words), random.Random(seed), 1.0).split(" ")
    for word, changed in zip(words, edited, strict=True):
        assert (changed[0], changed[-1]) == (word[0], word[-1])
        assert len(changed) - len(word) in {-1, 0, 1}
        assert changed != word


def test_the_rate_is_that_of_words() -> None:
    text = " ".join(["tired"] * 4000)
    edited = sum(word != "tired" for word in add_typos(text, random.Random(3), 0.1).split())
    assert 0.08 < edited / 4000 < 0.12  # three standard errors are 0.014

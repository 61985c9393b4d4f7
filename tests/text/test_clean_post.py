"""Cleaning of a single post, and places of the cleaned text found again in the original."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.text.clean_post import MAX_POST_CHARS, clean_post


def original_of(original: str, part: str) -> str:
    """What `part` of the cleaned text was made from."""
    post = clean_post(original)
    start = post.text.index(part)
    first, end = post.locate(start, start + len(part))
    return original[first:end]


@pytest.mark.parametrize(
    ("original", "part", "expected"),
    [
        ("I am so tired", "so tired", "so tired"),
        ("ask @maple_7, I am so tired", "so tired", "so tired"),
        ("ask @maple_7, I am so tired", "ask", "ask"),
        ("ask @maple_7, I am so tired", "[handle]", "@maple_7"),
        ("ask @maple_7, I am so tired", "handle", "@maple_7"),  # a part of a mask is the whole masked text
        ("ask @maple_7, I am", "[handle], I", "@maple_7, I"),
        ("  tired &amp; alone", "tired & alone", "tired &amp; alone"),
        ("I donâ€™t sleep", "don’t", "donâ€™t"),
        ("잠이\u200b 안 와요 @maple_7", "안 와요", "안 와요"),
        ("mail robin@example.org or call @maple_7 now", "call [handle] now", "call @maple_7 now"),
    ],
)
def test_places_are_found_in_the_original(original: str, part: str, expected: str) -> None:
    assert original_of(original, part) == expected


@given(st.lists(st.sampled_from(["so tired", "@maple_7", "&amp;", "â€™", "한국어", " ", "\n", "."])))
def test_every_place_lies_in_the_original(pieces: list[str]) -> None:
    post = clean_post("".join(pieces))
    for start in range(len(post.text)):
        first, end = post.locate(start, len(post.text))
        assert 0 <= first < end <= len(post.original)
    if post.text == post.original and post.text:
        assert post.locate(0, 1) == (0, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the text is empty"),
        (" \n\t\u200b", "the text is empty"),
        ("a\0b", "the text contains NUL bytes; the file is damaged or binary"),
        ("x" * (MAX_POST_CHARS + 1), "the text has 100,001 characters; posts have at most 100,000"),
        ("NA", None),
    ],
)
def test_a_text_that_is_no_post_says_why(text: str, problem: str | None) -> None:
    assert clean_post(text).problem == problem

"""The notation of phrases, and the automaton that finds them, against a search by regular expressions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.symptoms.phrase_index import PhraseIndex
from mentallama.symptoms.phrases import PhraseError, parse_phrase, phrase_tokens

WORDS = {"cannot": ("can't", "can not"), "very": ("so", "really")}


def find(phrase: str, text: str) -> list[str]:
    index = PhraseIndex({"key": [phrase]}, WORDS)
    return [text[match.start : match.end] for match in index.find(phrase_tokens(text))]


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("tired", "Tired, tiredness, TIRED", ["Tired", "TIRED"]),
        ("tired*", "so tiredness", ["tiredness"]),
        ("so? tired", "so tired tired", ["so tired", "tired", "tired"]),
        ("(fall|stay) asleep", "stay asleep or fall asleep", ["stay asleep", "fall asleep"]),
        ("(so|really)? sad", "really sad", ["really sad", "sad"]),
        ("<cannot> sleep", "can't sleep, cant sleep, can not sleep", ["can't sleep", "cant sleep", "can not sleep"]),
        ("can't … sleep", "can't even begin to sleep", ["can't even begin to sleep"]),
        ("can't … sleep", "can't even begin to try to sleep", []),
        ("can't … … sleep", "can't even begin to try to sleep", ["can't even begin to try to sleep"]),
        ("can't … sleep", "can't. Now sleep", []),
        ("i'm not? <very>? {sad}", "I'm not really sad", ["sad"]),
        ("{not <very>?} sad", "not so sad", ["not so"]),
        ("self harm", "self-harm and *self harm*", ["self-harm", "self harm"]),
        ("<number> hours", "slept 14 hours", ["14 hours"]),
        ("at (3|3am)", "at 3am", ["at 3am"]),
        ("it's", "it's its", ["it's", "its"]),
        ("can", "can't", []),
        ("mom", "mom's", ["mom"]),
        (", no", "well, no", [", no"]),
        ("죽고 싶", "죽고 싶어요 죽고싶다", ["죽고 싶", "죽고싶"]),
        ("睡 … 着", "睡也睡不着", ["睡也睡不着", "睡不着"]),
    ],
)  # fmt: skip
def test_what_a_phrase_matches(phrase: str, text: str, found: list[str]) -> None:
    assert find(phrase, text) == found


@pytest.mark.parametrize(
    ("phrase", "problem"),
    [
        ("(a|b", "a bracket is not closed"),
        ("a) b", "closed that was not opened"),
        ("{a", "a brace is not closed"),
        ("a} b", "closed that was not opened"),
        ("<none> a", "there is no list <none>"),
        ("a?", "would match any text"),
        ("…", "would match any text"),
        ("", "would match any text"),
        ("<a", "cannot be read"),
    ],
)
def test_phrases_that_cannot_be_read(phrase: str, problem: str) -> None:
    with pytest.raises(PhraseError, match=problem):
        parse_phrase(phrase, WORDS)


@given(
    st.lists(st.sampled_from(["a", "b", "a?", "(a|b c)", "(c)?", "c"]), min_size=1, max_size=4),
    st.lists(st.sampled_from("abc"), max_size=8),
)
def test_the_automaton_agrees_with_regular_expressions(parts: list[str], words: list[str]) -> None:
    """Oracle: the longest match of a regular expression from each token."""
    if all(part.endswith("?") for part in parts):
        return
    sources = {
        "a": "a ", "b": "b ", "c": "c ", "a?": "(?:a )?", "(a|b c)": "(?:b c |a )", "(c)?": "(?:c )?",
    }  # fmt: skip
    text = "".join(f"{word} " for word in words)
    pattern = "".join(sources[part] for part in parts)
    longest = {}
    for start in range(0, len(text), 2):
        ends = [end for end in range(start + 2, len(text) + 1, 2) if re.fullmatch(pattern, text[start:end])]
        if ends:
            longest[start] = max(ends) - 1
    index = PhraseIndex({"key": [" ".join(parts)]}, {})
    assert {match.start: match.end for match in index.find(phrase_tokens(text))} == longest


def test_forgotten_transitions_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mentallama.symptoms.phrase_index.MAX_TRANSITIONS", 3)
    index = PhraseIndex({"key": ["a b* {c}"]}, {})
    for _ in range(4):
        (match,) = index.find(phrase_tokens("x a bb c"))
        assert (match.start, match.end) == (7, 8)

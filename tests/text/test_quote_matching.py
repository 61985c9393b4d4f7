"""Matching of quotations against the regular expressions that define it."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from mentallama.text.quote_matching import find_quote, match_exact, match_normalized
from mentallama.text.tokenize import UNBORDERED_LETTER

PIECES = st.sampled_from(
    [
        "I",
        "i",
        "can't",
        "sleep",
        "SLEEP",
        "a",
        "b",
        "_",
        " ",
        " ",
        ", ",
        "-",
        "…",
        "’",
        "é",
        "İ",
        "ſ",
        "™",
        "ﬁ",
        "累",
        "睡",
        "지",
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


def _bordered(pattern: str, quote: str) -> str:
    head = r"(?<!\w)" if quote[:1].isalnum() and not UNBORDERED_LETTER.match(quote) else ""
    tail = r"(?!\w)" if quote[-1:].isalnum() and not UNBORDERED_LETTER.match(quote[-1:]) else ""
    return f"{head}(?:{pattern}){tail}"


@given(TEXTS, TEXTS)
def test_exact_matches_are_those_of_the_pattern(text: str, quote: str) -> None:
    found = re.search(_bordered(re.escape(quote), quote), text)
    assert [(span.start, span.end) for span in match_exact(text, quote)] == ([found.span()] if found else [])


@given(TEXTS, st.lists(st.sampled_from(["I", "can", "t", "sleep", "a", "b", "é"]), min_size=1, max_size=4))
@example("a-b, A  b", ["a", "b"])
@example("ab a_b", ["a", "b"])
@example("bab a b", ["a", "b"])
def test_words_match_whatever_their_case_and_what_stands_between_them(text: str, words: list[str]) -> None:
    quote = " ".join(words)
    found = re.search(_bordered(r"[\W_]+".join(map(re.escape, words)), quote), text, re.IGNORECASE)
    expected = found.span() if found else None
    if expected is None and len("".join(words)) >= 4:
        span = find_quote(text, quote, fuzzy=False)
        expected = (span.start, span.end) if span else None
    assert [(span.start, span.end) for span in match_normalized(text, quote)] == (
        [expected] if expected else []
    )


def test_a_word_cut_from_the_post_is_a_match_only_where_it_is_long() -> None:
    assert match_normalized("the worst week", "rst we")  # five letters, whatever their borders
    assert not match_normalized("the worst week", "st w")

"""Quotations are matched: exact, similar, spliced, a term, from another post, or not found."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mentallama.answers.quotations import (
    find_in_other_posts,
    mark_other_post_quotes,
    match_quotes,
    missing_quotes,
)
from mentallama.tasks import find_task
from tests.factories.gate_rows import POST

LONG = (
    "Since the move I wake up at four every night and listen to the pipes. My sister used to call on Sundays, but she "
    "stopped in March. At work they moved my desk behind the copier; I don’t mind, really, it is warmer there. I am "
    "not angry with anybody. Yesterday the neighbour’s dog sat with me on the stairs for an hour and that was the "
    "best hour of the week."
)


def placed(quote: str, post: str = POST, task: str = "DR") -> tuple[str, list[str]]:
    """The kind of one quotation, and the passages of the post that it matches."""
    (found,) = match_quotes(post, [quote], find_task(task))
    return found.kind, [post[span.start : span.end] for span in found.spans]


@pytest.mark.parametrize(
    ("quote", "kind", "found"),
    [
        ("the house is so quiet", "exact", ["the house is so quiet"]),
        ("quiet", "exact", ["quiet"]),
        ("I can't sleep", "similar", ["I can’t sleep"]),  # a straight apostrophe
        ("The House is so QUIET", "similar", ["the house is so quiet"]),
        ("the  house\nis so quiet", "similar", ["the house is so quiet"]),
        ("I can’t sleep and the house", "similar", ["I can’t sleep, and the house"]),
        ("the hose is so quiett. Nobody", "similar", ["the house is so quiet. Nobody"]),
        ("I can’t sleep … so quiet", "similar", ["I can’t sleep", "so quiet"]),
        ("I can't sleep... Nobody calls", "similar", ["I can’t sleep", "Nobody calls"]),
        ("… so quiet", "similar", ["so quiet"]),
        ("so quiet [that] nobody calls me", "similar", ["so quiet", "Nobody calls me"]),
        ("thinking about moving", "not_found", []),
        (
            "moving back to her mum’s place",
            "similar",
            ["moving back to my mum’s place"],
        ),  # put into another person
        ("calling", "similar", ["calls"]),
        ("sleeping", "similar", ["sleep"]),
        ("I can’t sleep. Nobody calls me", "spliced", ["I can’t sleep", "Nobody calls me"]),
        ("moving back to the house is so quiet", "spliced", ["moving back to", "the house is so quiet"]),
        ("house so quiet, nobody here", "not_found", []),  # pieces too small to count
        ("so quiet … I can’t sleep", "not_found", []),  # the order of an ellipsis is the post's
        ("I can sleep, and the house is so quiet", "not_found", []),  # the post denies it
        ("somebody stole my bike", "not_found", []),
        ("weary", "not_found", []),
        ("us", "not_found", []),  # inside "house" only
        ("depression", "term", []),
        ("suffer from depression", "term", []),
        ("Yes, the poster suffers from depression", "term", []),
        ("handle", "term", []),
        ("No", "term", []),
        ("show", "not_found", []),  # a part of an alias, but anybody's word
    ],
)
def test_kind_and_spans_of_a_quotation(quote: str, kind: str, found: list[str]) -> None:
    assert placed(quote) == (kind, found)


def test_a_term_that_the_post_says_is_evidence() -> None:
    assert placed("depression", "They call it depression, I call it rain.") == ("exact", ["depression"])
    assert placed("Other cause", "The rent is due.", "SAD") == ("term", [])
    assert placed("the rent", "The rent is due.", "SAD") == ("similar", ["The rent"])


@pytest.mark.parametrize(
    ("quote", "kind"),
    [
        ("今天很累", "exact"),
        ("今天，很累", "similar"),
        ("我今天很累……谁也不找", "similar"),
        ("今天很开心", "not_found"),
    ],
)
def test_scripts_without_spaces(quote: str, kind: str) -> None:
    assert placed(quote, "我今天很累，晚上睡不着，谁也不找我。")[0] == kind


def test_a_korean_word_may_be_quoted_without_its_ending() -> None:
    assert placed("잠이 안 오", "요즘 잠이 안 오고 힘들어요.") == ("exact", ["잠이 안 오"])


def test_a_lost_negation_is_not_a_small_change() -> None:
    post = "Honestly, I don’t want to stop living here with all of them anyway."
    assert placed("I want to stop living here with all of them anyway", post)[0] != "exact"
    assert placed("I do not angry with anyone at the office these days", post)[0] == "not_found"
    assert placed("I am angry with anybodi", LONG)[0] == "not_found"
    assert placed("I am not angry with anybodi", LONG)[0] == "similar"


words_of = [found.span() for found in re.finditer(r"[\w’]+", LONG)]


@given(data=st.data())
def test_an_excerpt_of_a_post_is_exact_and_has_its_span(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words_of) - 1))
    last = data.draw(st.integers(first, len(words_of) - 1))
    start, end = words_of[first][0], words_of[last][1]
    (found,) = match_quotes(LONG, [LONG[start:end]], find_task("DR"))
    assert found.kind == "exact"
    (span,) = found.spans
    assert LONG[span.start : span.end] == LONG[start:end]
    if last - first >= 2:  # shorter ones may stand in it twice
        assert (span.start, span.end) == (start, end)


@given(data=st.data())
def test_changes_of_case_spacing_and_punctuation_are_similar(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words_of) - 4))
    last = data.draw(st.integers(first + 3, len(words_of) - 1))
    cut = LONG[words_of[first][0] : words_of[last][1]]
    changed = data.draw(
        st.sampled_from(
            [cut.upper(), cut.replace(" ", "  "), cut.replace(" ", "\n"), cut.swapcase().replace("’", "'")]
        )
    )
    (found,) = match_quotes(LONG, [changed], find_task("DR"))
    assert found.kind == "similar"
    assert [(span.start, span.end) for span in found.spans] == [(words_of[first][0], words_of[last][1])]


@given(data=st.data())
def test_two_passages_are_spliced_without_an_ellipsis_and_similar_with_one(data: st.DataObject) -> None:
    """Passages of four words or more, eight words or more apart, in order for the ellipsis.

    Where the words at both borders are the same, the border may lie on either side; the words do not change.
    """
    one = data.draw(st.integers(0, len(words_of) - 16))
    end_one = data.draw(st.integers(one + 3, len(words_of) - 13))
    two = data.draw(st.integers(end_one + 9, len(words_of) - 4))
    end_two = data.draw(st.integers(two + 3, len(words_of) - 1))
    left, right = LONG[words_of[one][0] : words_of[end_one][1]], LONG[words_of[two][0] : words_of[end_two][1]]
    kinds = []
    for joined in (f"{left} {right}", f"{right} {left}", f"{left} … {right}"):
        (found,) = match_quotes(LONG, [joined], find_task("DR"))
        kinds.append(found.kind)
        assert len(found.spans) == 2
        said = " ".join(LONG[span.start : span.end] for span in found.spans)
        assert re.findall(r"[\w’]+", said.lower()) == re.findall(r"[\w’]+", joined.lower())
    assert kinds == ["spliced", "spliced", "similar"]


@given(post=st.text(max_size=60), quote=st.text(min_size=1, max_size=40))
def test_offsets_lie_in_the_post_whatever_is_quoted(post: str, quote: str) -> None:
    assume(any(map(str.isalnum, quote)))
    (found,) = match_quotes(post, [quote], find_task("DR"))
    assert bool(found.spans) == (found.kind in {"exact", "similar", "spliced"})
    assert all(0 <= span.start < span.end <= len(post) for span in found.spans)


def test_a_quotation_from_another_post_is_marked() -> None:
    quotes = ["we walked along the harbour", "a plain and simple lie", "so quiet"]
    own = match_quotes(POST, quotes, find_task("DR"))
    missing = missing_quotes(quotes, own)
    assert missing == ("we walked along the harbour", "a plain and simple lie")
    borrowed = find_in_other_posts(missing, ["Rain.", "Today WE walked, along the harbour wall."])
    assert borrowed == {"we walked along the harbour"}
    assert [quote.kind for quote in mark_other_post_quotes(quotes, own, borrowed)] == [
        "other_post",
        "not_found",
        "exact",
    ]


def test_a_few_common_words_are_not_searched_for_in_other_posts() -> None:
    assert find_in_other_posts(["I love you"], ["I love you"]) == frozenset()


def test_other_posts_are_read_once_and_only_if_needed() -> None:
    def never() -> str:
        raise AssertionError("posts were read")

    assert find_in_other_posts(["too short"], (never() for _ in range(1))) == frozenset()
    once = iter(["one two three four five six"])
    wanted = ["two three four five", "one two three four"]
    assert find_in_other_posts(wanted, once) == set(wanted)

"""Quotations as positions of tokens, worked by hand, and their text as an inverse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentallama.evaluate.kinds.token_positions import (
    QuotedTokens,
    gold_positions,
    parse_positions,
    predicted_positions,
)
from mentallama.tasks.answer_values import quotations_value
from tests.factories.answer_kinds import task_of_kind

TASK = task_of_kind("spans")  # types: sleep, low mood
POST = "Awake again at four. I feel empty, and awake again tomorrow."
#       0     1     2  3     4 5    6      7   8     9     10


def test_positions_of_gold_quotations_by_hand() -> None:
    value = quotations_value(
        TASK, [("low mood", "I feel empty"), ("sleep", "four"), ("sleep", "Awake again")]
    )
    assert gold_positions(TASK, POST, value) == "sleep: 0-2; sleep: 3-4; low mood: 4-7"
    assert gold_positions(TASK, POST, "none") == "none"


def test_a_gold_quotation_that_is_not_in_the_post_is_refused_without_its_words() -> None:
    with pytest.raises(ValueError, match="for sleep, does not stand in the post") as caught:
        gold_positions(TASK, POST, quotations_value(TASK, [("sleep", "secret words")]))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("quotations", "expected"),
    [
        ([("sleep", "at four")], "sleep: 2-4"),
        ([("sleep", "AT FOUR!")], "sleep: 2-4"),  # case and punctuation are no other passage
        ([("sleep", "wake aga")], "sleep: 0-2"),  # a part of a token is the token
        ([("sleep", "slept badly for weeks")], "sleep: ?4"),
        ([("sleep", "…")], "sleep: ?0"),
        ([("low mood", "at four"), ("sleep", "at four")], "sleep: 2-4; low mood: 2-4"),
    ],
)
def test_positions_of_predictions_by_hand(quotations: list[tuple[str, str]], expected: str) -> None:
    assert predicted_positions(TASK, POST, quotations_value(TASK, quotations), "none") == expected


def test_a_passage_that_occurs_twice_is_the_one_that_the_gold_answer_has() -> None:
    value = quotations_value(TASK, [("sleep", "wake again")])
    assert predicted_positions(TASK, POST, value, "none") == "sleep: 0-2"
    assert predicted_positions(TASK, POST, value, "sleep: 7-10") == "sleep: 8-10"
    assert predicted_positions(TASK, POST, value, "low mood: 7-10") == "sleep: 0-2"


@given(st.text(alphabet="ab .", min_size=1, max_size=30), st.data())
def test_a_passage_of_the_text_is_found_with_its_own_tokens(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    quoted = text[start : data.draw(st.integers(start + 1, len(text)))]
    value = quotations_value(TASK, [("sleep", quoted)])
    if not any(letter.isalnum() for letter in quoted):
        assert parse_positions(TASK, predicted_positions(TASK, text, value, "none"))["sleep"].missing == (0,)
        return
    gold = gold_positions(TASK, text, value)
    assert predicted_positions(TASK, text, value, gold) == gold
    assert len(parse_positions(TASK, gold)["sleep"].ranges) == 1


def test_text_of_positions_is_read_back() -> None:
    found = parse_positions(TASK, "sleep: 0-2; sleep: 3-4; low mood: ?4")
    assert found == {"sleep": QuotedTokens(((0, 2), (3, 4))), "low mood": QuotedTokens((), (4,))}
    assert parse_positions(TASK, "none") == {"sleep": QuotedTokens(), "low mood": QuotedTokens()}


@settings(max_examples=50)
@given(st.text(max_size=20))
def test_other_texts_are_no_positions(text: str) -> None:
    if text != "none":
        with pytest.raises(ValueError, match="no positions"):
            parse_positions(TASK, f"{text}; appetite: 1-2")

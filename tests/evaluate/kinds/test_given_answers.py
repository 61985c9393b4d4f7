"""Answers as other tools give them, in their canonical text."""

from __future__ import annotations

import pytest

from mentallama.evaluate.kinds.given_answers import canonical_answer, given_form, is_answer
from tests.factories.answer_kinds import task_of_kind


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("choice", "yes", "yes"),
        ("ordinal", "mild", "mild"),
        ("multi", ["low mood", "sleep"], "sleep; low mood"),
        ("multi", ("sleep", "sleep"), "sleep"),
        ("multi", [], "none"),
        ("multi", "low mood; sleep", "sleep; low mood"),
        (
            "scale",
            {"energy": "several days", "sleep": "not at all"},
            "sleep: not at all; energy: several days",
        ),
        ("scale", {}, "none"),
        ("scale", "energy: not at all; sleep: several days", "sleep: several days; energy: not at all"),
        ("spans", [("low mood", "so empty"), ["sleep", "awake"]], 'sleep: "awake"; low mood: "so empty"'),
        ("spans", [], "none"),
    ],
)
def test_forms_of_each_kind(kind: str, given: object, expected: str) -> None:
    assert canonical_answer(task_of_kind(kind), given) == expected


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("choice", "maybe"),
        ("choice", ["yes"]),
        ("ordinal", 2),
        ("ordinal", "awful"),
        ("multi", ["sleep", "no such label"]),
        ("multi", [1]),
        ("multi", {"sleep": True}),
        ("scale", {"appetite": "not at all"}),
        ("scale", {"sleep": "often"}),
        ("scale", ["sleep"]),
        ("scale", "sleep: not at all; sleep: several days"),
        ("spans", [("pain", "it hurts")]),
        ("spans", ["awake"]),
        ("spans", [("sleep", "awake", 3)]),
        ("spans", None),
        ("spans", 3.5),
    ],
)
def test_everything_else_is_refused_without_repeating_it(kind: str, given: object) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is that of the caller
        canonical_answer(task_of_kind(kind), given)
    assert "hurts" not in str(caught.value)


def test_only_canonical_texts_are_answers_of_records() -> None:
    task = task_of_kind("multi")
    assert is_answer(task, "sleep; low mood")
    assert not is_answer(task, "low mood; sleep")
    assert not is_answer(task, "low moods")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("multi", "a list of its labels, or their text, such as 'sleep; low mood'"),
        ("scale", "a dictionary from items to levels, or their text, such as 'sleep: not at all'"),
    ],
)
def test_the_form_is_said_in_words(kind: str, expected: str) -> None:
    assert given_form(task_of_kind(kind)) == expected

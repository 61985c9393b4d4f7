"""Scopes of cues, on a language of a few words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mentallama.symptoms.languages import SymptomLanguage
from mentallama.symptoms.status import MAX_SCOPE, Interval, StatusRules

RULES: dict[str, Any] = {
    "language": "xx",
    "symptoms": {},
    "terminators": {"but": ["but"], "subject": ["i"]},
    "no_cues": ["not only"],
    "cues": [
        {
            "effect": "negated",
            "reach": 3,
            "ends": ["but", "subject", "comma"],
            "phrases": ["not", "not that i"],
        },
        {"effect": "negated", "direction": "backward", "ends": ["but"], "phrases": ["is ruled out"]},
        {"effect": "past", "direction": "both", "ends": ["but"], "phrases": ["years ago"]},
        {"effect": "ceased", "direction": "backward", "phrases": ["anymore"]},
        {"effect": "uncertain", "phrases": ["maybe"]},
        {"effect": "someone_else", "ends": ["subject"], "phrases": ["she"]},
    ],
}


def statuses(text: str) -> list[str]:
    """The status of every `sad` or `so tired` in a text."""
    places = sorted(
        Interval(start, start + len(word))
        for word in ("sad", "so tired")
        for start in range(len(text))
        if text.startswith(word, start)
    )
    return list(StatusRules(SymptomLanguage.model_validate(RULES)).decide(text, places))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sad", ["present"]),
        ("not sad", ["negated"]),
        ("not a b c sad", ["negated"]),
        ("not a b c d sad", ["present"]),  # beyond the reach
        ("not a, sad", ["present"]),
        ("not x but sad", ["present"]),
        ("not that i am sad", ["negated"]),  # the longer cue contains the terminator
        ("not x i am sad", ["present"]),
        ("not. sad", ["present"]),
        ("not only sad", ["present"]),
        ("sad is ruled out", ["negated"]),
        ("sad but x is ruled out", ["present"]),
        ("is ruled out sad", ["present"]),  # the wrong direction
        ("years ago sad", ["past"]),
        ("sad, years ago", ["past"]),
        ("sad anymore", ["present"]),
        ("not sad anymore", ["past"]),
        ("not sad years ago", ["negated"]),
        ("maybe sad years ago", ["past"]),
        ("maybe sad", ["uncertain"]),
        ("she is not sad", ["someone_else"]),
        ("she left and i am sad", ["present"]),
        ("not sad or so tired", ["negated", "negated"]),
        ("not sad, so tired", ["negated", "negated"]),
        ("not sad and x so tired", ["negated", "negated"]),  # within the reach
        ("not sad, x so tired", ["negated", "present"]),
        ("sad. not so tired", ["present", "negated"]),
    ],
)
def test_scopes(text: str, expected: list[str]) -> None:
    assert statuses(text) == expected


def test_a_cue_inside_a_mention_is_part_of_it() -> None:
    rules = StatusRules(SymptomLanguage.model_validate(RULES))
    assert rules.decide("can not sleep", [Interval(0, 13)]) == ["present"]
    assert rules.decide("can not sleep sad", [Interval(0, 13), Interval(14, 17)]) == ["present", "present"]


def test_a_cue_that_overlaps_the_beginning_of_a_mention() -> None:
    rules = StatusRules(SymptomLanguage.model_validate(RULES))
    assert rules.decide("not that i am sad", [Interval(9, 17)]) == ["negated"]


@pytest.mark.parametrize(("gap", "expected"), [(MAX_SCOPE - 10, ["past"]), (MAX_SCOPE, ["present"])])
def test_scopes_are_limited_where_there_is_no_full_stop(gap: int, expected: list[str]) -> None:
    assert statuses(f"years ago{' ' * gap}sad") == expected


def test_terminators_must_exist() -> None:
    wrong = RULES | {"cues": [{"effect": "past", "ends": ["butt"], "phrases": ["ago"]}]}
    with pytest.raises(ValidationError, match="there are no terminators 'butt'; known are"):
        SymptomLanguage.model_validate(wrong)

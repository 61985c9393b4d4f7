"""Personal data in an explanation."""

from __future__ import annotations

import pytest

from mentallama.check.gates.personal_data import check_personal_data
from tests.factories.gate_rows import row

CLEAN = (
    "The poster [name] writes to [handle] that the nights are long; see 3 of 10 lines, at 4:30, 2019-2020."
)

PERSONAL = [
    ("As @maple_7 puts it, the nights are long.", "contains 1 handle"),
    ("The poster u/maple_tree_7 cannot sleep.", "contains 1 handle"),
    ("The poster can be reached at robin@example.org for more.", "contains 1 mail"),
    ("The post links to https://example.org/blog/7 and ends.", "contains 1 link"),
    ("They give the number 555-555-0123 to readers.", "contains 1 phone"),
    ("The poster says “my name is Robin” and cannot sleep.", "contains 1 name"),
    ("It names @maple_7 and www.example.org too.", "contains 1 link, 1 handle"),
    ("The author 5f2a9c cannot sleep.", "contains the author's id"),
]


@pytest.mark.parametrize(("explanation", "reason"), PERSONAL)
def test_personal_data_is_found(explanation: str, reason: str) -> None:
    verdict = check_personal_data(row(explanation, author="5f2a9c"))
    assert (verdict.ok, verdict.reason, verdict.gate) == (False, reason, "personal_data")


def test_placeholders_and_numbers_are_not_personal_data() -> None:
    verdict = check_personal_data(row(CLEAN, author="5f2a9c"))
    assert (verdict.ok, verdict.score) == (True, 0)


@pytest.mark.parametrize(
    ("explanation", "ok"),
    [
        ("Robin writes that the nights are long.", False),
        ("The account maple_7 is asked for help.", False),
        ("The poster writes that the nights are long.", True),
        ("The Poster thanks others for listening.", True),
    ],
)
def test_what_was_masked_in_the_post_is_personal_data(explanation: str, ok: bool) -> None:
    original = "My name is Robin, ask @maple_7 or https://example.org/listening. The nights are long."
    post = "My name is [name], ask [handle] or [link]. The nights are long."
    assert check_personal_data(row(explanation, post, original=original)).ok == ok


def test_repaired_letters_are_not_masked_words() -> None:
    original = "Canâ€™t sleep, ask @maple_7. Zoë rang."
    assert check_personal_data(
        row("Can’t sleep, for Zoë rang.", "Can’t sleep, ask [handle]. Zoë rang.", original=original)
    ).ok

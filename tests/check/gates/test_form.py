"""Length and personal data of an explanation; and how few real answers the gates of form drop."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mentallama.check.gates.form import check_length, check_personal_data, count_words
from mentallama.check.gates.language import check_language
from mentallama.check.gates.prompt_leakage import check_prompt_leakage
from mentallama.check.gates.quote_grounding import check_quote_grounding
from mentallama.check.gates.repeated_explanation import check_repeated_explanations
from mentallama.check.gates.statements import check_advice, check_diagnosis
from mentallama.prompts import prompt_instructions
from tests.factories.gate_rows import published, row


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("— … “”", 0),
        ("The poster can’t sleep.", 4),
        ("one, two; three", 3),
        ("她今天非常累，也睡不着", 6),  # ten letters / 1.6
        ("她 feels tired 今天", 4),  # two words and three letters
        ("작성자는 잠을 못 잔다.", 4),
        ("وہ بہت تھکا ہوا ہے", 5),
    ],
)
def test_words_are_counted_as_a_reader_would(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize(
    ("count", "ok", "reason"),
    [
        (0, False, "no explanation"),
        (4, False, "4 words, fewer than 5"),
        (5, True, None),
        (20, True, None),
        (21, False, "21 words, more than 20"),
    ],
)
def test_length_bounds_are_included(count: int, ok: bool, reason: str | None) -> None:
    verdict = check_length(row(" ".join(["word"] * count)), (5, 20))
    assert (verdict.ok, verdict.reason, verdict.score, verdict.gate) == (ok, reason, count, "length")


CLEAN = (
    "The poster [name] writes to [handle] that the nights are long; see 3 of 10 lines, at 4:30, 2019-2020."
)

PERSONAL = [
    ("As @maple_7 puts it, the nights are long.", "holds 1 handle"),
    ("The poster u/maple_tree_7 cannot sleep.", "holds 1 handle"),
    ("The poster can be reached at robin@example.org for more.", "holds 1 mail"),
    ("The post links to https://example.org/blog/7 and ends.", "holds 1 link"),
    ("They give the number 555-555-0123 to readers.", "holds 1 phone"),
    ("The poster says “my name is Robin” and cannot sleep.", "holds 1 name"),
    ("It names @maple_7 and www.example.org too.", "holds 1 link, 1 handle"),
    ("The author 5f2a9c cannot sleep.", "holds the author's id"),
]


@pytest.mark.parametrize(("explanation", "reason"), PERSONAL)
def test_personal_data_is_found(explanation: str, reason: str) -> None:
    verdict = check_personal_data(row(explanation, author="5f2a9c"))
    assert (verdict.ok, verdict.reason, verdict.gate) == (False, reason, "personal_data")


def test_placeholders_and_numbers_are_no_personal_data() -> None:
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


def test_repaired_letters_are_not_what_was_masked() -> None:
    original = "Canâ€™t sleep, ask @maple_7. Zoë rang."
    assert check_personal_data(
        row("Can’t sleep, for Zoë rang.", "Can’t sleep, ask [handle]. Zoë rang.", original=original)
    ).ok


@pytest.mark.data
def test_few_published_answers_are_dropped(data: Path) -> None:
    """Share of the release's validation answers that each gate drops, over all sets; bounds are twice what was found.

    The goldens do give advice and speak of an assigned label now and then; boilerplate is found in answers to posts of
    a few words, most of them SAD's and MultiWD's.
    """
    rows = list(published(data, "validation"))
    gates = {
        "quote_grounding": lambda row: check_quote_grounding(row, 0.0),
        "language": check_language,
        "length": lambda row: check_length(row, (5, 400)),
        "prompt_leakage": lambda row: check_prompt_leakage(
            row, prompt_instructions(row.task, row.example.question), 8
        ),
        "diagnosis": check_diagnosis,
        "advice": check_advice,
        "personal_data": check_personal_data,
    }
    dropped = Counter(name for row in rows for name, gate in gates.items() if not gate(row).ok)
    dropped["repeated_explanation"] = sum(
        not verdict.ok for verdict in check_repeated_explanations(rows, 90.0)
    )
    bounds = {
        "quote_grounding": 1.0,
        "language": 0.2,
        "length": 0.2,
        "prompt_leakage": 1.0,
        "diagnosis": 0.2,
        "advice": 1.2,
    }
    assert len(rows) > 3000
    for name, bound in {**bounds, "personal_data": 0.2, "repeated_explanation": 3.0}.items():
        assert 100 * dropped[name] / len(rows) <= bound, (name, dropped[name])
    assert all(
        dropped[name] for name in ("quote_grounding", "prompt_leakage", "advice", "repeated_explanation")
    )

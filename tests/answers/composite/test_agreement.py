"""Two answers agree by their canonical texts, and quotations by where they stand."""

from __future__ import annotations

import pytest

from mentallama.answers.composite.agreement import answers_agree
from tests.factories.answer_kinds import task_of_kind

POST = "I lie awake until 4. Everything is grey. I lie awake again."


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        ('sleep: "lie awake until 4"', 'sleep: "I lie awake"', True),
        ('sleep: "lie awake until 4"', 'low mood: "lie awake until 4"', False),
        ('sleep: "lie awake until 4"', 'sleep: "lie awake again"', False),
        ('sleep: "awake until 4"; low mood: "grey"', 'sleep: "lie awake until"', False),
        ('sleep: "awake until 4"', 'sleep: "awake until 4"; sleep: "awake again"', False),
        ('sleep: "not a word of it"', 'sleep: "lie awake until"', False),
        ("none", "none", True),
        ("none", 'sleep: "awake"', False),
    ],
)
def test_quotations_agree_if_each_overlaps_with_one_of_its_type(first: str, second: str, agree: bool) -> None:
    task = task_of_kind("spans")
    assert answers_agree(task, POST, first, second) == answers_agree(task, POST, second, first) == agree


def test_other_answers_agree_if_they_are_equal() -> None:
    task = task_of_kind("multi")
    assert answers_agree(task, POST, "sleep; low mood", "sleep; low mood")
    assert not answers_agree(task, POST, "sleep", "sleep; low mood")

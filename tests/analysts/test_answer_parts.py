"""From answers to the levels of their parts, and back from probabilities."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.answer_parts import (
    compose_answer,
    head_name,
    heads_of,
    labels_by_head,
    log_odds_of_parts,
    named_levels,
    question_of_head,
)
from mentallama.errors import UsageError
from mentallama.tasks.answer_kinds import AnswerKind
from tests.factories.answer_kinds import task_of_kind
from tests.factories.kind_posts import posts_of_kind

KINDS = get_args(AnswerKind)


@given(question=st.text(), part=st.text(st.characters(exclude_characters=':;"\\')))
def test_the_question_of_a_head_is_read_from_its_name(question: str, part: str) -> None:
    assert question_of_head(head_name(question, part), part) == question


@pytest.mark.parametrize("kind", KINDS)
def test_certain_levels_give_the_answer_that_they_were_taken_from(kind: str) -> None:
    task = task_of_kind(kind)
    parts = heads_of(task)
    for post in posts_of_kind(task):
        levels = labels_by_head(task, post.labels)
        certain = {parts[head].name: {level: 1.0} for head, level in levels.items()}
        answer = compose_answer(task, certain)
        if kind != "spans":  # of which levels hold the types only
            assert answer.value == post.labels["about"]
        assert set(answer.probabilities.values()) <= {0.0, 1.0}


def test_probabilities_of_each_kind() -> None:
    present = {"sleep": {"absent": 0.3, "present": 0.7}, "appetite": {"absent": 1.0}}
    multi = compose_answer(task_of_kind("multi"), present)
    assert multi == ("sleep", {"sleep": 0.7, "appetite": 0.0, "low mood": 0.0})
    spans = compose_answer(task_of_kind("spans"), {"sleep": present["sleep"]}, [("sleep", "up at 4")])
    assert spans == ('sleep: "up at 4"', {"sleep": 0.7, "low mood": 0.0})
    item = {"not at all": 0.1, "several days": 0.4, "nearly every day": 0.5}
    scale = compose_answer(task_of_kind("scale"), {"energy": item})
    assert scale.value == "energy: nearly every day"
    assert scale.probabilities == {f"energy: {level}": share for level, share in item.items()}
    ordinal = compose_answer(task_of_kind("ordinal"), {"": {"severe": 0.6, "mild": 0.4}})
    assert ordinal == ("severe", {"minimal": 0.0, "mild": 0.4, "moderate": 0.0, "severe": 0.6})


def test_items_that_are_not_filled_have_no_level() -> None:
    task = task_of_kind("scale")
    assert labels_by_head(task, {"about": "energy: several days"}) == {"about: energy": "several days"}
    assert labels_by_head(task, {"about": "none"}) == {}
    assert compose_answer(task, {}) == ("none", {})


def test_a_label_that_is_no_answer_is_named_by_its_question_without_being_quoted() -> None:
    with pytest.raises(
        UsageError, match="synthetic-multi, about: a label is no answer of kind multi"
    ) as error:
        labels_by_head(task_of_kind("multi"), {"about": "someone's words"})
    assert "someone" not in str(error.value)


def test_the_log_odds_of_an_answer_are_the_sum_over_the_parts_that_it_names() -> None:
    present = {"sleep": 0.75, "appetite": 0.5, "low mood": 0.2}
    multi = task_of_kind("multi")
    assert log_odds_of_parts(multi, present, "sleep; low mood", 1e-9) == pytest.approx(
        math.log(3) - math.log(4)
    )
    assert log_odds_of_parts(multi, present, "none", 1e-9) == pytest.approx(math.log(4) - math.log(3))
    assert log_odds_of_parts(task_of_kind("spans"), present, "sleep", 1e-9) == pytest.approx(math.log(3))
    levels = {"energy: not at all": 0.1, "energy: several days": 0.8, "energy: nearly every day": 0.1}
    scale = task_of_kind("scale")
    assert log_odds_of_parts(scale, levels, "energy: several days", 1e-9) == pytest.approx(math.log(4))
    assert log_odds_of_parts(scale, levels, "sleep: several days", 1e-9) is None
    assert log_odds_of_parts(multi, present, "someone's words", 1e-9) is None


def test_an_explanation_is_about_the_parts_that_a_label_names() -> None:
    assert named_levels(task_of_kind("choice"), "no") == {"": "no"}
    assert named_levels(task_of_kind("multi"), "sleep") == {"sleep": "present"}
    assert named_levels(task_of_kind("spans"), 'sleep: "up at 4"') == {"sleep": "present"}
    assert named_levels(task_of_kind("spans"), "sleep") == {"sleep": "present"}
    assert named_levels(task_of_kind("spans"), "none") == {"sleep": "absent", "low mood": "absent"}
    assert named_levels(task_of_kind("scale"), "energy: not at all") == {"energy": "not at all"}
    assert named_levels(task_of_kind("multi"), "nonsense") == {}

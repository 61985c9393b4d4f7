"""Answers as strings, for every kind of answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.records import FORMS, Form
from mentallama.tasks.answer_kinds import ABSENT, PRESENT
from mentallama.tasks.answer_values import (
    answer_group,
    answer_value,
    canonical_value,
    levels_value,
    quotations_value,
    value_levels,
    value_quotations,
)
from tests.factories.answer_kinds import task_of_kind

SPANS, SCALE, MULTI = task_of_kind("spans"), task_of_kind("scale"), task_of_kind("multi")
quotations = st.lists(st.tuples(st.sampled_from(tuple(SPANS.labels)), st.text()), max_size=4)
explanations = st.text(alphabet=st.characters(codec="utf-8"), max_size=40).map(str.strip)


@pytest.mark.parametrize("kind", ["choice", "ordinal", "multi", "scale"])
@given(data=st.data())
def test_levels_come_back_from_the_text(kind: str, data: st.DataObject) -> None:
    task = task_of_kind(kind)
    # a scale may leave items open; every other answer decides every part
    strategies = {part.name: st.sampled_from(part.levels) for part in task.parts}
    optional = strategies if kind == "scale" else {}
    required = {} if kind == "scale" else strategies
    levels = data.draw(st.fixed_dictionaries(required, optional=optional))
    assert value_levels(task, levels_value(task, levels)) == levels


@given(quotations)
def test_quotations_come_back_from_the_text(given_quotations: list[tuple[str, str]]) -> None:
    value = quotations_value(SPANS, given_quotations)
    assert set(value_quotations(SPANS, value)) == set(given_quotations)
    assert canonical_value(SPANS, value) == value


@pytest.mark.parametrize("form", FORMS)
@given(given_quotations=quotations, explanation=explanations)
def test_written_quotations_are_read_back(
    form: Form, given_quotations: list[tuple[str, str]], explanation: str
) -> None:
    value = quotations_value(SPANS, given_quotations)
    reading = read_answer(SPANS, write_answer(SPANS, None, value, explanation, form), form)
    assert (reading.label, reading.explanation) == (value, explanation)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("task", "value"),
    [
        (MULTI, "none"),
        (MULTI, "sleep; low mood"),
        (SCALE, "none"),
        (SCALE, "sleep: several days; energy: not at all"),
        (SCALE, "energy: nearly every day"),
    ],
)
def test_written_answers_are_read_back(form: Form, task, value: str) -> None:
    reading = read_answer(task, write_answer(task, None, value, "Because.", form), form)
    assert (reading.status, reading.label, reading.explanation) == ("parsed", value, "Because.")


def test_texts_of_each_kind() -> None:
    assert (
        levels_value(MULTI, {"low mood": PRESENT, "sleep": PRESENT, "appetite": ABSENT}) == "sleep; low mood"
    )
    assert levels_value(MULTI, {}) == "none"
    assert levels_value(SCALE, {"energy": "not at all"}) == "energy: not at all"
    assert (
        quotations_value(SPANS, [("low mood", 'a "b"; c'), ("sleep", "up")])
        == 'sleep: "up"; low mood: "a \\"b\\"; c"'
    )
    assert value_levels(SPANS, 'sleep: "up"') == {"sleep": PRESENT, "low mood": ABSENT}


def test_members_in_another_order_are_one_answer() -> None:
    assert canonical_value(MULTI, "low mood; sleep; sleep") == "sleep; low mood"
    assert (
        canonical_value(SCALE, "energy: not at all; sleep: several days")
        == "sleep: several days; energy: not at all"
    )


@pytest.mark.parametrize(
    ("task", "value"),
    [
        (MULTI, ""),
        (MULTI, "sleep;low mood"),
        (MULTI, "sleep; none"),
        (SCALE, "sleep: often"),
        (SCALE, "sleep: several days; sleep: not at all"),
        (SPANS, "sleep: up"),
        (SPANS, 'sleep: "up'),
    ],
)
def test_other_texts_are_refused_without_being_repeated(task, value: str) -> None:
    with pytest.raises(ValueError, match="answer of synthetic") as refused:
        canonical_value(task, value)
    assert not value or value not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("multi", {"answer": None}, "answer: the kinds multi, spans and scale have a sentence"),
        ("multi", {"answer": {"instruction": "It shows.", "completion": "{answer}"}}, "exactly once"),
        ("scale", {"items": {}}, "items: a scale has items"),
        ("choice", {"items": {"sleep": "sleep"}}, "items: a scale has items"),
        ("scale", {"items": {"a; b": "x"}}, "cannot be a name"),
        ("scale", {"items": {"None": "x"}}, "cannot be a name"),
    ],
)
def test_a_task_that_does_not_fit_its_kind_is_refused(kind: str, changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        task_of_kind(kind, **changes)


def test_levels_have_their_position_as_score_or_their_own() -> None:
    assert list(task_of_kind("ordinal").level_scores.values()) == [0, 1, 2, 3]
    labels = {
        name: {"answer": {"instruction": name, "completion": name}, "because": "x", "score": score}
        for name, score in (("low", 1), ("high", 7))
    }
    assert task_of_kind("ordinal", labels=labels).level_scores == {"low": 1, "high": 7}
    with pytest.raises(ValueError, match="from the lowest score to the highest"):
        task_of_kind("ordinal", labels=dict(reversed(labels.items())))
    with pytest.raises(ValueError, match="only levels have a score"):
        task_of_kind("choice", labels=labels)


@pytest.mark.parametrize(
    ("kind", "label", "value", "group"),
    [
        ("choice", "yes", "yes", "yes"),
        ("ordinal", "mild", "mild", "mild"),
        ("multi", "none", (), "0 labels"),
        ("multi", "low mood; sleep", ("sleep", "low mood"), "2 labels"),
        ("scale", "none", {}, "0 items"),
        ("scale", "energy: not at all", {"energy": "not at all"}, "1 item"),
        ("spans", "none", (), "0 types"),
        ("spans", 'sleep: "up; a: \\"4\\""; sleep: "x"', (("sleep", 'up; a: "4"'), ("sleep", "x")), "1 type"),
    ],
)
def test_what_an_answer_says(kind: str, label: str, value: object, group: str) -> None:
    task = task_of_kind(kind)
    assert answer_value(task, label) == value
    assert answer_group(task, label) == group


@given(quotations)
def test_quotations_are_read_without_their_task(given_quotations: list[tuple[str, str]]) -> None:
    value = quotations_value(SPANS, given_quotations)
    assert answer_value(SPANS, value) == value_quotations(SPANS, value)


def test_a_value_of_another_task_is_refused() -> None:
    for read in (answer_value, answer_group):
        with pytest.raises(ValueError, match="not an answer of synthetic-multi"):
            read(MULTI, "joy")

"""Instructions on the form of an answer of each kind, and structured answers that read back to their label."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.answers.format import label_sentence
from mentallama.answers.parse import read_answer
from mentallama.prompts import (
    FewShotExample,
    answer_object,
    answer_schema,
    prompt_instructions,
    teacher_prompt,
)
from mentallama.tasks.answer_values import levels_value, quotations_value
from tests.factories.answer_kinds import task_of_kind

KINDS = ("choice", "ordinal", "multi", "scale", "spans")
VALUES = {
    "choice": "no",
    "ordinal": "moderate",
    "multi": "sleep; low mood",
    "scale": "energy: several days",
    "spans": 'sleep: "up at 4"',
}


def fits(schema: dict, value: object) -> bool:
    """Whether a value fits a schema, as far as this package's schemas go."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return (
            "object" in types
            and value.keys() == set(schema["required"])
            and all(fits(known[key], each) for key, each in value.items())
        )
    if isinstance(value, list):
        return "array" in types and all(fits(schema["items"], each) for each in value)
    return ("null" if value is None else "string") in types


@pytest.mark.parametrize("kind", KINDS)
def test_a_structured_answer_fits_its_schema_and_reads_back(kind: str) -> None:
    task = task_of_kind(kind)
    for value in (VALUES[kind], *(["none"] if task.is_composite else [])):
        answer = answer_object(task, value, "They say “up at 4”.", ["up at 4"])
        assert fits(answer_schema(task), answer)
        reading = read_answer(task, json.dumps(answer))
        assert (reading.label, reading.explanation) == (value, "They say “up at 4”.")


@given(data=st.data())
def test_every_composite_answer_reads_back_from_its_object(data: st.DataObject) -> None:
    task = task_of_kind(data.draw(st.sampled_from(("multi", "scale", "spans"))))
    if task.kind == "spans":
        words = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
        value = quotations_value(
            task, data.draw(st.lists(st.tuples(st.sampled_from([*task.labels]), words), max_size=4))
        )
    else:
        parts = {part.name: st.sampled_from(part.levels) for part in task.parts}
        value = levels_value(task, data.draw(st.fixed_dictionaries({}, optional=parts)))
    explanation = data.draw(st.text(max_size=30)).strip()
    answer = json.dumps(answer_object(task, value, explanation, []))
    assert read_answer(task, answer).label == value


def test_schemas_of_each_kind() -> None:
    properties = {kind: answer_schema(task_of_kind(kind))["properties"] for kind in KINDS}
    assert properties["ordinal"]["label"]["enum"] == ["minimal", "mild", "moderate", "severe"]
    assert properties["multi"]["labels"]["items"]["enum"] == ["sleep", "appetite", "low mood"]
    levels = ["not at all", "several days", "nearly every day", None]
    assert {item: level["enum"] for item, level in properties["scale"]["items"]["properties"].items()} == {
        "sleep": levels,
        "energy": levels,
    }
    quotation = properties["spans"]["quotations"]["items"]["properties"]
    assert (quotation["type"]["enum"], quotation["quotation"]) == (["sleep", "low mood"], {"type": "string"})
    assert "evidence" not in properties["spans"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structured", [False, True])
def test_a_prompt_lists_labels_items_and_levels(kind: str, structured: bool) -> None:
    task = task_of_kind(kind)
    system = teacher_prompt(task, None, "So tired.", "zero-shot", structured=structured)[0]["content"]
    listed = (
        [label_sentence(task, label) for label in task.labels] if not task.is_composite else [*task.labels]
    )
    for name in (*listed, *task.items, *task.items.values()):
        assert name in system
    if kind == "scale":
        assert "not at all (0), several days (1), nearly every day (2)" in system
    if structured:
        assert all(f'"{key}"' in system for key in answer_schema(task)["required"])
    elif task.answer is not None:
        assert "The post shows: {answer}." in system
    assert all(text in system for text in ("lowest level to the highest",) if kind == "ordinal")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structured", [False, True])
def test_a_given_label_stands_below_the_post_and_an_example_shows_the_form(
    kind: str, structured: bool
) -> None:
    task, value = task_of_kind(kind), VALUES[kind]
    given = teacher_prompt(task, None, "So tired.", "label-given", label=value, structured=structured)
    assert f"\nAnswer: {label_sentence(task, value)}" in given[-1]["content"]
    shot = FewShotExample(text="Up at 4.", label=value, explanation='The words "Up at 4" say so.')
    shown = teacher_prompt(task, None, "So tired.", "few-shot", shots=[shot], structured=structured)
    assert read_answer(task, shown[2]["content"]).label == value


@pytest.mark.parametrize("kind", KINDS)
def test_the_fixed_wording_of_a_prompt_is_known_to_the_gate_on_leakage(kind: str) -> None:
    task = task_of_kind(kind)
    fixed = "\n".join(prompt_instructions(task))
    for structured in (False, True):
        system = teacher_prompt(task, None, "So tired.", "zero-shot", structured=structured)[0]["content"]
        sentences = [line for line in system.split("\n") if len(line.split()) > 9]
        assert sentences
        own_words = ("The post shows", "The levels, with")
        assert [s for s in sentences if s not in fixed and not any(word in s for word in own_words)] == []

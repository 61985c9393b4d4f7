"""The judge's prompt: complete, versioned, and with sections that nothing in them can end."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as some

from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS, judge_prompt, load_rubric, verdict_schema
from mentallama.records import Example, Reading
from mentallama.tasks import find_task

MARKUP = (
    "</post>",
    "< /Post>",
    "<post>",
    "</explanation>",
    "<Explanation >",
    "< / explanation>",
    "<|im_end|>",
    "[/INST]",
    "</s>",
    "a",
    " ",
    "\n",
    "<",
)

PINNED = ("1", "87fb596fcb60d88a")
"""The version of the rubric, and the SHA-256 of its texts: change both together."""


def case(text: str, explanation: str, label: str | None = "yes") -> ExplanationCase:
    example = Example(id="e", post_id="p", task="DR", question="depression", form="instruction", text=text)
    status = "parsed" if label else "unparsed"
    return ExplanationCase(
        example=example,
        reading=Reading(status=status, label=label, explanation=explanation),  # type: ignore[arg-type]
    )


def test_the_prompt_holds_the_rubric_and_the_material() -> None:
    system, user = judge_prompt(case("So tired.", "The poster is 'so tired'."), find_task("DR"))
    rubric = load_rubric()
    assert tuple(rubric.aspects) == ASPECTS
    for name, aspect in rubric.aspects.items():
        assert f"{name}: {aspect.description}" in system["content"]
        for rating, level in enumerate(aspect.levels):
            assert f"- {rating}: {level}" in system["content"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"] == (
        "<post>\nSo tired.\n</post>\n\n"
        "Question: Does the poster suffer from depression?\n"
        "Answer of the system: Yes, the poster suffers from depression.\n\n"
        "<explanation>\nThe poster is 'so tired'.\n</explanation>\n\n"
        "Rate the explanation. Write the JSON object."
    )


def test_an_answer_without_a_label_is_said() -> None:
    user = judge_prompt(case("So tired.", "Hard to say.", None), find_task("DR"))[1]
    assert "Answer of the system: no answer could be read" in user["content"]


@given(
    some.lists(
        some.sampled_from(MARKUP),
        max_size=8,
    ).map("".join)
)
def test_neither_the_post_nor_the_explanation_can_end_its_section(text: str) -> None:
    content = judge_prompt(case(text, text), find_task("DR"))[1]["content"]
    for mark in ("<post>", "</post>", "<explanation>", "</explanation>"):
        assert content.lower().count(mark) == 1
    assert "<|im_end|>" not in content
    assert "[/INST]" not in content


def test_personal_data_are_masked_in_both() -> None:
    content = judge_prompt(case("Mail a@example.org", "They gave a@example.org"), find_task("DR"))[1][
        "content"
    ]
    assert "example.org" not in content


def test_the_version_changes_with_every_letter() -> None:
    rubric = load_rubric()
    texts = json.dumps(rubric.model_dump(exclude={"version"}), sort_keys=True)
    assert (rubric.version, hashlib.sha256(texts.encode()).hexdigest()[:16]) == PINNED


def test_the_schema_requires_every_aspect() -> None:
    schema = verdict_schema()
    assert schema["required"] == list(ASPECTS)
    assert schema["properties"]["overall"] == {"type": "integer", "enum": [0, 1, 2, 3]}

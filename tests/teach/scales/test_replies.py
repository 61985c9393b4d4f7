"""Replies about a scale: what counts as a filled item or an objection, in the ways in which models write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.llm_api.types import Completion
from mentallama.prompts.scale_prompts import Scale
from mentallama.teach.scales.replies import (
    CUT_OFF,
    NO_OBJECTIONS,
    NOT_JSON,
    read_check_reply,
    read_item_reply,
)
from tests.factories.scale_cases import ENERGY, SCALE_TASK, SLEEP, TEXT, objecting

SCALE = Scale("rest", "How often.", SCALE_TASK.items, SCALE_TASK.level_scores)


def reply(text: str, finish_reason: str | None = "stop") -> Completion:
    return Completion(
        hash="h", example_id="e", model="m", state="answered", text=text, finish_reason=finish_reason
    )


@pytest.mark.parametrize(
    "text",
    [
        SLEEP,
        f"```json\n{SLEEP}\n```",
        f"<think>Every night, so the highest.</think>\n{SLEEP}",
        SLEEP.replace("nearly every day", "Nearly every day "),
        SLEEP.replace('"nearly every day"', "2"),
        SLEEP.replace('"nearly every day"', '"2"'),
        SLEEP.replace('["Awake at four again, for weeks now"]', '"Awake at four again, for weeks now"'),
    ],
)
def test_a_filled_item_is_read(text: str) -> None:
    found = read_item_reply(SCALE_TASK, SCALE, TEXT, reply(text))
    assert found.status == "read"
    assert found.answer is not None
    assert (found.answer.level, found.answer.quotations) == (
        "nearly every day",
        ("Awake at four again, for weeks now",),
    )


@pytest.mark.parametrize(
    ("text", "finish_reason", "status", "fault"),
    [
        ("", "stop", "fault", NOT_JSON),
        (f"{SLEEP}\n{ENERGY}", "stop", "fault", NOT_JSON),
        (SLEEP, "length", "fault", CUT_OFF),
        (SLEEP[:-30], "stop", "fault", CUT_OFF),
        (SLEEP, "content_filter", "refused", ""),
        ("I can't assist with that.", "stop", "refused", ""),
        ('{"level": null}', "stop", "read", ""),
        ('{"level": true, "statement": "So.", "evidence": ["four"]}', "stop", "fault", None),
        ('{"level": ["several days"], "statement": "So.", "evidence": ["four"]}', "stop", "fault", None),
        ('{"level": 3, "statement": "So.", "evidence": ["four"]}', "stop", "fault", None),
        ('{"level": "several days", "statement": "So.", "evidence": ["…", 4]}', "stop", "fault", None),
    ],
)
def test_other_replies_fill_nothing(text: str, finish_reason: str, status: str, fault: str | None) -> None:
    found = read_item_reply(SCALE_TASK, SCALE, TEXT, reply(text, finish_reason))
    assert found.status == status
    assert status != "read" or found.answer is None
    assert bool(found.fault) == (status == "fault")
    assert fault is None or found.fault == fault


@given(
    level=st.sampled_from([*SCALE.levels, "often", None]),
    words=st.lists(st.sampled_from(TEXT.split()), min_size=1, max_size=4),
)
def test_a_level_is_never_read_without_a_quotation_of_the_post(level: str | None, words: list[str]) -> None:
    quotation = " ".join(words)
    text = json.dumps({"level": level, "statement": "The writer says so.", "evidence": [quotation]})
    found = read_item_reply(SCALE_TASK, SCALE, TEXT, reply(text))
    if found.status == "read" and found.answer is not None:
        assert found.answer.level == level
        assert all(word.strip(",.") in TEXT for word in quotation.split())


@pytest.mark.parametrize(
    ("text", "objections", "fault"),
    [
        (objecting(), {}, ""),
        (objecting(sleep="No."), {"sleep": "No."}, ""),
        ('{"objections": [{"item": "sleep", "reason": " No.\\n"}]}', {"sleep": "No."}, ""),
        (objecting(appetite="No."), {}, "'appetite' is not an item of the scale."),
        ('{"objections": null}', {}, NO_OBJECTIONS),
        ('{"objections": [{"item": "sleep"}]}', {}, NO_OBJECTIONS),
        ('{"objections": ["sleep"]}', {}, NO_OBJECTIONS),
        ("All items stand.", {}, NOT_JSON),
    ],
)
def test_a_check_is_read(text: str, objections: dict[str, str], fault: str) -> None:
    found = read_check_reply(SCALE_TASK, SCALE, reply(text))
    assert (dict(found.objections), found.fault) == (objections, fault)
    assert found.status == ("fault" if fault else "read")

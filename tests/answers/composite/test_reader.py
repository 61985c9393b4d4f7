"""Answers of several parts as models write them, and texts that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.answers.parse import read_answer
from tests.factories.answer_kinds import task_of_kind

# labels: sleep, appetite, low mood
MULTI = task_of_kind("multi")
# items: sleep ("trouble sleeping"), energy; levels: not at all 0, several days 1, nearly every day 2
SCALE = task_of_kind("scale")
# types: sleep, low mood
SPANS = task_of_kind("spans")
ORDINAL = task_of_kind("ordinal")


@pytest.mark.parametrize(
    "text",
    [
        "sleep; low mood",
        "Sleep, Low Mood",
        "low mood and sleep",
        "low mood, and sleep.",
        "The post shows: Sleep; low mood",
        "the post shows:  sleep; low mood.\n\nIt says so.",
        "**Answer:** sleep, low mood",
        "Labels: sleep, low mood\nExplanation: I lie awake.",
        "Appetite is not named.\nFinal answer: low mood; sleep",
        "- sleep\n- low mood",
        "- sleep\n\n- low mood",
        "1. **Sleep**\n2. *low mood*",
        "These labels apply:\n\n* sleep\n* low mood\n\nExplanation: The writer lies awake.",
        "These labels apply:\n* sleep\n* low mood\n\nThe writer lies awake and cries.",
        "- sleep: yes\n- appetite: no\n- low mood: present",
        "| label | present |\n| --- | --- |\n| sleep | 1 |\n| low mood | 1 |\n| appetite | 0 |",
        '- sleep: "I lie awake"\n- low mood: "grey"',
        "**Labels that apply:** sleep, low mood",
        "1. **Sleep** - they lie awake at night.\n2. **Low mood**: they call all of it grey.",
        "sleep (yes); low mood (yes); appetite (no)",
        "sleep; low mood; no appetite",
        '["sleep", "low mood"]',
        '```json\n["low mood", "sleep"]\n```',
        '{"labels": ["sleep", "low mood"], "explanation": "I lie awake."}',
        '{"labels": "sleep; low mood"}',
        '{"label": ["Sleep", "LOW MOOD"]}',
        "{'about': ['sleep', 'low mood']}",
        '{"sleep": true, "lowMood": "yes", "appetite": false, "explanation": "x"}',
        '{"labels": {"sleep": 1, "low_mood": {"present": true}, "appetite": 0}}',
        '{"labels": [{"label": "sleep", "present": true}, {"label": "low mood", "present": true}]}',
        '[{"name": "sleep", "present": 1}, {"label": "appetite", "present": 0}, {"name": "low mood", "present": 1}]',
        "Here it is:\n```json\n{\"labels\": [\"sleep\", \"low mood\"]}\n```\nI hope it helps.",
        "<think>Maybe appetite?</think>sleep; low mood",
        "<answer>sleep; low mood</answer>",
        "\\boxed{sleep; low mood}",
    ],
)  # fmt: skip
def test_several_labels_in_any_form(text: str) -> None:
    reading = read_answer(MULTI, text)
    assert (reading.label, reading.reason) == ("sleep; low mood", None)


@pytest.mark.parametrize(
    "text",
    [
        "sleep: 2; energy: 0",
        "Sleep: nearly every day, energy: not at all",
        "sleep: nearly every day (2); energy: 0 (not at all)",
        "- Sleep – 2\n- Energy – 0\nTotal: 2",
        "1. sleep (trouble sleeping): 2 - lies awake at night\n2. energy: 0. Nothing is said against it.",
        "trouble sleeping: 2\nlittle energy: 0",
        "| item | level |\n|---|---|\n| sleep | nearly every day |\n| energy | not at all |",
        "Answer:\nsleep = 2\nenergy = 0",
        "The post shows: energy: Not at all; sleep: Nearly every day.",
        "sleep: 2; energy: 0; sleep: nearly every day",
        '{"items": {"sleep": 2, "energy": "0"}, "explanation": "x"}',
        '{"sleep": {"level": "nearly every day", "evidence": "I lie awake"}, "energy": {"score": 0}}',
        '[{"item": "sleep", "level": 2}, {"item": "energy", "level": "not at all"}]',
        '{"items": [{"item": "sleep", "score": 2}, {"name": "energy", "value": 0}], "total": 2}',
        '{"label": "sleep: nearly every day; energy: not at all"}',
    ],
)
def test_levels_by_name_and_by_score(text: str) -> None:
    reading = read_answer(SCALE, text)
    assert (reading.label, reading.reason) == ("sleep: nearly every day; energy: not at all", None)


@pytest.mark.parametrize(
    "text",
    [
        "energy: 1",
        "sleep: not mentioned; energy: several days",
        "sleep: -\nenergy: 1",
        '{"sleep": null, "energy": 1}',
        '{"sleep": "unknown", "energy": "several days"}',
    ],
)
def test_an_item_that_is_not_filled_stays_out(text: str) -> None:
    assert read_answer(SCALE, text).label == "energy: several days"


@pytest.mark.parametrize(
    "text",
    [
        'sleep: "lie awake at 4"; low mood: "all is grey"',
        "- Low mood: “all is grey”\n- Sleep: “lie awake at 4”",
        'sleep:\n- "lie awake at 4"\n\nlow mood:\n- "all is grey"',
        '**Sleep**\n- "lie awake at 4"\n\n**Low mood**\n- "all is grey"\n',
        '"lie awake at 4" (sleep)\n"all is grey" (low mood)',
        '1. "lie awake at 4" → sleep\n2. "all is grey" → low mood',
        "The post shows: sleep: 'lie awake at 4'; low mood: 'all is grey'",
        '{"spans": [{"type": "sleep", "quote": "lie awake at 4"}, {"type": "low mood", "quote": "all is grey"}]}',
        '[{"type": "sleep", "text": "lie awake at 4"}, {"label": "Low mood", "quote": "all is grey"}]',
        '{"sleep": ["lie awake at 4"], "low mood": "all is grey", "explanation": "x"}',
        '{"labels": {"sleep": [{"text": "lie awake at 4"}], "low mood": ["all is grey"]}}',
    ],
)  # fmt: skip
def test_typed_quotations_in_any_form(text: str) -> None:
    reading = read_answer(SPANS, text)
    assert (reading.label, reading.reason) == ('sleep: "lie awake at 4"; low mood: "all is grey"', None)


def test_none_is_a_quotation_where_only_quotations_stand() -> None:
    assert read_answer(SPANS, '{"sleep": "none", "low mood": ["none"]}').label == 'low mood: "none"'
    assert read_answer(SPANS, 'sleep: none; low mood: "none"').label == 'low mood: "none"'


def test_several_quotations_of_one_type() -> None:
    assert read_answer(SPANS, 'sleep: "up at 4", "up at 5" and "no rest"\nlow mood: none').label == (
        'sleep: "up at 4"; sleep: "up at 5"; sleep: "no rest"'
    )


@pytest.mark.parametrize("task", [MULTI, SCALE, SPANS])
@pytest.mark.parametrize(
    "text",
    [
        "none", "None.", "None of the above", "Answer: none", "The post shows: none.", "[]", '{"labels": []}',
        '{"labels": "none"}', "**None**\n\nThe post is about a garden.",
    ],
)  # fmt: skip
def test_no_label_is_an_answer(task, text: str) -> None:
    assert read_answer(task, text).label == "none"


def test_the_explanation_is_told_from_the_answer() -> None:
    for text in (
        "sleep\nReasoning: I lie awake.",
        '{"labels": ["sleep"], "explanation": "I lie awake."}',
        "<reasoning>I lie awake.</reasoning><answer>sleep</answer>",
    ):
        reading = read_answer(MULTI, text)
        assert (reading.label, reading.explanation) == ("sleep", "I lie awake.")


UNKNOWN_LABEL = "names something that is no label of the task"
UNKNOWN_ITEM = "names something that is no item or level of the task"
UNTYPED = "has a type without a quotation, a quotation without a type, or a type that the task does not have"


@pytest.mark.parametrize(
    ("task", "text", "status", "reason"),
    [
        (MULTI, "sleep; joy", "unparsed", UNKNOWN_LABEL),
        (MULTI, "Answer: joy", "unparsed", UNKNOWN_LABEL),
        (MULTI, '{"labels": ["sleep", "joy"]}', "unparsed", UNKNOWN_LABEL),
        (MULTI, '{"sleep": true, "joy": true}', "unparsed", UNKNOWN_LABEL),
        (MULTI, '{"sleep": "rather"}', "unparsed", UNKNOWN_LABEL),
        (MULTI, '{"labels": null}', "unparsed", UNKNOWN_LABEL),
        (MULTI, "Labels that do not apply: sleep, low mood", "unparsed", "names no label"),
        (MULTI, "- low mood\n- sleep: there is no sign of it", "unparsed", UNKNOWN_LABEL),
        (MULTI, "- low mood\n- sleep: may be one of them", "unparsed", UNKNOWN_LABEL),
        (MULTI, "Answer:\n- sleep\n- joy", "unparsed", UNKNOWN_LABEL),
        (MULTI, "The post shows:\n- sleep\n- joy", "unparsed", UNKNOWN_LABEL),
        (MULTI, "sleep or low mood", "unparsed", "names no label"),
        (MULTI, "sleep; none", "unparsed", 'says "none" beside an answer'),
        (MULTI, "sleep: yes; sleep: no", "unparsed", "gives presence and absence to sleep"),
        (MULTI, "sleep; no sleep", "unparsed", "gives presence and absence to sleep"),
        (MULTI, "Answer: sleep\nAnswer: low mood", "unparsed", "gives more than one answer"),
        (MULTI, "<answer>sleep</answer><answer>appetite</answer>", "unparsed", "gives more than one answer"),
        (
            MULTI,
            "- sleep\n\nBecause they say so, at length.\n\n- low mood",
            "unparsed",
            "gives more than one answer",
        ),
        (MULTI, "sleep\n\njoy\n\nBecause they say so, at length.", "unparsed", UNKNOWN_LABEL),
        (MULTI, "The poster seems tired and sad.", "unparsed", "names no label"),
        (MULTI, "", "unparsed", "the text is empty"),
        (MULTI, "I'm sorry, but I can't provide a diagnosis.", "refused", "the model declines to answer"),
        (MULTI, '{"error": "I cannot help with that request."}', "refused", "the model declines to answer"),
        (MULTI, "<think>sleep, I guess", "truncated", "the text ends while the model is still thinking"),
        (MULTI, '{"labels": ["sleep", "lo', "truncated", "the text ends inside a JSON object"),
        (MULTI, "The labels that apply to this post are:", "truncated", "the text ends inside the answer"),
        (SCALE, "sleep: 3; energy: 0", "unparsed", "names no label"),
        (SCALE, "energy: 0; sleep: 3", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; sleep: 1.5", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; sleep: 2 (several days)", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; sleep: 1 out of 7", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; sleep: several days, perhaps nearly every day", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; sleep: none", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; hope: 2", "unparsed", UNKNOWN_ITEM),
        (SCALE, "energy: 0; energy: 2", "unparsed", "gives two levels to energy"),
        (SCALE, '{"energy": 0, "energy": 2}', "unparsed", UNKNOWN_ITEM),
        (SCALE, '{"items": [{"item": "hope", "level": 2}]}', "unparsed", UNKNOWN_ITEM),
        (SPANS, "sleep: the writer lies awake", "unparsed", "names no label"),
        (SPANS, 'low mood: "grey"; sleep: the writer lies awake', "unparsed", UNTYPED),
        (SPANS, 'low mood: "grey"; joy: "ha"', "unparsed", UNTYPED),
        (SPANS, '{"quotations": ["lie awake"]}', "unparsed", UNTYPED),
        (SPANS, '{"quotations": [{"type": "joy", "quotation": "ha"}]}', "unparsed", UNTYPED),
        (SPANS, 'low mood: "grey"; sleep: "lie aw', "truncated", "the text ends inside a quotation"),
    ],
)
def test_what_is_no_answer_has_a_reason(task, text: str, status: str, reason: str) -> None:
    reading = read_answer(task, text)
    assert (reading.status, reading.label, reading.reason) == (status, None, reason)


@pytest.mark.parametrize("text", ["2", "Answer: 2", '{"label": 2}', "moderate", "The post shows moderate."])
def test_an_ordered_level_is_read_as_a_choice_is_and_by_its_score(text: str) -> None:
    assert read_answer(ORDINAL, text).label == "moderate"


@pytest.mark.parametrize("text", ["4", "2 or 3", '{"label": 7}', "not severe"])
def test_another_number_is_no_level(text: str) -> None:
    assert read_answer(ORDINAL, text).status == "unparsed"


PIECES = st.sampled_from(
    ("sleep", "energy", "low mood", "joy", "none", "several days", "2", "yes", ": ", "; ", ", ", " and ", "\n", "\n\n",
     "- ", '"', "“", "”", "(", ")", "{", "}", "[", "]", "|", "Answer: ", "Reasoning: ", "The post shows: ", "```",
     "<think>",
     "</answer>", "\\", "'", "=", "\ue0000\ue000", '{"labels": [')
)  # fmt: skip


@pytest.mark.parametrize("task", [MULTI, SCALE, SPANS, ORDINAL])
@given(pieces=st.lists(PIECES | st.text(max_size=5), max_size=14))
def test_any_text_has_a_status_and_a_canonical_label_or_a_reason(task, pieces: list[str]) -> None:
    from mentallama.tasks.answer_values import canonical_value

    reading = read_answer(task, "".join(pieces))
    assert (reading.status == "parsed") == (reading.label is not None) == (reading.reason is None)
    if reading.label is not None:
        assert canonical_value(task, reading.label) == reading.label

"""Instructions on the form of an answer, by its kind: the answers to choose from, the sentence, the JSON object.

`answer_object` holds the same object with its values, as examples show it and the embedded teacher writes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import PRESENT
from mentallama.tasks.answer_values import value_levels, value_quotations

_CHOOSE = {
    "choice": "Choose one of these answers:",
    "ordinal": "Choose one of these answers, which go from the lowest level to the highest:",
    "multi": "Name each of these labels that applies, any number of them or none:",
    "spans": "Quote each passage of the post that reports one of these types, any number of passages or none:",
    "scale": "Give each of these items a level, and leave out an item for which the post gives no ground:",
}
_AFTER_SENTENCE = (
    f'After it write "{REASONING_MARKER}" and the explanation, as running text without headings, lists or bold '
    "type."
)
_CHOSEN_SENTENCE = (
    "Write the sentence of the answer first, letter by letter, whatever the language of the post. "
    f"{_AFTER_SENTENCE}"
)
_COMPOSED_SENTENCE = {
    "multi": 'In the place of {answer} stand the names of the labels, separated by semicolons, as in "LABEL; LABEL"',
    "scale": "In the place of {answer} stand the items with their levels, separated by semicolons, as in "
    '"ITEM: LEVEL; ITEM: LEVEL"',
    "spans": "In the place of {answer} stand the passages, each after its type and separated by semicolons, as in "
    'TYPE: "PASSAGE"; TYPE: "PASSAGE"; a passage is copied letter by letter from the post',
}
_WITHOUT_ANSWER = "; without any, the word none."

_JSON_START = "Reply with one JSON object and nothing before or after it. It has "
_JSON_ANSWER = {
    "choice": '"label" holds the name of the answer, letter by letter; ',
    "ordinal": '"label" holds the name of the answer, letter by letter; ',
    "multi": '"labels" holds a list of the names of the labels that apply, letter by letter, or an empty list; ',
    "scale": '"items" holds an object with the name of the level of each item, or null for an item for which the post '
    "gives no ground; ",
    "spans": '"quotations" holds a list of objects with the keys "type", one of the types above, and "quotation", a '
    "passage copied letter by letter from the post; the list may be empty; ",
}
_JSON_EXPLANATION = (
    '"explanation" holds the explanation, in which you write quotation marks as “ and ”{evidence}'
)
_JSON_EVIDENCE = (
    '; "evidence" holds a list of the quotations the answer rests on, each copied letter '
    "by letter from the post, the weightiest first"
)


def answer_choices(task: Task, structured: bool) -> str:
    """The answers to choose from: label sentences, in structured mode with label names; or labels, types and items."""
    if task.is_composite:
        return "\n".join([_CHOOSE[task.kind], *_names(task)])
    sentences = {label: label_sentence(task, label) for label in task.labels}
    lines = [
        f"- {json.dumps(k, ensure_ascii=False)}: {v}" if structured else f"- {v}"
        for k, v in sentences.items()
    ]
    return "\n".join([_CHOOSE[task.kind], *lines])


def _names(task: Task) -> list[str]:
    if task.kind != "scale":
        return [f"- {label}" for label in task.labels]
    levels = ", ".join(f"{level} ({score})" for level, score in task.level_scores.items())
    return [
        *(f"- {item}: {description}" for item, description in task.items.items()),
        f"The levels, with their scores: {levels}.",
    ]


def answer_format(task: Task, structured: bool) -> str:
    """How the answer is to be written: as a sentence and its reasoning, or as a JSON object."""
    if structured:
        has_evidence = task.kind != "spans"
        start = f"{_JSON_START}{'three' if has_evidence else 'two'} keys, in this order: {_JSON_ANSWER[task.kind]}"
        return f"{start}{_JSON_EXPLANATION.format(evidence=_JSON_EVIDENCE if has_evidence else '')}."
    if task.answer is None:
        return _CHOSEN_SENTENCE
    sentence = task.answer.instruction.rstrip(".")
    return (
        f"Write this sentence first, whatever the language of the post: {sentence}. "
        f"{_COMPOSED_SENTENCE[task.kind]}{_WITHOUT_ANSWER} {_AFTER_SENTENCE}"
    )


def answer_form_wording(task: Task) -> tuple[str, ...]:
    """The fixed wording of both, without the names of labels and items."""
    composed = (_COMPOSED_SENTENCE[task.kind], _AFTER_SENTENCE) if task.is_composite else ()
    return (_CHOOSE[task.kind], *(composed or (_CHOSEN_SENTENCE,)), answer_format(task, structured=True))


def answer_schema(task: Task) -> dict[str, Any]:
    """JSON schema of a structured answer, valid in the strict modes of providers."""
    labels = list(task.labels)
    text = {"type": "string"}
    answer: dict[str, dict[str, Any]] = {
        "multi": {"labels": {"type": "array", "items": {"type": "string", "enum": labels}}},
        "scale": {
            "items": _object(
                {item: {"type": ["string", "null"], "enum": [*labels, None]} for item in task.items}
            )
        },
        "spans": {
            "quotations": {
                "type": "array",
                "items": _object({"type": {"type": "string", "enum": labels}, "quotation": text}),
            }
        },
    }
    evidence = {} if task.kind == "spans" else {"evidence": {"type": "array", "items": text}}
    label = {"label": {"type": "string", "enum": labels}}
    return _object({**answer.get(task.kind, label), "explanation": text, **evidence})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def answer_object(task: Task, label: str, explanation: str, evidence: Sequence[str]) -> dict[str, Any]:
    """A structured answer that fits `answer_schema`.

    Raises
    ------
    ValueError
        The label is no answer of the task.
    """
    if task.kind == "spans":
        quotations = [{"type": type_, "quotation": text} for type_, text in value_quotations(task, label)]
        return {"quotations": quotations, "explanation": explanation}
    levels = value_levels(task, label)
    answer: dict[str, Any] = {"label": label}
    if task.kind == "multi":
        answer = {"labels": [name for name, level in levels.items() if level == PRESENT]}
    elif task.kind == "scale":
        answer = {"items": {item: levels.get(item) for item in task.items}}
    return {**answer, "explanation": explanation, "evidence": list(evidence)}

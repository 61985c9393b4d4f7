"""Read an answer of several parts in any form, from the most explicit statement to the weakest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

from mentallama.answers.answer_language import AnswerLanguage, answer_language
from mentallama.answers.composite.lists import read_list
from mentallama.answers.composite.members import UNKNOWN_NAME, MemberError, members_value
from mentallama.answers.composite.objects import read_objects
from mentallama.answers.json_answers import Fields, json_explanation, json_texts, split_json
from mentallama.answers.label_mentions import answer_mark, sentences
from mentallama.answers.language_rules import Rules, fold, fold_letters
from mentallama.answers.markup import searched, split_explanation
from mentallama.answers.refusals import is_refusal
from mentallama.records import FORMS, Reading
from mentallama.tasks import Task

_FENCE = re.compile(r"```[a-zA-Z]{0,10}\n?")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_LIST_HEADING = re.compile(
    r"(?:^|\n)[\s*_#>]*(?:labels|answers|items|levels|symptoms|quotations|quotes|passages|spans|categories)"
    r"[*_]{0,3}\s*[:=][*_]{0,3}",
    re.IGNORECASE,
)
_LIST_ITEM = re.compile(r"\s*(?:[-*•|]|\d{1,2}[.)])\s")
_MAX_LIST_WORDS = 3
"""Words of a paragraph that may be a member of a list rather than a sentence."""
_MAX_MARKS = 8
"""Marks of an answer that are tried, from the last one."""
_REFUSED = Reading(status="refused", reason="the model declines to answer")


def read_composite(task: Task, body: str) -> Reading:
    """Read an answer of the kinds multi, scale and spans without its thoughts and tags."""
    language = answer_language(task, fold(searched(body)))
    if (reading := _read_json(task, body, language)) is not None:
        return reading
    head, explanation = split_explanation(body, language.headings.languages)
    plain = _FENCE.sub("", searched(head)).strip()
    values, fault = _explicit_values(task, plain, language)
    if not values and not fault:
        if is_refusal(fold(plain), language.headings):
            return _REFUSED
        values, fault = _block_values(task, plain, language.rules)
    if len(values) > 1:
        return Reading(status="unparsed", reason="gives more than one answer")
    if values:
        return Reading(status="parsed", label=values.pop(), explanation=explanation)
    if truncation := _truncation(plain or body, language, listed=bool(fault)):
        return Reading(status="truncated", reason=truncation)
    return Reading(status="unparsed", reason=fault or "names no label")


def _read_json(task: Task, body: str, language: AnswerLanguage) -> Reading | None:
    """Read JSON objects or a list; None if the text outside them has to be read."""
    values: list[Fields | list[object]]
    if (array := _array(body)) is not None:
        values, outside, explanation = [array], "", ""
    else:
        parts = split_json(body)
        if parts.truncated:
            return Reading(status="truncated", reason="the text ends inside a JSON object")
        if not parts.objects:
            return None
        values, outside, explanation = [*parts.objects], parts.outside, json_explanation(parts.objects)
    try:
        value = members_value(task, read_objects(task, values, language.rules))
        return Reading(status="parsed", label=value, explanation=explanation)
    except MemberError as fault:
        if any(is_refusal(fold(text), language.headings) for text in json_texts(split_json(body).objects)):
            return _REFUSED
        outside = _FENCE.sub("", outside).strip("`[] \n,")
        return None if any(map(str.isalnum, outside)) else Reading(status="unparsed", reason=str(fault))


def _array(body: str) -> list[object] | None:
    """The JSON list that is the whole of a text."""
    text = _FENCE.sub("", body).strip("` \n")
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _explicit_values(task: Task, head: str, language: AnswerLanguage) -> tuple[set[str], str]:
    """Answers in the sentence of the task, else after a mark such as "Answer:", else in all of a text; or a fault.

    The fault says why such a text is no answer: "" for a text that is not in one of these forms.
    """
    fault = ""
    for texts in _explicit_texts(task, head, language):
        values = set()
        for text in texts:
            value, problem = _first_value(task, text, language.rules)
            values |= {value} if value else set()
            fault = fault or problem
        if values:
            return values, ""
    value, problem = _value(task, head, language.rules)
    if value is None and _BLANK_LINE.search(head):  # its paragraphs are read one by one
        problem = ""
    return ({value} if value else set()), fault or problem


def _explicit_texts(task: Task, head: str, language: AnswerLanguage) -> Iterator[list[str]]:
    """Texts in which an answer begins, those of equal strength together."""
    folded = fold_letters(head)
    yield [
        head[match.start("answer") : match.end("answer")]
        for f in _frames(task)
        for match in f.finditer(folded)
    ]
    mark_pattern = answer_mark(task, language.headings.languages)
    marks = list(mark_pattern.finditer(folded))[:_MAX_MARKS] or list(_LIST_HEADING.finditer(folded))[:1]
    final = [mark for mark in marks if mark.re is mark_pattern and (mark["final"] or mark["final_line"])]
    ends = [*(mark.start() for mark in marks), len(head)][1:]
    yield [
        head[mark.end() : end] for mark, end in zip(marks, ends, strict=True) if mark in final or not final
    ]


def _first_value(task: Task, text: str, rules: Rules) -> tuple[str | None, str]:
    """The answer of a text, or of its first line or its paragraphs if the others are prose; or why it has none."""
    value, problem = _value(task, text, rules)
    if value is not None:
        return value, ""
    line, _, rest = text.strip().partition("\n")
    values, fault = _block_values(task, text, rules) if _BLANK_LINE.search(text.strip()) else (set(), "")
    if not values and not fault and rest and _is_prose(rest):
        value, fault = _value(task, line, rules)
        values = {value} if value is not None else set()
    if len(values) == 1:
        return values.pop(), ""
    return None, fault or problem or ("gives more than one answer" if values else UNKNOWN_NAME[task.kind])


def _value(task: Task, text: str, rules: Rules) -> tuple[str | None, str]:
    """The canonical text of a list; or why it is none: "" for a text without any member of the task."""
    try:
        return members_value(task, read_list(task, text, rules)), ""
    except MemberError as fault:
        return None, str(fault) if fault.known else ""


def _block_values(task: Task, head: str, rules: Rules) -> tuple[set[str], str]:
    """Answers in the paragraphs that are lists, the others being prose; or the fault of a paragraph that is neither."""
    values: set[str] = set()
    fault = ""
    for block in _BLANK_LINE.split(head):
        value, problem = _value(task, block.strip(), rules)
        if value is not None:
            values.add(value)
        elif not _is_prose(block):
            fault = fault or problem or UNKNOWN_NAME[task.kind]
    return (set(), fault) if values and fault else (values, "")


def _is_prose(block: str) -> bool:
    """Whether a paragraph that is no list is a sentence, or introduces a list."""
    return block.rstrip().endswith(":") or (
        len(block.split()) > _MAX_LIST_WORDS and _LIST_ITEM.match(block) is None
    )


def _truncation(text: str, language: AnswerLanguage, listed: bool) -> str | None:
    """The reason why a text without an answer seems to be truncated; None if it does not. `listed`: it is a list."""
    last = next(reversed(sentences(text)), "").rstrip()
    if last.endswith((":", ";", ",")):
        return "the text ends inside the answer"
    if fold(last).count('"') % 2:
        return "the text ends inside a quotation"
    if (
        not listed
        and last[-1:].isalnum()
        and language.rules.unfinished_end.search(fold(text)[-200:].rstrip())
    ):
        return "the text ends in the middle of a sentence"
    return None


@cache
def _frames(task: Task) -> tuple[re.Pattern[str], ...]:
    """Patterns of the sentence around an answer in each form, where it has words of its own; a sentence ends a line."""
    assert task.answer is not None
    frames = []
    for form in FORMS:
        before, after = task.answer.for_form(form).rstrip(".").format(answer="\0").split("\0")
        if any(map(str.isalnum, before + after)):
            words = (r"\s+".join(map(re.escape, fold_letters(text).split())) for text in (before, after))
            start, end = words
            frames.append(
                re.compile(rf"{start}[ \t]*(?P<answer>[^\n]+?)[ \t]*{end}\.?[ \t]*(?:\n|$)", re.IGNORECASE)
            )
    return tuple(frames)

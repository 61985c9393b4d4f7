"""Parse an answer into its label and explanation, or a reason why it has no label.

References and model output are parsed by the same rules. `read_answer` is the inverse of `format.write_answer`: it
reads the published form exactly. Other texts are parsed in steps, from the most explicit statement of a label to the
weakest; docs/answers.md lists the steps. If two labels are stated equally strongly, it does not choose between them.
"""

from __future__ import annotations

import re
from functools import cache

from mentallama.answers.answer_language import AnswerLanguage, answer_language
from mentallama.answers.composite import read_composite
from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.json_answers import json_texts, read_json_objects, split_json
from mentallama.answers.label_mentions import (
    LabelName,
    asks_for_the_post,
    conclusion_labels,
    exact_labels,
    excerpt_labels,
    label_sentence_labels,
    marked_labels,
    sentences,
)
from mentallama.answers.language_rules import fold
from mentallama.answers.markup import AnswerParts, after_thought, searched, split_answer, split_explanation
from mentallama.answers.refusals import is_refusal, labels_beside_refusal
from mentallama.records import FORMS, Form, Reading
from mentallama.tasks import Task, find_task
from mentallama.tasks.answer_values import canonical_value, value_pattern

_MAX_MARKS = 8
"""Different final-answer marks that are read at the beginning and at the end of an answer with more of them."""


def read_answer(
    task: Task | str, text: str, form: Form = "instruction", finish_reason: str | None = None
) -> Reading:
    """Parse an answer.

    Parameters
    ----------
    task
        A task, or the name of a task that ships with the package.
    text
        What a model or an annotator wrote.
    form
        The form that was requested; an answer in the other form is read as well.
    finish_reason
        Why the model stopped, in the terms of its server (see `finish_reasons`); None if unknown.

    Returns
    -------
    Reading
        "parsed", with a canonical label and the explanation; or, with the reason instead of a label, "unparsed" (no
        label, or two stated equally strongly), "refused", or "truncated" (the text breaks off).

    Raises
    ------
    UsageError
        There is no task of that name.

    Examples
    --------
    >>> read_answer("SAD", "**Answer:** Work").label
    'work'
    >>> read_answer("DR", "I'm sorry, but I can't provide a diagnosis.").status
    'refused'
    >>> read_answer("SAD", "It is either work or school.").reason
    'names more than one label: school, work'
    """
    task = find_task(task) if isinstance(task, str) else task
    status = finish_reason_status(finish_reason)
    if status is not None:
        return Reading(status=status, reason=f"the model stopped at {finish_reason}")
    return _read_exact(task, text, form) or _read_free(task, text, form)


def _read_exact(task: Task, text: str, form: Form) -> Reading | None:
    """Invert `write_answer` exactly, for any explanation; None for a text in another form.

    A thought that the chat template opened may begin like an answer: the answer that follows it counts.
    """
    match = _published_pattern(task, form).match(text)
    if match is None:
        return None
    rest = after_thought(text)
    if rest is not None and _published_pattern(task, form).match(rest):
        return _read_exact(task, rest, form)
    if task.is_composite:
        try:
            label = canonical_value(task, match[2])
        except ValueError:  # an item that is filled twice, with one level or with two
            return None
    else:
        label = next(name for name in task.labels if label_sentence(task, name, form) == match[1])
    return Reading(status="parsed", label=label, explanation=text[match.end() :].strip())


@cache
def _published_pattern(task: Task, form: Form) -> re.Pattern[str]:
    if task.answer is not None:
        before, after = task.answer.for_form(form).rstrip(".").format(answer="\0").split("\0")
        sentences = rf"{re.escape(before)}({value_pattern(task)}){re.escape(after)}\."
    else:
        sentences = "|".join(re.escape(label_sentence(task, name, form)) for name in task.labels)
    return re.compile(rf"\s*({sentences})\s*{REASONING_MARKER}", re.DOTALL)


def _read_free(task: Task, text: str, form: Form) -> Reading:
    parts = split_answer(text)
    if parts.unfinished:
        return Reading(status="truncated", reason="the text ends while the model is still thinking")
    if parts.marked:
        return _read_marked(task, parts, form)
    if not parts.body:
        return Reading(status="unparsed", reason="the text is empty")
    reading = _read_exact(task, parts.body, form) or _read_body(task, parts.body)
    return reading.model_copy(update={"explanation": parts.beside}) if parts.beside else reading


def _read_body(task: Task, body: str) -> Reading:
    if task.is_composite:
        return read_composite(task, body)
    return _read_json(task, body) or _read_prose(task, body)


def _read_marked(task: Task, parts: AnswerParts, form: Form) -> Reading:
    """Read the contents of final-answer marks alone; those that name no label do not count beside others."""
    marks = list(dict.fromkeys(parts.marked))
    marks = marks if len(marks) <= 2 * _MAX_MARKS else [*marks[:_MAX_MARKS], *marks[-_MAX_MARKS:]]
    readings = [_read_exact(task, mark, form) or _read_free(task, mark, form) for mark in marks]
    labels = frozenset(reading.label for reading in readings if reading.label is not None)
    if not labels:
        return readings[0]
    explanations = [
        reading.explanation
        for reading, mark in zip(readings, marks, strict=True)
        if reading.label is not None and reading.explanation not in {"", mark}
    ]
    if len(labels) > 1 and task.is_composite:  # its texts may hold quotations of the post
        return Reading(status="unparsed", reason="gives more than one answer")
    return _reading_of_labels(labels, explanations[0] if explanations else parts.beside)


def _read_json(task: Task, body: str) -> Reading | None:
    """Read JSON objects with a label and possibly an explanation; None if the text outside them has to be read."""
    json_parts = split_json(body)
    if not json_parts.objects:
        if json_parts.truncated:
            return Reading(status="truncated", reason="the text ends inside a JSON object")
        return None
    language = answer_language(task, fold(body))
    labels, explanation = read_json_objects(task, json_parts.objects, language.rules)
    if labels:
        return _reading_of_labels(labels, explanation)
    outside = json_parts.outside.strip("`[] \n,").removeprefix("json").strip()
    if any(map(str.isalnum, outside)):
        return _read_prose(task, outside)
    if any(is_refusal(fold(text), language.headings) for text in json_texts(json_parts.objects)):
        return Reading(status="refused", reason="the model declines to answer")
    return Reading(status="unparsed", reason="the JSON object names no label")


def _read_prose(task: Task, body: str) -> Reading:
    plain = fold(searched(body))
    language = answer_language(task, plain)
    head, explanation = split_explanation(body, language.headings.languages)
    plain_head = plain if head == body else fold(searched(head))
    marked = marked_labels(task, plain, language.rules, language.headings)
    explicit = (
        marked.labels
        or exact_labels(task, plain)
        or label_sentence_labels(task, plain_head or plain, language.rules)
    )
    if len(explicit) == 1:
        return _reading_of_labels(explicit, explanation)
    if is_refusal(plain_head, language.headings):
        stated = labels_beside_refusal(task, plain_head, language) if language.is_known else frozenset()
        declined = Reading(status="refused", reason="the model declines to answer")
        return _reading_of_labels(stated, explanation) if len(stated) == 1 else declined
    if not explicit and asks_for_the_post(task, plain_head, language.rules):
        return Reading(status="unparsed", reason="the model asks for the post")
    if marked.named_none and not explicit:
        return Reading(status="unparsed", reason="the marked answer names no label")
    labels = explicit or _prose_labels(task, plain, plain_head, language)
    return (
        _reading_of_labels(labels, explanation) if labels else _reading_without_label(task, plain, language)
    )


def _reading_without_label(task: Task, plain: str, language: AnswerLanguage) -> Reading:
    if truncation := _truncation_reason(task, plain, language):
        return Reading(status="truncated", reason=truncation)
    reason = "names no label" if language.is_known else "is in a language whose negations are not known"
    return Reading(status="unparsed", reason=reason)


def _prose_labels(task: Task, plain: str, plain_head: str, language: AnswerLanguage) -> frozenset[LabelName]:
    if not language.is_known:
        return exact_labels(task, plain_head)
    return excerpt_labels(task, plain_head, language.rules) or conclusion_labels(task, plain, language.rules)


def _reading_of_labels(labels: frozenset[LabelName], explanation: str) -> Reading:
    if len(labels) == 1:
        return Reading(status="parsed", label=next(iter(labels)), explanation=explanation)
    return Reading(status="unparsed", reason=f"names more than one label: {', '.join(sorted(labels))}")


def _truncation_reason(task: Task, plain: str, language: AnswerLanguage) -> str | None:
    """The reason why a text that names no label seems to be truncated; None if it does not."""
    last_sentence = next(reversed(sentences(plain)), "").lower().strip()
    answers = (
        fold(label_sentence(task, name, form)).lower().rstrip(".") for name in task.labels for form in FORMS
    )
    if len(last_sentence) >= 4 and any(s.startswith(last_sentence) and s != last_sentence for s in answers):
        return "the text ends inside the answer sentence"
    if language.rules.unfinished_end.search(plain[-200:].rstrip()):
        return "the text ends in the middle of a sentence"
    return None

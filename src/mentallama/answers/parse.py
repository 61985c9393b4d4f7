"""Parse an answer into its label and explanation, or a reason why it has no label.

References and model output are parsed by the same rules. `read_answer` is the inverse of `format.write_answer`: it
reads the published form exactly. Other texts are parsed in steps, from the most explicit statement of a label to the
weakest; docs/answers.md lists the steps. If two labels are stated equally strongly, it does not choose between them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.label_mentions import (
    LabelName,
    conclusion_labels,
    excerpt_labels,
    label_sentence_labels,
    marked_labels,
)
from mentallama.records import FORMS, Form, Reading
from mentallama.tasks import Task, find_task

_REASONING_HEADING = re.compile(
    r"[ \t]*[*_#>\[]*\b(?:reasoning|explanation|rationale|justification|razonamiento|explicación|推理|解释|이유|설명)"
    r"\]?[*_]*\s*[:：][*_]*\s*",
    re.IGNORECASE,
)
_SPECIAL_TOKENS = re.compile(
    r"<\|[^|<>]{1,40}\|>|</?s>|\[/?INST\]|<pad>|<unk>|<eos>|<bos>|<end_of_turn>|<start_of_turn>\w*"
)
_THINKING = re.compile(r"<(think|thinking|thought)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_UNCLOSED_THINKING = re.compile(r"<(think|thinking|thought)>", re.IGNORECASE)

_REFUSAL = re.compile(
    # The subject must be the speaker or missing: a sentence about the poster ("can't help it") is not a refusal.
    r"(?:\b(?:i|i'm|we|me)\b[^.!?\n]{0,40}?|^\W*|[.!?\n]\W*|\bit (?:is|would be|'s) )"
    r"\b(?:can(?:no|')?t|can ?not|could ?n[o']t|won'?t|will not|unable to|not able to|not (?:qualified|comfortable|"
    r"appropriate|allowed|permitted|equipped|in a position)|inappropriate|must decline|have to decline|decline to|"
    r"refuse to)\b"
    r"[^.!?\n]{0,80}?\b(?:diagnos\w*|assess\w*|evaluat\w*|label\w*|classif\w*|determin\w*|provid\w*|answer\w*|help\w*|"
    r"assist\w*|comply|fulfil\w*|engage\w*|analy[sz]\w*|judg\w*|respond\w*|discuss\w*|continue|do that|do this|"
    r"comment\w*|speculat\w*|mak\w* (?:a|any|that|such)|request|guidelines|polic\w*)\b"
    r"|\bas an ai\b[^.!?\n]{0,120}\b(?:can(?:no|')?t|can ?not|not able|unable|don'?t|do not|not)\b"
    r"|\bi(?:'m| am) (?:so |very |really )?sorry\b[^.!?\n]{0,80}\b(?:can(?:no|')?t|can ?not|unable|not able|won'?t)\b"
    r"|against my (?:guidelines|polic\w*|programming)"
    r"|\b(?:lo siento|no puedo|je ne peux pas|je suis désolée?|désolée?,|tut mir leid|kann ich nicht|üzgünüm)\b"
    r"|抱歉|对不起|無法|无法|죄송|할 수 없|申し訳|معذرت|معاف کیجیے",
    re.IGNORECASE,
)
_STRAIGHT_QUOTES = str.maketrans(
    {**dict.fromkeys("’‘‚‛`´", "'"), **dict.fromkeys("“”„«»", '"'), "\u00a0": " "}
)


def read_answer(
    task: Task | str, text: str, form: Form = "instruction", finish_reason: str | None = None
) -> Reading:
    """Parse an answer.

    Parameters
    ----------
    task
        A task, or the name of a task that ships with the package.
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
    return _read_exact(task, text, form) or _read_free(task, text)


def _read_exact(task: Task, text: str, form: Form) -> Reading | None:
    """Invert `write_answer` exactly, for any explanation; None for a text in another form."""
    match = _published_pattern(task, form).match(text)
    if match is None:
        return None
    label = next(name for name in task.labels if label_sentence(task, name, form) == match[1])
    return Reading(status="parsed", label=label, explanation=text[match.end() :].strip())


@cache
def _published_pattern(task: Task, form: Form) -> re.Pattern[str]:
    sentences = "|".join(re.escape(label_sentence(task, name, form)) for name in task.labels)
    return re.compile(rf"\s*({sentences})\s*{REASONING_MARKER}")


def answer_body(text: str) -> str:
    """Remove the model's thinking and special tokens of chat templates from an answer."""
    return _SPECIAL_TOKENS.sub(" ", _THINKING.sub(" ", text)).strip()


def _read_free(task: Task, text: str) -> Reading:
    body = answer_body(text)
    if _UNCLOSED_THINKING.search(body):
        return Reading(status="truncated", reason="the text ends while the model is still thinking")
    if not body:
        return Reading(status="unparsed", reason="the text is empty")
    return _read_json(task, body) or _read_prose(task, body)


def _read_prose(task: Task, body: str) -> Reading:
    head, explanation = _split_reasoning(body)
    plain = _straighten_quotes(body)
    plain_head = _straighten_quotes(head)
    explicit = marked_labels(task, plain) or label_sentence_labels(task, plain_head or plain)
    if len(explicit) == 1:
        return _reading_of_labels(explicit, explanation)
    if _REFUSAL.search(plain_head):
        return Reading(status="refused", reason="the model declines to answer")
    labels = explicit or excerpt_labels(task, plain_head) or conclusion_labels(task, plain)
    if labels:
        return _reading_of_labels(labels, explanation)
    truncation = _truncation_reason(task, plain)
    if truncation:
        return Reading(status="truncated", reason=truncation)
    return Reading(status="unparsed", reason="names no label")


def _straighten_quotes(text: str) -> str:
    """Replace quotation marks by straight ones, including mis-decoded apostrophes."""
    return text.replace("‚Äô", "'").replace("â€™", "'").translate(_STRAIGHT_QUOTES)


def _reading_of_labels(labels: frozenset[LabelName], explanation: str) -> Reading:
    if len(labels) == 1:
        return Reading(status="parsed", label=next(iter(labels)), explanation=explanation)
    return Reading(status="unparsed", reason=f"names more than one label: {', '.join(sorted(labels))}")


def _split_reasoning(body: str) -> tuple[str, str]:
    """Split into the text before the reasoning and the reasoning; without a heading, each is the whole text."""
    match = _REASONING_HEADING.search(body)
    if match is None:
        return body, body
    return body[: match.start()].strip(), body[match.end() :].strip()


_ANSWER_KEYS = (
    "label",
    "answer",
    "prediction",
    "classification",
    "category",
    "class",
    "result",
    "verdict",
    "cause",
)
_EXPLANATION_KEYS = ("explanation", "reasoning", "reason", "rationale", "justification", "evidence")


def first_json_object(text: str) -> dict[str, Any] | None:
    """Fields of the first JSON object in a text, by lower-case name; None if there is no complete object."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError):  # not JSON, a number with thousands of digits, or nested too deeply
        return None
    return {str(key).lower(): item for key, item in value.items()} if isinstance(value, dict) else None


def _read_json(task: Task, body: str) -> Reading | None:
    """Read a JSON object with a label and possibly an explanation; None if there is no such object."""
    fields = first_json_object(body)
    if fields is None:
        return _read_truncated_json(body)
    stated = next((fields[key] for key in _ANSWER_KEYS if key in fields), None)
    if isinstance(stated, bool) and task.is_yes_no:
        stated = "yes" if stated else "no"
    if not isinstance(stated, str):
        return None
    labels = (
        frozenset([stated]) if stated in task.labels else excerpt_labels(task, _straighten_quotes(stated))
    )
    # Structured answers have lists of quotations under such keys; only a string is an explanation.
    texts = (fields[key] for key in _EXPLANATION_KEYS if isinstance(fields.get(key), str))
    if not labels:
        return Reading(status="unparsed", reason="the JSON object names no label")
    return _reading_of_labels(labels, next(texts, "").strip())


def _read_truncated_json(body: str) -> Reading | None:
    start = body.find("{")
    is_open = start >= 0 and "}" not in body[start:] and re.search(r'\{\s*["“]?\w+["”]?\s*:', body)
    return Reading(status="truncated", reason="the text ends inside a JSON object") if is_open else None


_UNFINISHED_ENDING = re.compile(
    r"(?:[,;:(\[\"-]|\b(?:the|a|an|of|to|and|or|that|is|are|was|with|by|for|in|on|at|as|from|because|which|this|their|its|"
    r"related|shows?|suffers?|does|has|have|be|been|being|it|not)"
    r"|(?:^|[,.]\s*|\n)(?:the|this) (?:given |wellness |above |stress )?(?:post|poster|user|author|writer|text|tweet|"
    r"dimension|cause))\s*$",
    re.IGNORECASE,
)


def _truncation_reason(task: Task, plain: str) -> str | None:
    """The reason why a text that names no label seems to be truncated; None if it does not."""
    last_sentence = re.split(r"[.!?\n]\s+", plain.lower())[-1].strip()
    sentences = (
        label_sentence(task, name, form).lower().rstrip(".") for name in task.labels for form in FORMS
    )
    if len(last_sentence) >= 4 and any(s.startswith(last_sentence) and s != last_sentence for s in sentences):
        return "the text ends inside the answer sentence"
    return "the text ends in the middle of a sentence" if _UNFINISHED_ENDING.search(plain) else None

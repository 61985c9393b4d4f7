"""Read what models reply about a scale: a filled item, or a checker's objections.

A reply that cannot be used has a fault, a sentence that goes back to the model. It never becomes a level.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mentallama.answers.answer_language import answer_language
from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.answers.json_answers import Fields, split_json
from mentallama.answers.language_rules import fold
from mentallama.answers.markup import answer_body
from mentallama.answers.quotations import GROUNDED_KINDS, match_quotes
from mentallama.answers.refusals import is_refusal
from mentallama.llm_api.types import Completion
from mentallama.prompts.scale_prompts import ItemAnswer, Scale
from mentallama.tasks import Task
from mentallama.text.quote_extraction import extract_quotes

ReplyStatus = Literal["read", "refused", "fault"]

NOT_JSON = "The reply is not the JSON object that was asked for."
CUT_OFF = "The reply breaks off before its end; keep it shorter."
NO_LEVEL = '"level" is neither null nor the name of a level.'
NO_STATEMENT = '"statement" is empty.'
NO_EVIDENCE = 'A level needs a quotation of the post, and "evidence" holds none.'
NO_OBJECTIONS = '"objections" is not a list of objects with "item" and "reason".'


@dataclass(frozen=True)
class ItemReply:
    """A reply about one item. A reply that is read and has no answer says that the post tells no level."""

    status: ReplyStatus
    answer: ItemAnswer | None = None
    fault: str = ""


@dataclass(frozen=True)
class CheckReply:
    """A checker's reply: by item, the reason for sending it back."""

    status: ReplyStatus
    objections: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


class _JsonReply(NamedTuple):
    """The object that a reply consists of; if `status` is not `read`, an empty one."""

    status: ReplyStatus
    fields: Fields
    fault: str = ""


def read_item_reply(task: Task, scale: Scale, text: str, completion: Completion) -> ItemReply:
    """Read a filled item, and look its quotations up in the post's `text`."""
    reply = _read_json(task, completion, "level")
    if reply.status != "read":
        return ItemReply(reply.status, fault=reply.fault)
    if reply.fields["level"] is None:
        return ItemReply("read")
    level = _level_named(scale, reply.fields["level"])
    if level is None:
        return ItemReply("fault", fault=NO_LEVEL)
    statement, evidence = _one_line(reply.fields.get("statement")), _texts(reply.fields.get("evidence"))
    answer = ItemAnswer(level, statement, evidence)
    fault = _item_fault(task, text, answer)
    return ItemReply("fault" if fault else "read", answer, fault)


def read_check_reply(task: Task, scale: Scale, completion: Completion) -> CheckReply:
    """Read a checker's reply about items of a scale."""
    reply = _read_json(task, completion, "objections")
    if reply.status != "read":
        return CheckReply(reply.status, fault=reply.fault)
    listed = reply.fields["objections"]
    objections: dict[str, str] = {}
    for entry in listed if isinstance(listed, list) else [None]:
        fields = entry if isinstance(entry, dict) else {}
        item, reason = _one_line(fields.get("item")), _one_line(fields.get("reason"))
        if not item or not reason:
            return CheckReply("fault", fault=NO_OBJECTIONS)
        if item not in scale.items:
            return CheckReply("fault", fault=f"{item!r} is not an item of the scale.")
        objections.setdefault(item, reason)
    return CheckReply("read", objections)


def _item_fault(task: Task, text: str, answer: ItemAnswer) -> str:
    """A sentence on what is missing from an item, or from the post; "" if nothing is."""
    if not answer.statement:
        return NO_STATEMENT
    if not answer.quotations:
        return NO_EVIDENCE
    quoted = extract_quotes("", answer.statement)
    missing = [
        *_not_found(task, text, answer.quotations, GROUNDED_KINDS),
        *_not_found(task, text, quoted, GROUNDED_KINDS | {"term"}),
    ]
    listed = ", ".join(f"“{quote}”" for quote in dict.fromkeys(missing))
    return f"These quotations do not stand in the post: {listed}." if missing else ""


def _not_found(task: Task, text: str, quotes: Sequence[str], allowed: Collection[str]) -> list[str]:
    matches = match_quotes(text, quotes, task)
    return [quote for quote, match in zip(quotes, matches, strict=True) if match.kind not in allowed]


def _read_json(task: Task, completion: Completion, key: str) -> _JsonReply:
    """The only object of a reply that has `key`."""
    if completion.state == "refused":
        return _JsonReply("refused", {})
    if (status := finish_reason_status(completion.finish_reason)) is not None:
        return _JsonReply("refused", {}) if status == "refused" else _JsonReply("fault", {}, CUT_OFF)
    body = answer_body(completion.text)
    parts = split_json(body)
    objects = [fields for fields in parts.objects if key in fields]
    if parts.truncated:
        return _JsonReply("fault", {}, CUT_OFF)
    if len(objects) == 1:
        return _JsonReply("read", objects[0])
    plain = fold(body)
    declines = not parts.objects and is_refusal(plain, answer_language(task, plain).headings)
    return _JsonReply("refused", {}) if declines else _JsonReply("fault", {}, NOT_JSON)


def _level_named(scale: Scale, value: object) -> str | None:
    """The level that a name, in any case, or a number stands for."""
    names = {level.casefold(): level for level in scale.levels}
    numbers = {str(number): level for level, number in scale.levels.items()}
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    named = str(value).strip().casefold()
    return names.get(named, numbers.get(named))


def _one_line(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    """Texts with a letter or digit, each once; a single text counts as a list of one."""
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = [entry.strip() for entry in values if isinstance(entry, str)]
    return tuple(dict.fromkeys(text for text in texts if any(map(str.isalnum, text))))

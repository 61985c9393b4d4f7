"""JSON objects and lists whose members are labels, items with levels, or typed quotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mentallama.answers.composite.lists import read_list
from mentallama.answers.composite.members import (
    NOTHING,
    UNKNOWN_NAME,
    Member,
    MemberError,
    level_named,
    part_named,
    presence_named,
    says_none,
    says_not_filled,
)
from mentallama.answers.json_answers import EXPLANATION_KEYS, LABEL_KEYS, Fields
from mentallama.answers.language_rules import Rules, all_rules
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import PRESENT

_CONTAINER_KEYS = (
    "labels",
    "items",
    "levels",
    "scores",
    "quotations",
    "quotes",
    "spans",
    "passages",
    *LABEL_KEYS,
)
"""Keys under which an answer stands, the most explicit first."""
_NAME_KEYS = ("item", "type", "label", "name", "category", "class", "symptom")
_LEVEL_KEYS = ("level", "label", "score", "value", "answer", "rating", "severity", "frequency")
_PRESENCE_KEYS = ("present", "presence", "value", "level", "answer", "status")
_QUOTE_KEYS = ("quotation", "quote", "text", "span", "passage", "evidence")
_IGNORED_KEYS = frozenset(
    ("total", "sum", "total score", "sum score", "overall score", "band", "confidence", "evidence", "quotations",
     "quotes", "notes", "note", "post", "id")
)  # fmt: skip
"""Keys beside the parts of an answer that say nothing about them."""
_FILLED_LIMIT = 8
"""Objects within objects that are searched."""


def read_objects(task: Task, values: Iterable[Fields | list[object]], rules: Rules) -> list[Member]:
    """The members of objects and lists that stand in one answer.

    Raises
    ------
    MemberError
        They name no label, or one that the task does not have.
    """
    reader = _ObjectReader(task, rules)
    found = [member for value in values for member in reader.value(value)]
    if not found:
        raise MemberError("the JSON object names no label")
    return found


@dataclass(frozen=True)
class _ObjectReader:
    task: Task
    rules: Rules

    def value(self, value: object, depth: int = 0) -> list[Member]:
        """The members of any JSON value that is an answer or a part of one."""
        if depth > _FILLED_LIMIT:
            raise MemberError("the JSON object is nested too deeply")
        if isinstance(value, Mapping):
            return self._object({_plain(key): each for key, each in value.items()}, depth)
        if isinstance(value, list):
            members = [member for item in value for member in self.value(item, depth + 1)]
            return members or [NOTHING]
        if value is None or isinstance(value, bool | int | float):
            raise self._unknown()
        return read_list(self.task, str(value), self.rules)

    def _object(self, fields: Mapping[str, object], depth: int) -> list[Member]:
        if (record := self._record(fields)) is not None:
            return record
        names = {*_CONTAINER_KEYS, *map(_plain, (self.task.set, *self.task.questions))}
        named = [key for key in (*_CONTAINER_KEYS, *fields) if key in fields and key in names]
        for key in named:
            if part_named(self.task, key) is None or isinstance(fields[key], Mapping | list):
                return self.value(fields[key], depth + 1)
        parts = {key: part for key in fields if (part := part_named(self.task, key)) is not None}
        if not parts:
            inner = [value for value in fields.values() if isinstance(value, Mapping)]
            return [member for value in inner for member in self.value(value, depth + 1)]
        if any(key not in parts and not _is_beside(key) for key in fields):
            raise self._unknown()
        said = {key: None if _is_none(self.task, fields[key]) else fields[key] for key in parts}
        return [member for key, part in parts.items() for member in self._said(part, said[key])]

    def _record(self, fields: Mapping[str, object]) -> list[Member] | None:
        """The member of an object with a name and what is said about it, such as `{"item": …, "level": …}`."""
        if self.task.kind == "multi":
            said_keys: tuple[str, ...] = _PRESENCE_KEYS
        else:
            said_keys = _LEVEL_KEYS if self.task.kind == "scale" else _QUOTE_KEYS
        name_key = next((key for key in _NAME_KEYS if isinstance(fields.get(key), str)), None)
        said_key = next((key for key in said_keys if key in fields and key != name_key), None)
        if name_key is None or said_key is None:
            return None
        part = part_named(self.task, str(fields[name_key]))
        if part is None:
            raise self._unknown()
        return self._said(part, fields[said_key])

    def _said(self, part: str, value: object) -> list[Member]:
        """The value given for a part: a level, a mark of presence, or quotations."""
        if self.task.kind == "spans":
            return self._quoted(part, value)
        if isinstance(value, Mapping):
            keys = _LEVEL_KEYS if self.task.kind == "scale" else _PRESENCE_KEYS
            plain = {_plain(key): each for key, each in value.items()}
            value = next((plain[key] for key in keys if key in plain), ...)
        if self.task.kind == "scale" and value is None:
            return [Member(part, None)]
        if isinstance(value, list | Mapping) or value is None or value is ...:
            raise self._unknown()
        text = str(value)
        if self.task.kind == "multi":
            level = presence_named(text) or (PRESENT if part_named(self.task, text) == part else None)
        elif says_not_filled(text):
            return [Member(part, None)]
        else:
            level = level_named(self.task, text)
        if level is None:
            raise self._unknown()
        return [Member(part, level)]

    def _quoted(self, part: str, value: object) -> list[Member]:
        quotes = value if isinstance(value, list) else [] if value is None else [value]
        members = []
        for each in quotes:
            quote = each
            if isinstance(each, Mapping):
                plain = {_plain(key): inner for key, inner in each.items()}
                quote = next((plain[key] for key in _QUOTE_KEYS if key in plain), None)
            if not isinstance(quote, str):
                raise self._unknown()
            if quote.strip():
                members.append(Member(part, quote.strip().strip('“”"')))
        return members or [Member(part, None)]

    def _unknown(self) -> MemberError:
        return MemberError(UNKNOWN_NAME[self.task.kind])


def _is_none(task: Task, value: object) -> bool:
    """Whether a type has the word none in the place of its quotations; within a list it is a quotation."""
    return task.kind == "spans" and isinstance(value, str) and says_none(value)


def _plain(key: object) -> str:
    """A key as words: `dailyTasks`, `daily_tasks` and `Daily tasks` are one."""
    return " ".join(re.findall(r"[^\W_]+(?:['’][^\W_]+)?", str(key))).lower()


def _is_beside(key: str) -> bool:
    """Whether a key stands beside the parts of an answer: an explanation, a sum, or the like."""
    words = {*EXPLANATION_KEYS, *map(str.lower, all_rules().words("explanation_headings"))}
    return key in _IGNORED_KEYS or key in words

"""Members of an answer of several parts: what a name, a level or a mark of presence in it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from mentallama.answers.label_mentions import bare_text, exact_labels
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import ABSENT, NONE, PRESENT
from mentallama.tasks.answer_values import levels_value, quotations_value


class Member(NamedTuple):
    """A label, item or type of the task, and its level or quotation; None: the item is not filled, or has none."""

    part: str
    value: str | None


NOTHING = Member("", None)
"""An explicit answer without any label, item or quotation."""


class MemberError(ValueError):
    """A text or an object is no answer; the message is a reason for a reading. `known`: it has members of the task."""

    def __init__(self, reason: str, known: bool = False) -> None:
        super().__init__(reason)
        self.known = known


UNKNOWN_NAME: Mapping[str, str] = {
    "multi": "names something that is no label of the task",
    "scale": "names something that is no item or level of the task",
    "spans": "has a type without a quotation, a quotation without a type, or a type that the task does not have",
}
"""Reason for a member that is not known, by kind; without its words, which may be those of a post."""

_NONE_WORDS = frozenset(
    (NONE, "none of them", "none of these", "none of the above", "nothing", "no labels", "no label", "no quotations",
     "no passages", "no spans", "not applicable")
)  # fmt: skip
_NOT_FILLED_WORDS = frozenset(
    ("", "-", "–", "—", "n/a", "na", "null", "not filled", "not mentioned", "not stated", "not given", "not reported",
     "not applicable", "unknown", "unclear", "cannot tell", "insufficient information")
)  # fmt: skip
_PRESENCE = {
    "yes": PRESENT, "true": PRESENT, "1": PRESENT, PRESENT: PRESENT,
    "no": ABSENT, "false": ABSENT, "0": ABSENT, ABSENT: ABSENT, "not present": ABSENT,
}  # fmt: skip
_IN_BRACKETS = re.compile(r"(.*\S)\s*\([^()]*\)\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d{1,6}(?:\.0{1,3})?")
_NUMBER_FIRST = re.compile(r"(?:level |score )?([+-]?\d{1,6})\s*(?:[-–—:=,|.]|\()\s*(.+?)\)?", re.DOTALL)
_NUMBER_LAST = re.compile(r"(.+?)\s*(?:[-–—:=,|]|\()\s*([+-]?\d{1,6})\)?", re.DOTALL)


def says_none(text: str) -> bool:
    """Whether a text says that there is no label, item or quotation."""
    return bare_text(text) in _NONE_WORDS or text.strip() == "[]"


def says_not_filled(text: str) -> bool:
    """Whether a text in place of a level says that there is none. "none" may also mean the lowest level."""
    return bare_text(text) in _NOT_FILLED_WORDS or not text.strip()


def label_named(task: Task, text: str) -> str | None:
    """The label, type or level whose name, alias or sentence is the whole text."""
    return next(iter(exact_labels(task, text)), None)


def part_named(task: Task, text: str) -> str | None:
    """The item, label or type that a text names, with or without a remark in brackets."""
    without_remark = _IN_BRACKETS.fullmatch(text)
    for name in (text, *([without_remark[1]] if without_remark else [])):
        found = _item_names(task).get(bare_text(name)) if task.kind == "scale" else label_named(task, name)
        if found is not None:
            return found
    return None


def level_named(task: Task, text: str) -> str | None:
    """The level that a text names, by its name, an alias or its score, or by both if they agree."""
    if (label := label_named(task, text)) is not None:
        return label
    bare = bare_text(text)
    if _NUMBER.fullmatch(bare):
        return _levels_by_score(task).get(int(float(bare)))
    for pattern, number, name in ((_NUMBER_FIRST, 1, 2), (_NUMBER_LAST, 2, 1)):
        if match := pattern.fullmatch(bare):
            level = _levels_by_score(task).get(int(match[number]))
            return level if level is not None and level == label_named(task, match[name]) else None
    return None


def presence_named(text: str) -> str | None:
    """`present` or `absent`, if a text says one of them."""
    return _PRESENCE.get(bare_text(text))


def members_value(task: Task, members: Iterable[Member]) -> str:
    """The canonical text of an answer.

    Raises
    ------
    MemberError
        The members contradict each other.
    """
    members = list(members)
    given = [member for member in members if member.value not in {None, ABSENT}]
    if NOTHING in members and given:
        raise MemberError('says "none" beside an answer', known=True)
    if task.kind == "spans":
        return quotations_value(task, [(part, text) for part, text in given if text is not None])
    levels: dict[str, str] = {}
    for part, level in members:
        if level is not None and levels.setdefault(part, level) != level:
            conflict = "two levels to" if task.kind == "scale" else "presence and absence to"
            raise MemberError(f"gives {conflict} {part}", known=True)
    return levels_value(task, levels)


@cache
def _item_names(task: Task) -> Mapping[str, str]:
    """Item of a scale by its bare name or description; a description that two items share names none."""
    described: dict[str, list[str]] = {}
    for item, description in task.items.items():
        described.setdefault(bare_text(description), []).append(item)
    named = {text: items[0] for text, items in described.items() if len(items) == 1}
    return named | {bare_text(item): item for item in task.items}


@cache
def _levels_by_score(task: Task) -> Mapping[int, str]:
    return {score: level for level, score in task.level_scores.items()}

"""Answers as strings: the canonical text of an answer, and the levels or quotations that it stands for.

Records hold an answer as one string (`Post.labels`, `Reading.label`). For the kinds choice and ordinal it is the name
of a label. For the others it is a text with one spelling for each answer:

| kind | text |
| --- | --- |
| multi | `sleep; fatigue`: labels in the order of the task |
| scale | `sleep: several days; appetite: not at all`: items in the order of the task, without those not filled |
| spans | `sleep: "wide awake at 4"; fatigue: "so tired"`: by type, quotations in the order given |

`none` is the answer without any label, item or quotation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mentallama.tasks.answer_kinds import ABSENT, NONE, PRESENT, AnswerKind
from mentallama.tasks.catalogue import find_task
from mentallama.tasks.schema import Task

_SEPARATOR = "; "
_STRING = r'"(?:[^"\\]|\\.)*"'
"""A quotation, as JSON writes it."""


class TypedQuotation(NamedTuple):
    """A passage of a post, quoted verbatim, and its type, which is a label of the task."""

    type: str
    text: str


def value_pattern(task: Task) -> str:
    """Regular expression of the canonical texts of a task, without groups that capture."""
    labels = _alternatives(task.labels)
    if not task.is_composite:
        return labels
    member = {
        "multi": labels,
        "scale": f"{_alternatives(task.items)}: {labels}",
        "spans": f"{labels}: {_STRING}",
    }[task.kind]
    return f"(?:{member}(?:{_SEPARATOR}{member})*|{NONE})"


def _alternatives(names: Iterable[str]) -> str:
    # the longest first, so that no name hides one that begins with it
    return f"(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})"


def value_levels(task: Task, value: str) -> dict[str, str]:
    """The level of each part of an answer, in the order of the task; without the items of a scale that are not filled.

    Raises
    ------
    ValueError
        The value is no canonical text of the task. The message does not repeat it.

    Examples
    --------
    >>> from mentallama.tasks import load_tasks
    >>> value_levels(load_tasks()["dreaddit"], "yes")
    {'': 'yes'}
    """
    if not re.fullmatch(value_pattern(task), value, re.DOTALL):
        raise ValueError(f"not an answer of {task.set}")
    if not task.is_composite:
        return {"": value}
    if task.kind == "scale":
        members = [] if value == NONE else value.split(_SEPARATOR)
        levels = dict(member.split(": ", 1) for member in members)
        return {part.name: levels[part.name] for part in task.parts if part.name in levels}
    if task.kind == "spans":
        present = {quotation.type for quotation in value_quotations(task, value)}
    else:
        present = set(value.split(_SEPARATOR))
    return {part.name: PRESENT if part.name in present else ABSENT for part in task.parts}


def levels_value(task: Task, levels: Mapping[str, str]) -> str:
    """The canonical text of an answer of the kinds choice, ordinal, multi and scale; the inverse of `value_levels`.

    `levels` is by part; a label of a multi answer that is missing is absent, an item of a scale is not filled.

    Raises
    ------
    ValueError
        A part or level does not exist in the task, or the answer is made of quotations (`quotations_value`).
    """
    if task.kind == "spans":
        raise ValueError(f"an answer of {task.set} is made of quotations")
    known = {part.name: part for part in task.parts}
    for name, level in levels.items():
        if name not in known or level not in known[name].levels:
            raise ValueError(f"{task.set} has no {name or 'label'}: {level}")
    if not task.is_composite:
        return levels[""]
    given = [(name, levels[name]) for name in known if name in levels]
    if task.kind == "multi":
        return _SEPARATOR.join(name for name, level in given if level == PRESENT) or NONE
    return _SEPARATOR.join(f"{name}: {level}" for name, level in given) or NONE


def value_quotations(task: Task, value: str) -> tuple[TypedQuotation, ...]:
    """The quotations of an answer of the kind spans.

    Raises
    ------
    ValueError
        The value is no canonical text of the task. The message does not repeat it.
    """
    if task.kind != "spans" or not re.fullmatch(value_pattern(task), value, re.DOTALL):
        raise ValueError(f"not an answer of {task.set}")
    members = re.finditer(rf"({_alternatives(task.labels)}): ({_STRING})(?:{_SEPARATOR}|$)", value, re.DOTALL)
    return tuple(TypedQuotation(member[1], json.loads(member[2], strict=False)) for member in members)


def quotations_value(task: Task, quotations: Iterable[tuple[str, str]]) -> str:
    """The canonical text of quotations, given as (type, text); each is kept once.

    Raises
    ------
    ValueError
        A type is no label of the task, or the kind is not spans.
    """
    typed = [TypedQuotation(*quotation) for quotation in quotations]
    if task.kind != "spans" or any(quotation.type not in task.labels for quotation in typed):
        raise ValueError(f"{task.set} has no such type of quotation")
    order = {name: index for index, name in enumerate(task.labels)}
    return quotations_text(sorted(typed, key=lambda quotation: order[quotation.type]))


def quotations_text(quotations: Iterable[TypedQuotation]) -> str:
    """The text of quotations whose types stand in the order of their task; each is kept once."""
    unique = dict.fromkeys(quotations)
    return _SEPARATOR.join(f"{kind}: {json.dumps(text, ensure_ascii=False)}" for kind, text in unique) or NONE


AnswerValue = str | tuple[str, ...] | dict[str, str] | tuple[TypedQuotation, ...]
"""An answer as a Python value: see `answer_value`."""


def answer_value(task: Task | str, label: str) -> AnswerValue:
    """The value of an answer's text, by the kind of its task.

    Parameters
    ----------
    task
        A task, or the name of a task that ships with the package.
    label
        The text of an answer, as `read_answer` gives it.

    Returns
    -------
    str, tuple or dict
        choice, ordinal: the label. multi: the labels, as a tuple. scale: the level of each item that is filled, as a
        dictionary. spans: the quotations, as a tuple of (type, text).

    Raises
    ------
    UsageError
        There is no task of that name.
    ValueError
        The label is no answer of the task.

    Examples
    --------
    >>> answer_value("dreaddit", "yes")
    'yes'
    """
    task = find_task(task) if isinstance(task, str) else task
    return parse_value(task.kind, canonical_value(task, label))


def parse_value(kind: AnswerKind, label: str) -> AnswerValue:
    """The value of a canonical text, without its task: no name contains what separates the members of an answer."""
    if kind in {"choice", "ordinal"}:
        return label
    if kind == "spans":
        members = re.finditer(rf'([^";:]+): ({_STRING})(?:{_SEPARATOR}|$)', label, re.DOTALL)
        return tuple(TypedQuotation(member[1], json.loads(member[2], strict=False)) for member in members)
    names = [] if label == NONE else label.split(_SEPARATOR)
    if kind == "multi":
        return tuple(names)
    return {item: level for item, _, level in (name.partition(": ") for name in names)}


def canonical_value(task: Task, value: str) -> str:
    """One spelling of an answer whose members may stand in another order or twice.

    Raises
    ------
    ValueError
        The value is no text of an answer of the task, or fills an item of a scale twice.
    """
    if task.kind == "spans":
        return quotations_value(task, value_quotations(task, value))
    canonical = levels_value(task, value_levels(task, value))
    if task.kind == "scale" and canonical.count(_SEPARATOR) != value.count(_SEPARATOR):
        raise ValueError(f"an answer of {task.set} fills an item twice")
    return canonical


def without_quotations(value: str) -> str:
    """A value without the passages of a post that it quotes, for lines that show no text of posts: their types.

    >>> without_quotations('sleep: "up at 4"; sleep: "awake"; worry: "rent"')
    'sleep; worry'
    >>> without_quotations("sleep: several days")
    'sleep: several days'
    """
    types = re.findall(rf'([^";:]+): {_STRING}(?:{_SEPARATOR}|$)', value, re.DOTALL)
    return _SEPARATOR.join(dict.fromkeys(types)) or value


def answer_group(task: Task, label: str) -> str:
    """The label of a single decision; of an answer of several parts, how many it names.

    Groups are few and hold no words of a post, so that answers can be counted and drawn by them.

    Raises
    ------
    ValueError
        The label is no answer of the task.
    """
    if not task.is_composite:
        return label
    named = sum(level != ABSENT for level in value_levels(task, label).values())
    noun = {"multi": "label", "spans": "type", "scale": "item"}[task.kind]
    return f"{named} {noun}{'' if named == 1 else 's'}"

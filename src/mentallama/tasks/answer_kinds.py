"""Kinds of answer, and the parts of which an answer of each kind consists.

| kind | an answer is | parts |
| --- | --- | --- |
| choice | one label | one, with the labels as levels |
| ordinal | one of several ordered levels | one, with ordered levels |
| multi | any number of labels, also none | one per label: absent or present |
| spans | quotations of the post, each with a type | one per type: absent or present |
| scale | a level for each item of a scale | one per item, with ordered levels |

Models have a head per part, and metrics count per part, so that no kind needs a model or a count of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Literal

from mentallama.tasks.wording import Wording

AnswerKind = Literal["choice", "ordinal", "multi", "spans", "scale"]

KIND_MEANINGS: dict[AnswerKind, str] = {
    "choice": "one label",
    "ordinal": "one of several ordered levels",
    "multi": "any number of labels, also none",
    "spans": "quotations of the post, each with a type",
    "scale": "a level for each item of a scale",
}
"""The kinds in words, for pages about a task."""

ABSENT, PRESENT = "absent", "present"
"""Levels of the parts of the kinds multi and spans."""

NONE = "none"
"""The text of an answer without any label, quotation or filled item."""

RESERVED = ';:"\\'
"""Characters that the text of an answer of several parts is built with, so that no name has them."""


@dataclass(frozen=True)
class Part:
    """One decision of an answer: one of `levels`, which are `ordered` from lowest to highest or not at all.

    `name` is the label, type or item that it decides about; "" where an answer is a single decision.
    """

    name: str
    levels: tuple[str, ...]
    ordered: bool = False


def name_problems(names: Mapping[str, Iterable[str]]) -> str | None:
    """A sentence if a name cannot stand in an answer of several parts; else None. Names are by key of the task file."""
    for key, members in names.items():
        for name in members:
            if set(name) & set(RESERVED) or name != " ".join(name.split()) or name.casefold() in {"", NONE}:
                return (
                    f'{key}: {name!r} cannot be a name: "{NONE}" stands for no answer, and semicolons, colons, '
                    "quotation marks, backslashes and line breaks separate answers"
                )
    return None


def answer_template_problem(answer: Wording) -> str | None:
    """A sentence if `{answer}` does not stand exactly once in each form; else None."""
    for text in (answer.instruction, answer.completion):
        try:
            fields = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except ValueError:
            fields = []
        if fields != ["answer"]:
            return "{answer} stands exactly once in each form, and other braces are doubled"
    return None

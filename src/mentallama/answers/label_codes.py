"""Labels that an answer gives as a number or a truth value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from mentallama.tasks import Task

_TRUE, _FALSE = frozenset(("true", "yes", "y", "1")), frozenset(("false", "no", "n", "0"))


def coded_labels(task: Task, text: str) -> frozenset[str]:
    """The label of a text that is a code: a level's score, a code of the source files or, for yes/no, a truth value."""
    if re.fullmatch(r"\d{1,6}(?:\.0{1,6})?", text):
        code = _label_codes(task).get(str(int(float(text))))
        return frozenset() if code is None else frozenset([code])
    truth = truth_value(text) if task.is_yes_no else None
    return frozenset() if truth is None else frozenset(["yes" if truth else "no"])


def truth_value(value: object) -> bool | None:
    """The truth value that a value stands for; None if it is none."""
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


@cache
def _label_codes(task: Task) -> Mapping[str, str | None]:
    """Label by numeric code: the scores of levels, else as in the task's source files.

    None for a code that two files use differently.
    """
    if task.has_levels:
        return {str(score): level for level, score in task.level_scores.items()}
    codes: dict[str, str | None] = {}
    for source in task.sources:
        for code, label in source.codes.items():
            codes[code] = label if codes.get(code, label) == label else None
    return codes or ({"0": "no", "1": "yes"} if task.is_yes_no else {})

"""Answers as people and other tools give them - texts, lists, dictionaries - in their canonical text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import PRESENT
from mentallama.tasks.answer_values import canonical_value, levels_value, quotations_value

GIVEN_FORMS = {
    "choice": "one of its labels",
    "ordinal": "one of its levels",
    "multi": "a list of its labels, or their text, such as {multi}",
    "scale": "a dictionary from items to levels, or their text, such as {scale}",
    "spans": "a list of pairs of type and quotation, or their text, such as {spans}",
}
"""Forms in which an answer of each kind may be given."""


def canonical_answer(task: Task, given: object) -> str:
    """The canonical text of an answer.

    Parameters
    ----------
    given
        A label, or the text of an answer of several parts, in any order. Or, of the kind multi, a list of labels; of
        the kind scale, a dictionary from items to levels; of the kind spans, a list of (type, quotation).

    Raises
    ------
    ValueError
        It is no answer of the task. The message does not repeat it, as it may be text of a post.

    Examples
    --------
    >>> from mentallama.tasks import load_tasks
    >>> canonical_answer(load_tasks()["dreaddit"], "yes")
    'yes'
    """
    if isinstance(given, str):
        return canonical_value(task, given)
    if task.kind == "scale" and isinstance(given, Mapping):
        return levels_value(task, given)
    if task.kind == "multi" and _is_list(given):
        return levels_value(task, dict.fromkeys(_names(given), PRESENT))
    if task.kind == "spans" and _is_list(given):
        return quotations_value(task, _pairs(given))
    raise ValueError(f"not an answer of {task.set}")


def is_answer(task: Task, value: str) -> bool:
    """Whether a text is the canonical text of an answer of the task."""
    if not task.is_composite:
        return value in task.labels
    try:
        return canonical_value(task, value) == value
    except ValueError:
        return False


def shown_label(task: Task, value: str) -> str:
    """A wrong label as an error shows it: not at all where answers may hold text of a post."""
    return "the label" if task.kind == "spans" else repr(value)


def given_form(task: Task) -> str:
    """Forms in which an answer of the task may be given, in words."""
    first, last = next(iter(task.labels)), list(task.labels)[-1]
    return GIVEN_FORMS[task.kind].format(
        multi=f"{first!r}" if first == last else f"'{first}; {last}'",
        scale=f"'{next(iter(task.items), '')}: {first}'",
        spans=f"""'{first}: "words of the post"'""",
    )


def _is_list(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, Mapping)


def _names(given: object) -> list[str]:
    assert isinstance(given, Iterable)
    names = list(given)
    if not all(isinstance(name, str) for name in names):
        raise ValueError("labels are texts")
    return names


def _pairs(given: object) -> list[tuple[str, str]]:
    assert isinstance(given, Iterable)
    pairs = [tuple(pair) if isinstance(pair, (tuple, list)) else () for pair in given]
    if not all(len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in pairs):
        raise ValueError("quotations are pairs of type and text")
    return [(kind, text) for kind, text in pairs]

"""From the answers of a task to the labels of its parts, and from the probabilities of the parts back to an answer.

A model has a head per question and part (`tasks.answer_kinds`): it learns the level of each part, and its answer is the
most likely level of each. Heads are called by `head_name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum, log
from typing import NamedTuple

from mentallama.errors import UsageError
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import ABSENT, PRESENT, Part
from mentallama.tasks.answer_values import levels_value, quotations_value, value_levels

LevelProbabilities = Mapping[str, Mapping[str, float]]
"""Part -> level -> probability; the levels of a part sum to 1."""


class ComposedAnswer(NamedTuple):
    """The text of an answer (`tasks.answer_values`) and its probabilities, as in `Prediction.probabilities`."""

    value: str
    probabilities: dict[str, float]


def head_name(question: str, part: str) -> str:
    """Name of the head that decides about a part of a question.

    >>> head_name("symptoms", "sleep"), head_name("stress", "")
    ('symptoms: sleep', 'stress')
    """
    return f"{question}: {part}" if part else question


def question_of_head(name: str, part: str) -> str:
    """The question of a head; the inverse of `head_name`."""
    return name.removesuffix(f": {part}") if part else name


def heads_of(task: Task) -> dict[str, Part]:
    """Name of each head of a task -> the part that it decides about."""
    return {head_name(question, part.name): part for question in task.questions for part in task.parts}


def labels_by_head(task: Task, labels: Mapping[str, str]) -> dict[str, str]:
    """The level of each head, from labels by question. Items of a scale that are not filled have none.

    Labels of a task with a single decision are returned as they are, whether or not the task has them.

    Raises
    ------
    UsageError
        A label is no answer of the task.
    """
    if not task.is_composite:
        return dict(labels)
    levels: dict[str, str] = {}
    for question, label in labels.items():
        try:
            by_part = value_levels(task, label)
        except ValueError:
            raise UsageError(
                f"{task.set}, {question}: a label is no answer of kind {task.kind}; collect the posts again"
            ) from None
        levels |= {head_name(question, part): level for part, level in by_part.items()}
    return levels


def most_likely(levels: Mapping[str, float]) -> str:
    """The level of highest probability; of equals the first.

    >>> most_likely({"mild": 0.4, "severe": 0.4, "none": 0.2})
    'mild'
    """
    return max(levels, key=levels.__getitem__)


def compose_answer(
    task: Task, levels: LevelProbabilities, quotations: Iterable[tuple[str, str]] = ()
) -> ComposedAnswer:
    """The answer that consists of the most likely level of each part.

    Parameters
    ----------
    task
        The task of the question.
    levels
        Probabilities of the levels of each part; levels that a model does not know are left out. A part without any is
        not filled, or absent.
    quotations
        (type, text) of the passages that an answer of the kind spans quotes.

    Examples
    --------
    >>> from mentallama.tasks import load_tasks
    >>> compose_answer(load_tasks()["dreaddit"], {"": {"no": 0.8, "yes": 0.2}})
    ComposedAnswer(value='no', probabilities={'yes': 0.2, 'no': 0.8})
    """
    if task.kind == "spans":
        value = quotations_value(task, quotations)
    else:
        value = levels_value(task, {part: most_likely(of_part) for part, of_part in levels.items()})
    return ComposedAnswer(value, _probabilities(task, levels))


def _probabilities(task: Task, levels: LevelProbabilities) -> dict[str, float]:
    """Probabilities by label, by label or type that may be present, or by `ITEM: LEVEL`."""
    if not task.is_composite:
        return {level: levels[""].get(level, 0.0) for level in task.labels}
    if task.kind == "scale":
        return {
            f"{part.name}: {level}": levels[part.name].get(level, 0.0)
            for part in task.parts
            if part.name in levels
            for level in part.levels
        }
    return {part.name: levels.get(part.name, {}).get(PRESENT, 0.0) for part in task.parts}


def level_probabilities(task: Task, part: str, probabilities: Mapping[str, float]) -> dict[str, float]:
    """Probability of each level of a part of a composite task; empty if nothing is known of it.

    Parameters
    ----------
    probabilities
        As in `Prediction.probabilities`.
    """
    if task.kind == "scale":
        names = {level: f"{part}: {level}" for level in task.labels}
        return {level: probabilities[name] for level, name in names.items() if name in probabilities}
    present = probabilities.get(part)
    return {} if present is None else {ABSENT: 1 - present, PRESENT: present}


def named_levels(task: Task, label: str) -> dict[str, str]:
    """The levels of the parts that a label names, which are what an explanation of it is about.

    They are those that are present or filled and, of `none`, all that are absent. A type of quotation names itself.
    Empty for a label that is no answer of the task.
    """
    if task.kind == "spans" and label in task.labels:
        return {label: PRESENT}
    try:
        levels = value_levels(task, label)
    except ValueError:
        return {}
    return {part: level for part, level in levels.items() if level != ABSENT} or levels


def log_odds_of_parts(
    task: Task, probabilities: Mapping[str, float], label: str, floor: float
) -> float | None:
    """Sum of the log-odds of the parts that a label of a composite task names.

    Parameters
    ----------
    probabilities
        As in `Prediction.probabilities`.
    floor
        The least that a probability counts, so that log-odds are finite.

    Returns
    -------
    None if the probabilities are about none of the parts.
    """
    named = named_levels(task, label).items()
    shares = [_level_and_others(task, probabilities, part, level) for part, level in named]
    known = [(share, others) for share, others in shares if share + others > 0]
    if not known:
        return None
    return fsum(log(max(share, floor)) - log(max(others, floor)) for share, others in known)


def _level_and_others(
    task: Task, probabilities: Mapping[str, float], part: str, level: str
) -> tuple[float, float]:
    """The probability of a level of a part, and that of its other levels; both are 0 if nothing is known of it."""
    of_part = level_probabilities(task, part, probabilities)
    return of_part.get(level, 0.0), fsum(share for name, share in of_part.items() if name != level)

"""Probabilities of the parts of an answer (`Prediction.probabilities`) as numbers of the whole answer.

They are by label, which in the kinds multi and spans is the probability that it is present; in scales by `ITEM: LEVEL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from mentallama.analysts.answer_parts import level_probabilities
from mentallama.metrics.calibration import brier_score
from mentallama.tasks import Task
from mentallama.tasks.answer_values import value_levels


def answer_probability(task: Task, value: str, probabilities: Mapping[str, float]) -> float | None:
    """Probability that a predicted answer is right in all its parts, which are taken as independent of each other.

    None if a part has no probability, and for answers made of quotations: the probability that a type is present says
    nothing about the passages.
    """
    if not task.is_composite:
        return probabilities.get(value)
    levels = value_levels(task, value)
    parts = [part for part in task.parts if part.name in levels]
    of_parts = [level_probabilities(task, part.name, probabilities).get(levels[part.name]) for part in parts]
    known = [probability for probability in of_parts if probability is not None]
    return prod(known) if parts and len(known) == len(parts) and task.kind != "spans" else None


def mean_brier_score(task: Task, gold: str, probabilities: Mapping[str, float]) -> float | None:
    """Mean Brier score over the parts that have a gold level and probabilities (0 best, 2 worst); None without any."""
    if not task.is_composite:
        return brier_score(gold, probabilities)
    levels = value_levels(task, gold)
    scores = [
        brier_score(levels[part.name], level_probabilities(task, part.name, probabilities))
        for part in task.parts
        if part.name in levels
    ]
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


def high_risk_probability(task: Task, probabilities: Mapping[str, float]) -> float | None:
    """Probability of the high-risk label; of a scale that of the item which most probably has this level."""
    if task.high_risk_label is None:
        return None
    if task.kind != "scale":
        return probabilities.get(task.high_risk_label)
    names = [f"{part.name}: {task.high_risk_label}" for part in task.parts]
    return max((probabilities[name] for name in names if name in probabilities), default=None)

"""Log-odds of labels for many texts, through any analyst that gives probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, log

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.answer_parts import log_odds_of_parts
from mentallama.analysts.base import Analyst
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, stable_id
from mentallama.tasks import Task
from mentallama.tasks.answer_values import without_quotations

FloatArray = NDArray[np.float64]

MIN_PROBABILITY = 1e-12
"""Probabilities count as at least this much, so that log-odds are finite: at most 27.6 in absolute value."""


def with_text(example: Example, text: str) -> Example:
    """The same question about another text, under an id of its own."""
    ids = stable_id(example.id, text), stable_id(example.post_id, text)
    return example.model_copy(update={"id": ids[0], "post_id": ids[1], "text": text})


def log_odds(probabilities: Mapping[str, float], label: str) -> float:
    """Log-odds of a label; the probabilities of the others are added, which is more exact than subtracting from 1.

    >>> round(log_odds({"yes": 0.75, "no": 0.25}, "yes"), 4)
    1.0986
    """
    others = fsum(probability for name, probability in probabilities.items() if name != label)
    return log(max(probabilities[label], MIN_PROBABILITY)) - log(max(others, MIN_PROBABILITY))


def label_log_odds(analyst: Analyst, examples: Sequence[Example], labels: Sequence[str]) -> FloatArray:
    """Log-odds of one label per example; of an answer of several parts, the sum over those that it names.

    All distinct questions and texts are asked in one call of `predict`, so that the analyst can share work between
    them. Explanations are not generated.

    Parameters
    ----------
    analyst
        An analyst that gives probabilities.
    examples, labels
        Questions about texts, and the label of each whose log-odds are wanted. Ids need not differ.

    Returns
    -------
    Array of shape (examples,), of finite numbers.

    Raises
    ------
    UsageError
        The analyst gives no probabilities, or does not know a label.
    MentallamaError
        A call to a server failed.
    """
    keys = [(example.task, example.question, example.form, example.text) for example in examples]
    distinct = {
        key: example.model_copy(update={"id": stable_id(*key)})
        for key, example in zip(keys, examples, strict=True)
    }
    predictions = analyst.scoring_view().predict(list(distinct.values()))
    found = dict(zip(distinct, predictions, strict=True))
    return np.array(
        [
            _log_odds(analyst, analyst.tasks.get(key[0]), found[key], label)
            for key, label in zip(keys, labels, strict=True)
        ],
        np.float64,
    )


def _log_odds(analyst: Analyst, task: Task | None, prediction: Prediction, label: str) -> float:
    probabilities = prediction.probabilities
    if not probabilities:
        raise no_probabilities(analyst)
    if task is not None and task.is_composite:
        found = log_odds_of_parts(task, probabilities, label, MIN_PROBABILITY)
    else:
        found = log_odds(probabilities, label) if label in probabilities else None
    if found is None:
        known = ", ".join(probabilities)
        raise UsageError(
            f"{analyst.spec or prediction.model} gives no label {without_quotations(label)!r}; its labels are {known}"
        )
    return found


class NoProbabilitiesError(UsageError):
    """A prediction that is needed for an attribution has no probabilities."""


def no_probabilities(analyst: Analyst) -> NoProbabilitiesError:
    """The error of a method that needs probabilities that an analyst does not give."""
    name = analyst.spec or type(analyst).__name__
    return NoProbabilitiesError(
        f"{name} gives no probabilities, without which its labels cannot be explained; use mode: answer-first, or a "
        "server that gives log-probabilities"
    )

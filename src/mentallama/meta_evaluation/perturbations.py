"""Damaged explanations: a metric of quality has to score each below the explanation that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mentallama.answers.strip_label import strip_label
from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.tasks import Task

Cases = Sequence[ExplanationCase]
Perturbation = Callable[[Cases, Task, int], "list[ExplanationCase | None]"]


def truncated(cases: Cases, task: Task, seed: int) -> list[ExplanationCase | None]:
    """The first half of the words."""
    return [_with_text(case, " ".join(words[: len(words) // 2])) for case, words in _words(cases, task)]


def answer_only(cases: Cases, task: Task, seed: int) -> list[ExplanationCase | None]:
    """The answer sentence instead of an explanation; cases without a label have none."""
    return [
        None
        if case.reading.label is None
        else _with_text(case, task.labels[case.reading.label].answer.for_form("instruction"))
        for case in cases
    ]


def of_another_post(cases: Cases, task: Task, seed: int) -> list[ExplanationCase | None]:
    """The explanation of the same answer to another post, and its reading; None where no other post has that answer."""
    rng = np.random.default_rng(seed)
    swapped: list[ExplanationCase | None] = []
    for case in cases:
        others = [
            other
            for other in cases
            if other.example.post_id != case.example.post_id and other.reading.label == case.reading.label
        ]
        taken = others[rng.integers(len(others))] if others else None
        swapped.append(None if taken is None else case.model_copy(update={"reading": taken.reading}))
    return swapped


def flipped_label(cases: Cases, task: Task, seed: int) -> list[ExplanationCase | None]:
    """The explanation under another answer: the next label of the task. Where the answer was wrong, this rights it in
    a yes/no task, so only answers with the reference label, or without a reference, are changed."""
    names = list(task.labels)
    return [
        None
        if (label := case.reading.label) is None or case.example.label not in {None, label}
        else case.model_copy(
            update={
                "reading": case.reading.model_copy(
                    update={
                        "label": names[(names.index(label) + 1) % len(names)],
                        "explanation": strip_label(task, case.explanation),
                    }
                )
            }
        )
        for case in cases
    ]


def shuffled_words(cases: Cases, task: Task, seed: int) -> list[ExplanationCase | None]:
    """The words in random order."""
    rng = np.random.default_rng(seed)
    return [
        _with_text(case, " ".join(rng.permutation(words).tolist())) for case, words in _words(cases, task)
    ]


PERTURBATIONS: dict[str, Perturbation] = {
    "truncated": truncated,
    "answer only": answer_only,
    "of another post": of_another_post,
    "flipped label": flipped_label,
    "shuffled words": shuffled_words,
}
"""Perturbations by name, in the order of tables. None: the perturbation does not apply to the case."""


def _words(cases: Cases, task: Task) -> list[tuple[ExplanationCase, list[str]]]:
    """Each case and the words of its explanation without its answer."""
    return [(case, strip_label(task, case.explanation).split()) for case in cases]


def _with_text(case: ExplanationCase, explanation: str) -> ExplanationCase | None:
    if not explanation.strip():
        return None
    return case.model_copy(update={"reading": case.reading.model_copy(update={"explanation": explanation})})

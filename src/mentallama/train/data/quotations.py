"""Posts with the labels and the passages of each head, and the threshold above which tokens are best quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.answer_parts import head_name, labels_by_head
from mentallama.records import Post, Span
from mentallama.tasks import Task
from mentallama.tasks.answer_values import value_quotations

CharRanges = Sequence[tuple[int, int]]
"""Starts (inclusive) and ends (exclusive) of passages, in code points."""


def post_with_levels(task: Task, post: Post) -> Post:
    """A post whose labels are those of the heads.

    Evidence is kept where a question is a single decision; the quotations of an answer are the evidence of their types.
    Of other answers of several parts, nobody says which part the evidence is for.
    """
    if not task.is_composite:
        return post
    ranges = quotation_ranges(task, post.text, post.labels)
    evidence = {
        head: tuple(Span(start=start, end=end) for start, end in of_head)
        for head, of_head in ranges.items()
        if of_head
    }
    return post.model_copy(update={"labels": labels_by_head(task, post.labels), "evidence": evidence})


def quotation_ranges(task: Task, text: str, labels: Mapping[str, str]) -> dict[str, list[tuple[int, int]]]:
    """Where the quotations of answers stand in a text, by head; every place of one that occurs several times.

    Empty for kinds without quotations. A quotation that is not in the text has no place.
    """
    ranges: dict[str, list[tuple[int, int]]] = {}
    for question, label in labels.items() if task.kind == "spans" else ():
        for part in task.parts:
            ranges[head_name(question, part.name)] = []
        for kind, quotation in value_quotations(task, label):
            places = [match.span() for match in re.finditer(re.escape(quotation), text)]
            ranges[head_name(question, kind)] += places
    return ranges


def overlapping(units: CharRanges, ranges: CharRanges) -> NDArray[np.bool_]:
    """Whether each unit, such as a token, shares a character with one of the ranges, shape (units,)."""
    starts, ends = np.array(units, np.int64).reshape(-1, 2).T
    found = np.zeros(len(starts), np.bool_)
    for start, end in ranges:
        found |= (starts < end) & (ends > start)
    return found & (ends > starts)


def best_threshold(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The threshold with the highest F1 of `scores > threshold`; 0 if nothing is positive.

    It lies in the middle between two scores; of equally good ones it is the highest.

    >>> best_threshold(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]))
    0.5
    """
    if not positive.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + positive.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # no threshold lies between equal scores
    best = int(f1.argmax())
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1
    return float((ranked[best] + below) / 2)

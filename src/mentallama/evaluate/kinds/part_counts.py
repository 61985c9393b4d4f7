"""Gold answers and predictions of a task as arrays: levels of their parts, classes of F1, matches of spans.

A prediction is None where the answer has no label. Answers of the kind spans are given as positions of tokens
(`token_positions`), all others as their canonical text (`tasks.answer_values`).

| kind | classes of F1 |
| --- | --- |
| choice, ordinal | a label |
| multi | a label is present |
| scale | an item has a level |
| spans | a token lies in a quotation of a type |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from mentallama.evaluate.kinds.token_positions import QuotedTokens, parse_positions
from mentallama.metrics.kinds.answer_levels import (
    NO_SUMS,
    NOT_FILLED,
    AnswerLevels,
    ClassTotals,
    Indices,
    ScaleSums,
    ScoredAnswers,
    class_counts,
)
from mentallama.metrics.kinds.typed_spans import SpanCounts, match_spans, match_tokens
from mentallama.symptoms.task_scales import score_answer
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import ABSENT, PRESENT
from mentallama.tasks.answer_values import value_levels

Predicted = Sequence[str | None]
Value = TypeVar("Value", str, str | None)

NOT_FILLED_LEVEL = "not filled"
"""Name, in confusion counts, of the level of an item that is not filled."""


def levels_of(task: Task, value: str) -> dict[str, str]:
    """Level of each part of an answer of a scored row; without the items of a scale that are not filled.

    Raises
    ------
    ValueError
        The value is no answer of the task.
    """
    if task.kind != "spans":
        return value_levels(task, value)
    quoted = parse_positions(task, value)
    return {name: PRESENT if one.ranges or one.missing else ABSENT for name, one in quoted.items()}


def answer_levels(task: Task, golds: Sequence[str], predicted: Predicted) -> AnswerLevels:
    """Levels of the parts of every answer, (rows, parts)."""
    level_index = {level: index for index, level in enumerate(task.parts[0].levels)}

    def row_of(value: str | None) -> list[int]:
        levels = {} if value is None else levels_of(task, value)
        return [level_index[levels[part.name]] if part.name in levels else NOT_FILLED for part in task.parts]

    rows = _once_each(row_of, [*golds, *predicted])
    return AnswerLevels(
        gold=_table(rows[: len(golds)], len(task.parts)),
        predicted=_table(rows[len(golds) :], len(task.parts)),
        answered=np.array([value is not None for value in predicted], dtype=bool),
        level_scores=tuple(task.level_scores.values()),
    )


def high_risk_parts(task: Task, value: str | None) -> frozenset[str]:
    """The parts of an answer of a scored row that have the task's high-risk label; none where there is no answer."""
    label = task.high_risk_label
    if value is None or label is None:
        return frozenset()
    if not task.is_composite:
        return frozenset([""] if value == label else ())
    wanted = {label: PRESENT} if task.kind != "scale" else {part.name: label for part in task.parts}
    levels = levels_of(task, value)
    return frozenset(name for name, level in wanted.items() if levels.get(name) == level)


def class_names(task: Task) -> tuple[str, ...]:
    """Names of the classes of F1, in the order of their counts, and of the probabilities of an answer."""
    if task.kind == "scale":
        return tuple(f"{part.name}: {level}" for part in task.parts for level in part.levels)
    return tuple(task.labels)


def counts_by_row(task: Task, golds: Sequence[str], predicted: Predicted) -> Indices:
    """Hits, gold and predicted of each class of an answer of several parts, shape (rows, classes, 3)."""
    if task.kind != "spans":
        first = 0 if task.kind == "scale" else 1  # that a label is absent is no class
        return class_counts(answer_levels(task, golds, predicted), len(task.parts[0].levels), first)
    rows = [
        [
            match_tokens(gold.ranges, found.ranges, sum(found.missing))
            for gold, found in _quoted_pairs(task, *pair)
        ]
        for pair in zip(golds, predicted, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(task.labels), 3)


def span_counts(task: Task, golds: Sequence[str], predicted: Predicted) -> tuple[SpanCounts, ...]:
    """Matches of the quotations of each type, summed over the rows; () for other kinds than spans."""
    if task.kind != "spans":
        return ()
    rows = [
        [
            match_spans(gold.ranges, found.ranges, len(found.missing))
            for gold, found in _quoted_pairs(task, *pair)
        ]
        for pair in zip(golds, predicted, strict=True)
    ]
    sums = np.array(rows, dtype=np.int64).reshape(len(rows), len(task.labels), 4).sum(axis=0)
    return tuple(SpanCounts(*counts) for counts in sums.tolist())


def scale_sums(task: Task, golds: Sequence[str], predicted: Predicted) -> ScaleSums:
    """Sum and band of every answer of the kind scale; nothing for other kinds."""
    if task.kind != "scale":
        return NO_SUMS
    scores = {value: score_answer(task, value) for value in {*golds, *predicted} if value is not None}
    sums = {value: score.value for value, score in scores.items() if score.value is not None}
    gold, answered = (
        np.array([np.nan if value is None else sums.get(value, np.nan) for value in values])
        for values in (golds, predicted)
    )
    if not task.bands:
        return ScaleSums(gold, answered)
    bands = {value: score.band for value, score in scores.items()}
    gold_bands, answered_bands = (
        tuple(None if value is None else bands[value] for value in values) for values in (golds, predicted)
    )
    return ScaleSums(gold, answered, gold_bands, answered_bands)


def scored_answers(
    task: Task, golds: Sequence[str], predicted: Predicted, classes: ClassTotals
) -> ScoredAnswers:
    """The input of the metrics of the task's kind; `classes` are the totals of the rows."""
    return ScoredAnswers(
        rows=len(golds),
        exact=sum(gold == answer for gold, answer in zip(golds, predicted, strict=True)),
        classes=classes,
        classes_per_part=len(class_names(task)) // len(task.parts),
        levels=answer_levels(task, golds, predicted),
        sums=scale_sums(task, golds, predicted),
        spans=span_counts(task, golds, predicted),
    )


def part_confusions(
    task: Task, golds: Sequence[str], outcomes: Sequence[str], statuses: Sequence[str]
) -> dict[str, dict[str, dict[str, int]]]:
    """Part -> gold level -> predicted level or status -> rows, zeros included, of an answer of several parts.

    Parameters
    ----------
    outcomes
        The prediction of each row, or one of `statuses`, those of answers without a label.
    """
    levels = [*task.parts[0].levels, *([NOT_FILLED_LEVEL] if task.kind == "scale" else [])]
    columns = [*levels, *statuses]
    column = {name: index for index, name in enumerate(columns)}

    def indices(value: str) -> list[int]:
        if value in statuses:
            return [column[value]] * len(task.parts)
        by_part = levels_of(task, value)
        return [column[by_part.get(part.name, NOT_FILLED_LEVEL)] for part in task.parts]

    rows = _once_each(indices, [*golds, *outcomes])
    gold, answer = (_table(part, len(task.parts)) for part in (rows[: len(golds)], rows[len(golds) :]))
    counts = np.zeros((len(task.parts), len(levels), len(columns)), dtype=np.int64)
    np.add.at(counts, (np.arange(len(task.parts)), gold, answer), 1)
    return {
        part.name: {
            level: dict(zip(columns, line, strict=True)) for level, line in zip(levels, table, strict=True)
        }
        for part, table in zip(task.parts, counts.tolist(), strict=True)
    }


def _quoted_pairs(
    task: Task, gold: str, predicted: str | None
) -> Iterable[tuple[QuotedTokens, QuotedTokens]]:
    """Gold and predicted quotations of each type."""
    found: Mapping[str, QuotedTokens] = {} if predicted is None else parse_positions(task, predicted)
    return [(quoted, found.get(name, QuotedTokens())) for name, quoted in parse_positions(task, gold).items()]


def _once_each(function: Callable[[Value], list[int]], values: Sequence[Value]) -> list[list[int]]:
    """The function of each value, called once for equal values: answers repeat."""
    known = {value: function(value) for value in set(values)}
    return [known[value] for value in values]


def _table(rows: Sequence[Sequence[int]], columns: int) -> Indices:
    return np.array(rows, dtype=np.int64).reshape(len(rows), columns)

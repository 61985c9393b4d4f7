"""Columns of the table of parts: a line for each label, type of quotation or item of a scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mentallama.evaluate.kinds.part_counts import NOT_FILLED_LEVEL
from mentallama.evaluate.scores import Scores
from mentallama.metrics.registry import PART_METRICS, KindMetric, Metric, metrics_of
from mentallama.tasks.answer_kinds import AnswerKind


@dataclass(frozen=True)
class PartColumn:
    """A number of a part of the answers. `digits` are the decimals shown, 0 for counts."""

    title: str
    value: Callable[[Scores, str], float | None]
    digits: int = 2


def applied_metrics(kind: AnswerKind, scores: Iterable[Scores]) -> list[Metric | KindMetric]:
    """The metrics of a kind that apply to any of its sets: of scales without bands, those of bands do not."""
    of_kind = [one for one in scores if one.kind == kind]
    return [
        metric
        for metric in metrics_of(kind)
        if isinstance(metric, Metric)
        or any(metric.name in one.metrics or metric.name in one.undefined for one in of_kind)
    ]


def part_columns(kind: AnswerKind) -> tuple[PartColumn, ...]:
    """The columns of a kind: its counts, and the metrics of its parts."""
    return *_COUNTS[kind], *(_metric_column(metric) for metric in PART_METRICS[kind])


def _metric_column(metric: KindMetric) -> PartColumn:
    return PartColumn(
        metric.title, lambda scores, part: scores.parts[part].metrics.get(metric.name), metric.digits
    )


def _not_filled(scores: Scores, part: str) -> int:
    confusion = scores.parts[part].confusion
    return sum(line[NOT_FILLED_LEVEL] for level, line in confusion.items() if level != NOT_FILLED_LEVEL)


def _filled_without_gold(scores: Scores, part: str) -> int:
    line = scores.parts[part].confusion[NOT_FILLED_LEVEL]
    return sum(line[level] for level in scores.parts[part].confusion if level != NOT_FILLED_LEVEL)


def _class_columns(gold: str, predicted: str) -> tuple[PartColumn, ...]:
    return (
        PartColumn(gold, lambda scores, part: scores.per_class[part].support, 0),
        PartColumn(predicted, lambda scores, part: scores.per_class[part].predicted, 0),
        PartColumn("precision", lambda scores, part: scores.per_class[part].precision),
        PartColumn("recall", lambda scores, part: scores.per_class[part].recall),
        PartColumn("F1", lambda scores, part: scores.per_class[part].f1),
    )


_COUNTS: Mapping[AnswerKind, tuple[PartColumn, ...]] = MappingProxyType(
    {
        "choice": (),
        "ordinal": (),
        "multi": _class_columns("rows", "predicted"),
        "spans": _class_columns("tokens", "predicted"),
        "scale": (
            PartColumn("rows", lambda scores, part: scores.parts[part].n, 0),
            PartColumn("not filled", _not_filled, 0),
            PartColumn("filled without a gold level", _filled_without_gold, 0),
        ),
    }
)

PART_NAMES: Mapping[AnswerKind, str] = MappingProxyType(
    {"choice": "", "ordinal": "", "multi": "label", "spans": "type", "scale": "item"}
)
"""Name of a part of an answer."""

KIND_TITLES: Mapping[AnswerKind, str] = MappingProxyType(
    {
        "choice": "one label",
        "ordinal": "an ordered level",
        "multi": "any number of labels",
        "spans": "typed quotations",
        "scale": "the items of a scale",
    }
)
"""Description of an answer of each kind, in the titles of tables."""

KIND_NOTES: Mapping[AnswerKind, str] = MappingProxyType(
    {
        "choice": "",
        "ordinal": (
            "Kappa, mean error and Spearman's correlation are of the answers that have a level. Kappa has quadratic "
            "weights; errors are in numbers of levels. In the worst-case error, where it is shown, each answer "
            "without a level is as far off as it can be."
        ),
        "multi": (
            "F1 is of the labels that are present. Exact answers name the same labels. Hamming loss is the share of "
            "labels decided wrongly (0 is best). An answer without a label misses all gold labels, and decides all "
            "labels wrongly."
        ),
        "spans": (
            "Weighted and micro F1 are of tokens in quotations of a type. A span is exact if it has the same first and "
            "last token; in partial span F1 one that overlaps counts half. Quotations that are not in the post are "
            "predicted, and never right."
        ),
        "scale": (
            "F1 is of items with a level. Kappa (with quadratic weights) and errors (in numbers of levels) are of what "
            "both fill: means over items, and sums of complete answers. An item that is not filled is counted, and "
            "never taken as the lowest level. Right band: share of all rows with a complete gold answer."
        ),
    }
)
"""Explanation of the columns of a kind, for the lines below its tables."""

PARTS_MAJORITY = "an answer of several parts has the most frequent level of each"
"""Description of the most frequent answer, for the notes on the floor."""

PARTS_PROBABILITY = (
    "The probability of an answer of several parts is the product of those of its parts, as if they were independent; "
    "an answer made of quotations has none. Its Brier score is the mean over parts."
)
"""Subject of calibration, for the notes on it."""

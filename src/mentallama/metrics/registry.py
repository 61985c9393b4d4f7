"""Tables of the metrics. To add one, write its function in this package and add a line to one of the tables.

`evaluate` computes every metric in `METRICS` and, of tasks of other kinds than choice, in `KIND_METRICS`, and writes it
to `scores.json`; the terminal table and the report read their columns from the same tables. The gate
`reference_overlap` of `check` computes the metrics in `OVERLAP_METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mentallama.metrics.classification import ConfusionCounts, accuracy, macro_f1, micro_f1, weighted_f1
from mentallama.metrics.kinds.answer_levels import ScoredAnswers
from mentallama.metrics.kinds.multilabel import example_f1, hamming_loss
from mentallama.metrics.kinds.ordinal import (
    linear_correlation,
    mean_absolute_error,
    quadratic_weighted_kappa,
    rank_correlation,
    worst_case_absolute_error,
)
from mentallama.metrics.kinds.scale import band_accuracy, mean_item_error, mean_item_kappa
from mentallama.metrics.kinds.typed_spans import exact_span_f1, partial_span_f1
from mentallama.metrics.text_overlap import PAIRS_AT_ONCE, OverlapMetric, bleu, chrf, rouge1, rouge2, rouge_l
from mentallama.parallel import batched
from mentallama.tasks.answer_kinds import AnswerKind


@dataclass(frozen=True)
class Metric:
    """A number computed from the confusion counts of a set, and how tables show it.

    `name` is the key in `scores.json`. `compute` takes counts of shape (labels, labels + 3), whose last three columns
    are unparsed, refused and truncated answers. `digits` are the decimals shown. Metrics with `in_terminal` False are
    shown in the report only.
    """

    name: str
    title: str
    compute: Callable[[ConfusionCounts], float]
    digits: int = 2
    in_terminal: bool = True


METRICS: tuple[Metric, ...] = (
    Metric("weighted_f1", "weighted F1", lambda counts: float(weighted_f1(counts))),
    Metric("accuracy", "accuracy", accuracy),
    Metric("macro_f1", "macro F1", macro_f1),
    Metric("micro_f1", "micro F1", micro_f1, in_terminal=False),
)
"""Label metrics in the order of the tables' columns; the first one has a confidence interval.

Micro F1 equals accuracy if every answer has a label, so the terminal leaves it out.
"""


@dataclass(frozen=True)
class KindMetric:
    """A number computed from the answers of a set whose task is of another kind than choice.

    Fields are those of `Metric`. `compute` returns None where the answers do not determine a value, and `undefined`
    says then why. `direction` says which values are better: 1 higher, -1 lower. A metric that does not `apply` to a
    task is left out of its scores.
    """

    name: str
    title: str
    compute: Callable[[ScoredAnswers], float | None]
    digits: int = 2
    in_terminal: bool = True
    undefined: str = "no answer has anything to count"
    direction: int = 1
    applies: Callable[[ScoredAnswers], bool] = lambda _: True


def _worst_case(answers: ScoredAnswers) -> float | None:
    levels = answers.levels
    gold, predicted = levels.score_pairs(0)
    unanswered = levels.scores(levels.gold[~levels.answered, 0])
    return worst_case_absolute_error(gold, predicted, unanswered, levels.level_scores)


_NO_VARIANCE = "there are fewer than two pairs of levels, or they do not vary"

_WEIGHTED_F1 = KindMetric("weighted_f1", "weighted F1", lambda answers: float(answers.classes.weighted_f1()))
_MACRO_F1 = KindMetric("macro_f1", "macro F1", lambda answers: answers.classes.macro_f1(), in_terminal=False)
_MICRO_F1 = KindMetric("micro_f1", "micro F1", lambda answers: answers.classes.micro_f1())
_EXACT_ANSWERS = KindMetric("accuracy", "exact answers", lambda answers: 100 * answers.exact / answers.rows)
_COMMON = (_WEIGHTED_F1, _EXACT_ANSWERS, _MACRO_F1, _MICRO_F1)
"""Metrics that answers of several parts have under the names of `METRICS`, so that tables of all kinds share them."""

_KAPPA = KindMetric(
    "quadratic_kappa",
    "quadratic kappa",
    lambda answers: quadratic_weighted_kappa(*answers.levels.score_pairs(0)),
    digits=3,
    undefined=_NO_VARIANCE,
)
_ERROR = KindMetric(
    "mean_absolute_error",
    "mean error",
    lambda answers: mean_absolute_error(*answers.levels.score_pairs(0)),
    direction=-1,
    undefined="no answer has a level",
)
_SPEARMAN = KindMetric(
    "spearman",
    "Spearman",
    lambda answers: rank_correlation(*answers.levels.score_pairs(0)),
    digits=3,
    undefined=_NO_VARIANCE,
)
_EXACT_SPANS = KindMetric("exact_span_f1", "exact span F1", lambda answers: exact_span_f1(answers.spans))
_PARTIAL_SPANS = KindMetric(
    "partial_span_f1", "partial span F1", lambda answers: partial_span_f1(answers.spans)
)

KIND_METRICS: Mapping[AnswerKind, tuple[KindMetric, ...]] = MappingProxyType(
    {
        "choice": (),
        "ordinal": (
            _KAPPA,
            _ERROR,
            _SPEARMAN,
            KindMetric(
                "worst_case_absolute_error",
                "worst-case error",
                _worst_case,
                direction=-1,
                in_terminal=False,
            ),
        ),
        "multi": (
            *_COMMON,
            KindMetric("example_f1", "example F1", lambda answers: example_f1(answers.levels)),
            KindMetric(
                "hamming_loss",
                "Hamming loss",
                lambda answers: hamming_loss(answers.levels),
                direction=-1,
            ),
        ),
        "spans": (*_COMMON, _EXACT_SPANS, _PARTIAL_SPANS),
        "scale": (
            *_COMMON,
            KindMetric(
                "item_quadratic_kappa",
                "item kappa",
                lambda answers: mean_item_kappa(answers.levels),
                digits=3,
                undefined=_NO_VARIANCE,
            ),
            KindMetric(
                "item_absolute_error",
                "item error",
                lambda answers: mean_item_error(answers.levels),
                direction=-1,
                undefined="no answer fills an item that the gold answer fills",
            ),
            KindMetric(
                "sum_absolute_error",
                "sum error",
                lambda answers: mean_absolute_error(*answers.sums.pairs()),
                direction=-1,
                undefined="no answer is complete where the gold answer is",
            ),
            KindMetric(
                "sum_correlation",
                "sum Pearson",
                lambda answers: linear_correlation(*answers.sums.pairs()),
                digits=3,
                undefined="there are fewer than two pairs of sums, or they do not vary",
            ),
            KindMetric(
                "band_accuracy",
                "right band",
                lambda answers: band_accuracy(answers.sums),
                undefined="no gold answer is complete",
                applies=lambda answers: bool(answers.sums.gold_bands),
            ),
        ),
    }
)
"""Metrics of a kind of answer, in the order of columns. Those of choice and ordinal stand behind `METRICS`; answers of
several parts have no confusion counts of whole answers, so that the metrics of the same names stand here."""

PART_METRICS: Mapping[AnswerKind, tuple[KindMetric, ...]] = MappingProxyType(
    {
        "choice": (),
        "ordinal": (),
        "multi": (),
        "spans": (_EXACT_SPANS, _PARTIAL_SPANS),
        "scale": (_KAPPA, _ERROR, _SPEARMAN),
    }
)
"""Metrics of each part of an answer, beside precision, recall and F1 of its classes."""


def metrics_of(kind: AnswerKind) -> tuple[Metric | KindMetric, ...]:
    """The metrics of sets of a kind, in the order of columns; the first one has a confidence interval."""
    label_metrics = METRICS if kind in {"choice", "ordinal"} else ()
    return *label_metrics, *KIND_METRICS[kind]


def own_metrics(kind: AnswerKind) -> tuple[KindMetric, ...]:
    """The metrics of a kind that sets of other kinds do not have under the same name."""
    common = {metric.name for metric in METRICS}
    return tuple(metric for metric in KIND_METRICS[kind] if metric.name not in common)


OVERLAP_METRICS: Mapping[str, OverlapMetric] = MappingProxyType(
    {"chrf": chrf, "bleu": bleu, "rouge1": rouge1, "rouge2": rouge2, "rougeL": rouge_l}
)
"""Metrics of an explanation against a reference text, 0-100, where higher is closer.

A learned metric such as BERTScore would be one more line.
"""


def overlap_scores(
    pairs: Iterable[tuple[str, str]], metrics: Mapping[str, OverlapMetric] = OVERLAP_METRICS
) -> Iterator[dict[str, float]]:
    """The scores of each pair of explanation and reference by all metrics, in order.

    Some pairs at a time, so that memory is bounded and metrics share what they need to know of a text.
    """
    for batch in batched(pairs, PAIRS_AT_ONCE):
        explanations, references = zip(*batch, strict=True)
        columns = [metric(explanations, references) for metric in metrics.values()]
        yield from (dict(zip(metrics, row, strict=True)) for row in zip(*columns, strict=True))

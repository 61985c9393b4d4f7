"""Tables of the metrics. To add one, write its function in this package and add a line to one of the tables.

`evaluate` computes every metric in `METRICS` and writes it to `scores.json`; the terminal table and the report read
their columns from the same table. The gate `reference_overlap` of `check` computes the metrics in `OVERLAP_METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mentallama.metrics.classification import ConfusionCounts, accuracy, macro_f1, micro_f1, weighted_f1
from mentallama.metrics.text_overlap import PAIRS_AT_ONCE, OverlapMetric, bleu, chrf, rouge1, rouge2, rouge_l
from mentallama.parallel import batched


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

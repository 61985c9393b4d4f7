"""The table of explanation metrics. To add one, write its module in this package and add an entry to the table.

`evaluate` computes those that need no model for every run and every folder of outputs, and the others where their
model is named; `scores.json`, the terminal's table and the report take their columns from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mentallama.errors import UsageError
from mentallama.explanation_metrics.annotated_evidence import ANNOTATED_EVIDENCE_COLUMNS, AnnotatedEvidence
from mentallama.explanation_metrics.base import ExplanationMetric, MetricOptions, MetricSpec, ScoreColumn
from mentallama.explanation_metrics.evidence import EVIDENCE_COLUMNS, QuotedEvidence
from mentallama.explanation_metrics.evidence_agreement import (
    EVIDENCE_AGREEMENT_COLUMNS,
    EvidenceAgreement,
)
from mentallama.explanation_metrics.explanation_quality import QUALITY_COLUMNS
from mentallama.explanation_metrics.label_consistency import (
    LABEL_CONSISTENCY,
    LABEL_CONSISTENCY_COLUMNS,
    LabelConsistency,
)
from mentallama.explanation_metrics.llm_judge.rubric import JUDGE_COLUMNS, JUDGE_METRIC
from mentallama.explanation_metrics.neural.locations import (
    decoder_folder,
    decoder_problem,
    folder_problem,
    split_layer,
)
from mentallama.explanation_metrics.neural.opening import (
    BART_SCORE_COLUMNS,
    BERT_SCORE_COLUMNS,
    CONTRADICTION_COLUMNS,
    LIKELIHOOD_COLUMNS,
    load_bart_score,
    load_bert_score,
    load_contradiction,
    load_likelihood,
)
from mentallama.explanation_metrics.overlap import OVERLAP_COLUMNS, OverlapWithReference
from mentallama.text.suggestions import did_you_mean


@dataclass(frozen=True)
class MetricKind:
    """A kind of explanation metric.

    Parameters
    ----------
    load
        `(location, options)` opens one; the location is what follows the colon of the spec. It imports optional
        libraries only when it is called.
    columns
        The numbers it gives a case, in the order of tables.
    help
        A phrase on what it measures, for help pages and tables.
    location
        What its spec names after the colon, such as "a folder of a seq2seq model"; None: nothing.
    by_default
        Whether it is computed without being named.
    folder
        `location` -> the folder in it, where a location may hold more than a folder.
    problem
        `folder` -> a sentence on why nothing can be opened there, found without opening it; None if there is none.
    analyst_kind
        The kind of analyst whose libraries it needs where a location is named; their versions enter the cache key.
    """

    load: Callable[[str, MetricOptions], ExplanationMetric]
    columns: tuple[ScoreColumn, ...]
    help: str
    location: str | None = None
    by_default: bool = False
    folder: Callable[[str], str] = str
    problem: Callable[[str], str | None] | None = None
    analyst_kind: str | None = None


def _load_llm_judge(location: str, options: MetricOptions) -> ExplanationMetric:
    from mentallama.explanation_metrics.llm_judge.metric import LlmJudge

    return LlmJudge.load(location, options)


def _load_explanation_quality(location: str, options: MetricOptions) -> ExplanationMetric:
    from mentallama.explanation_metrics.explanation_quality.metric import ExplanationQuality

    return ExplanationQuality.load(location, options)


EXPLANATION_METRICS: dict[str, MetricKind] = {
    "overlap": MetricKind(
        OverlapWithReference.load,
        OVERLAP_COLUMNS,
        "overlap of words and characters with the reference explanation",
        by_default=True,
    ),
    "evidence": MetricKind(
        QuotedEvidence.load,
        EVIDENCE_COLUMNS,
        "whether what the explanation quotes stands in the post",
        by_default=True,
    ),
    "annotated_evidence": MetricKind(
        AnnotatedEvidence.load,
        ANNOTATED_EVIDENCE_COLUMNS,
        "overlap of the evidence with the passages that annotators marked",
        by_default=True,
    ),
    "evidence_agreement": MetricKind(
        EvidenceAgreement.load,
        EVIDENCE_AGREEMENT_COLUMNS,
        "whether the explanation names what the answer rests on, by the model's own evidence",
    ),
    LABEL_CONSISTENCY: MetricKind(
        LabelConsistency.load,
        LABEL_CONSISTENCY_COLUMNS,
        "whether the explanation alone implies the answer's label",
        location="the folder of a trained label reader",
        by_default=True,
        problem=folder_problem,
        analyst_kind="encoder",
    ),
    "explanation_quality": MetricKind(
        _load_explanation_quality,
        QUALITY_COLUMNS,
        "expected rating from 0 to 3, from features of the explanation weighted by human ratings",
        location="a file of weights (default: those of the package)",
        by_default=True,
    ),
    JUDGE_METRIC: MetricKind(
        _load_llm_judge,
        JUDGE_COLUMNS,
        "ratings from 0 to 3 by a language model, beside its agreement with people",
        location="a remote model, remote:MODEL@URL",
    ),
    "bart_score": MetricKind(
        load_bart_score,
        BART_SCORE_COLUMNS,
        "log-probability of explanation and reference given each other, and of the explanation given the post",
        location="the folder of an encoder-decoder",
        problem=folder_problem,
        analyst_kind="seq2seq",
    ),
    "bert_score": MetricKind(
        load_bert_score,
        BERT_SCORE_COLUMNS,
        "similarity of the contextual embeddings of explanation and reference",
        location="the folder of an encoder",
        folder=lambda location: split_layer(location)[0],
        problem=folder_problem,
        analyst_kind="encoder",
    ),
    "likelihood": MetricKind(
        load_likelihood,
        LIKELIHOOD_COLUMNS,
        "log-probability of the explanation given post and question",
        location="the folder of a decoder",
        folder=decoder_folder,
        problem=decoder_problem,
        analyst_kind="causal",
    ),
    "contradiction": MetricKind(
        load_contradiction,
        CONTRADICTION_COLUMNS,
        "probability that the post contradicts the explanation, and that it entails it",
        location="the folder of a classifier with the labels of natural language inference",
        problem=folder_problem,
        analyst_kind="encoder",
    ),
}
"""Metrics by the name that specs begin with, in the order of tables."""

DEFAULT_METRICS = tuple(name for name, kind in EXPLANATION_METRICS.items() if kind.by_default)


def metric_kind(spec: str) -> MetricKind:
    """The entry of a metric's spec.

    Raises
    ------
    UsageError
        There is no such metric, or its location is missing or superfluous.
    """
    name, location = MetricSpec.parse(spec)
    kind = EXPLANATION_METRICS.get(name)
    if kind is None:
        raise UsageError(
            f"no explanation metric is called {name!r}; {did_you_mean(name, list(EXPLANATION_METRICS))}"
        )
    if location and kind.location is None:
        raise UsageError(f"{spec!r}: {name} takes no location; write {name}")
    if not location and kind.location is not None and not kind.by_default:
        raise UsageError(f"{name} needs {kind.location}; write {name}:LOCATION")
    return kind


def metric_problems(specs: Iterable[str]) -> list[str]:
    """Sentences on why specs cannot be opened, found without opening them."""
    problems, by_name = list[str](), dict[str, str]()
    for spec in specs:
        name, location = MetricSpec.parse(spec)
        if name in by_name:
            problems.append(f"the explanation metric {name} is named twice: {by_name[name]} and {spec}")
        by_name[name] = spec
        try:
            kind = metric_kind(spec)
        except UsageError as fault:
            problems.append(str(fault))
            continue
        if location and kind.problem is not None and (problem := kind.problem(kind.folder(location))):
            problems.append(f"{spec}: {problem}")
    return problems


def metric_folder(spec: str) -> str:
    """The folder that a spec names; empty if it names none."""
    name, location = MetricSpec.parse(spec)
    return EXPLANATION_METRICS[name].folder(location) if name in EXPLANATION_METRICS else location


def check_metrics(specs: Iterable[str]) -> None:
    """Check specs before any work.

    Raises
    ------
    UsageError
        One of them cannot be opened; the message lists the problems of all.
    """
    if problems := metric_problems(specs):
        raise UsageError("; ".join(problems))


def with_default_metrics(specs: Iterable[str]) -> list[str]:
    """The specs, and the names of the default metrics that they do not name."""
    named = list(specs)
    names = {MetricSpec.parse(spec).name for spec in named}
    return [*named, *(name for name in DEFAULT_METRICS if name not in names)]


def analyst_kinds(specs: Iterable[str]) -> list[str]:
    """Kinds of analyst whose libraries the metrics of these specs need; unknown metrics need none."""
    parsed = [MetricSpec.parse(spec) for spec in specs]
    kinds = (EXPLANATION_METRICS.get(name) for name, location in parsed if location)
    return [kind.analyst_kind for kind in kinds if kind is not None and kind.analyst_kind is not None]


def columns_of(metrics: Iterable[str]) -> list[ScoreColumn]:
    """The columns of metrics, given by their names, in the order of tables."""
    names = set(metrics)
    return [column for name, kind in EXPLANATION_METRICS.items() if name in names for column in kind.columns]


def open_metrics(specs: Iterable[str], options: MetricOptions) -> list[tuple[MetricKind, ExplanationMetric]]:
    """Open metrics by their specs, each with its entry.

    Raises
    ------
    UsageError
        A spec is wrong, is given twice, or its model or library is missing.
    """
    listed = list(specs)
    check_metrics(listed)
    locations = dict(map(MetricSpec.parse, listed))
    return [
        (kind, kind.load(locations[name], options))
        for name, kind in EXPLANATION_METRICS.items()
        if name in locations
    ]

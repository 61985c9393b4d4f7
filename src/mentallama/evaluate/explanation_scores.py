"""Scores of explanations by every metric that is computed, by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from mentallama.config import Evaluate
from mentallama.evaluate.explanation_cases import ExplanationSource
from mentallama.evaluate.llm_judge import find_judge, judge_summary, read_rated
from mentallama.evaluate.scores import ScoredRow
from mentallama.explanation_metrics.base import ExplanationRow, MetricOptions, MetricSpec
from mentallama.explanation_metrics.llm_judge.summary import JudgeSummary
from mentallama.explanation_metrics.registry import columns_of, open_metrics, with_default_metrics
from mentallama.explanation_metrics.right_reason import has_right_reason
from mentallama.explanation_metrics.scoring import SetExplanationScores, score_cases, summarize_rows
from mentallama.files.record_files import record_writer
from mentallama.metrics.bootstrap import Resampling
from mentallama.progress import progress_bar
from mentallama.records import Record
from mentallama.tasks import Task


class ExplanationResults(Record):
    """Scores of explanations by set, the models of the metrics that have one, by metric, and what an LLM judge did."""

    by_set: dict[str, SetExplanationScores]
    models: dict[str, str]
    judge: JudgeSummary | None = None


def metric_options(
    settings: Evaluate,
    source: ExplanationSource,
    tasks: Mapping[str, Task],
    seed: int,
    ledger: Path,
) -> MetricOptions:
    """Options of the metrics that score the explanations of `source`; an LLM judge keeps its verdicts in `ledger`."""
    return MetricOptions(
        tasks=tasks,
        max_batch_tokens=settings.max_batch_tokens,
        dtype=settings.dtype,
        device=settings.device,
        seed=seed,
        training_cases=source.training_cases,
        post_texts=source.post_texts,
        judge=settings.judge,
        ledger=ledger,
    )


def score_explanations(
    source: ExplanationSource,
    scored: Mapping[str, Sequence[ScoredRow]],
    specs: Sequence[str],
    options: MetricOptions,
    resampling: Resampling,
    rows_file: Path,
) -> ExplanationResults:
    """Score the explanations of each set by the default metrics and those of `specs`; write every row's scores.

    `scored` are the scored rows of the sets, in the order of the cases.

    Raises
    ------
    UsageError
        A spec is wrong, its model or library is missing, or an LLM judge may not see the posts.
    MentallamaError
        A metric failed as a whole.
    """
    metrics = open_metrics(with_default_metrics(specs), options)
    judge = find_judge(metric for _, metric in metrics)
    rated = () if judge is None else read_rated(options.judge, options.tasks)
    names = [MetricSpec.parse(metric.name).name for _, metric in metrics]
    columns = [column.name for column in columns_of(names)]
    listed = list(scored)
    for _, metric in metrics:
        also = [row.case for row in rated] if metric is judge else ()
        metric.prepare(chain(chain.from_iterable(map(source.cases, listed)), also))
    by_set: dict[str, SetExplanationScores] = {}
    with (
        progress_bar("evaluate: explanations", len(listed), unit="sets") as advance,
        record_writer(rows_file) as write,
    ):
        for name in listed:
            rows = score_cases(source.cases(name), metrics)
            if options.tasks[name].kind == "spans":
                rows = _without_quotations(rows, scored[name])
            for row in rows:
                write(row)
            by_set[name] = summarize_rows(rows, columns, resampling)
            advance(1)
    summary = None if judge is None else judge_summary(judge, rated, options.judge, resampling)
    for _, metric in metrics:
        metric.finish()
    models = {
        name: metric.name for name, (_, metric) in zip(names, metrics, strict=True) if metric.name != name
    }
    return ExplanationResults(by_set=by_set, models=models, judge=summary)


def _without_quotations(rows: Sequence[ExplanationRow], scored: Sequence[ScoredRow]) -> list[ExplanationRow]:
    """The rows with the positions of quotations in place of their words, which are text of posts."""
    placed = [
        row.model_copy(update={"gold": one.gold, "predicted": one.predicted})
        for row, one in zip(rows, scored, strict=True)
    ]
    return [row.model_copy(update={"right_reason": has_right_reason(row)}) for row in placed]

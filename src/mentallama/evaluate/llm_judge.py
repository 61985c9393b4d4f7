"""The LLM judge within evaluate: what to check before it is asked, its agreement with people, and its failed calls."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mentallama.config import Evaluate, Judge
from mentallama.explanation_metrics.base import CaseScore, ExplanationMetric, MetricSpec
from mentallama.explanation_metrics.human_ratings import RatedExplanation, read_ratings
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS, JUDGE_METRIC
from mentallama.explanation_metrics.llm_judge.summary import JudgeAgreement, JudgeSummary, judge_agreement
from mentallama.files.tables import is_table
from mentallama.llm_api.endpoint import unset_key_problem
from mentallama.llm_api.limits.failure_watch import too_many_failed
from mentallama.metrics.bootstrap import Resampling
from mentallama.tasks import Task, select_questions

if TYPE_CHECKING:
    from mentallama.explanation_metrics.llm_judge.metric import LlmJudge


def judge_problems(settings: Evaluate) -> Iterator[str]:
    """Sentences on what a judge would fail for; none without a judge."""
    if not any(MetricSpec.parse(spec).name == JUDGE_METRIC for spec in settings.explanation_metrics):
        return
    ratings = settings.judge.ratings
    if ratings is not None and not ratings.exists():
        yield f"evaluate.judge.ratings: there is no file or folder {ratings}"
    if unset := unset_key_problem(settings.judge, os.environ):
        yield f"evaluate.judge.{unset}"


def ratings_files(settings: Evaluate) -> dict[str, Path]:
    """The files of the ratings, by the names that the manifest shows."""
    path = settings.judge.ratings
    if path is None:
        return {}
    files = sorted(file for file in path.iterdir() if is_table(file)) if path.is_dir() else [path]
    return {f"ratings/{file.name}": file for file in files if file.is_file()}


def find_judge(metrics: Iterable[ExplanationMetric]) -> LlmJudge | None:
    """The judge among opened metrics; None if there is none."""
    for metric in metrics:
        if MetricSpec.parse(metric.name).name == JUDGE_METRIC:
            from mentallama.explanation_metrics.llm_judge.metric import LlmJudge

            assert isinstance(metric, LlmJudge)
            return metric
    return None


def read_rated(settings: Judge, tasks: Mapping[str, Task]) -> Sequence[RatedExplanation]:
    """The explanations that people rated and that have one to judge; () without ratings.

    Raises
    ------
    UsageError, DataError
        There are no such ratings, their task does not exist, or a row is not as it should be.
    """
    if settings.ratings is None:
        return ()
    (name, question), *_ = select_questions(
        [settings.ratings_task], None, tasks, "evaluate.judge.ratings_task"
    )
    rated = read_ratings([settings.ratings], tasks[name], question)
    return tuple(row for row in rated.rows if row.case.absence is None)


def judge_summary(
    judge: LlmJudge, rated: Sequence[RatedExplanation], settings: Judge, resampling: Resampling
) -> JudgeSummary:
    """The judge's calls and ratings, with its agreement with people, whose rated explanations it rates as well."""
    if settings.ratings is None:
        return judge.summary
    scores = judge.score([row.case for row in rated])
    return judge.summary.with_agreement(
        agreement_with_people(settings.ratings.name, rated, scores, resampling)
    )


def agreement_with_people(
    ratings: str, rated: Sequence[RatedExplanation], scores: Sequence[CaseScore], resampling: Resampling
) -> JudgeAgreement:
    """A judge's scores of explanations against the mean ratings of people; `ratings` names those."""
    people = {
        aspect: [row.mean(aspect) for row in rated]
        for aspect in ASPECTS
        if rated and aspect in rated[0].ratings
    }
    posts = [row.case.example.post_id for row in rated]
    return judge_agreement(ratings, people, scores, posts, resampling)


def judge_verdict(summary: JudgeSummary | None, settings: Judge, listing: Path) -> str | None:
    """The sentence for exit code 3, if more of the judge's calls failed than is allowed; `listing` shows which."""
    if summary is None:
        return None
    return too_many_failed(
        "evaluate.judge", summary.failed, summary.calls, settings.max_failed_share, listing
    )

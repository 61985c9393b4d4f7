"""The evaluate stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.errors import counted
from mentallama.files.manifest import mark_outdated
from mentallama.pipeline.stage import Stage, spec_files
from mentallama.progress import LogFn
from mentallama.run_files import (
    EVIDENCE_PATH,
    EXPLANATION_ROWS_FILE,
    JUDGE_LEDGER_PATH,
    POSTS_PATH,
    PREDICT_SUMMARY_PATH,
    PREDICTIONS_PATH,
    READER_DIFFERENCES_FILE,
    RELEASE_RESPONSES_PATH,
    SCORED_ROWS_FILE,
    SCORES_FILE,
    SCORES_PATH,
    TEACH_RESPONSES_PATH,
    UPSTREAM_LABELS_PATH,
)

JUDGE_CACHE_EXCLUDED = (
    "key_env_var", "input_price", "output_price", "requests_per_minute", "tokens_per_minute", "max_concurrency",
    "timeout", "max_attempts", "max_failed_share", "budget", "allow_remote",
)  # fmt: skip
"""Settings that do not change the verdicts, so that an evaluation may be resumed with other values."""


_OPTIONAL = (RELEASE_RESPONSES_PATH, UPSTREAM_LABELS_PATH, EVIDENCE_PATH)


def evaluate_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The files of the models that score; references, upstream labels and evidence where there are any."""
    from mentallama.evaluate.llm_judge import ratings_files
    from mentallama.explanation_metrics.base import MetricSpec
    from mentallama.explanation_metrics.registry import metric_folder

    assert recipe.evaluate is not None
    files: dict[str, Path] = {}
    for spec in recipe.evaluate.explanation_metrics:
        name = MetricSpec.parse(spec).name
        files |= spec_files(f"{name}:{metric_folder(spec)}", name)
    files |= ratings_files(recipe.evaluate)
    optional = {path: folder / path for path in _OPTIONAL}
    return files | {path: file for path, file in optional.items() if file.is_file()}


def scores_teacher(recipe: Recipe) -> bool:
    """Whether the teacher's answers are scored: the recipe has no predict, and the prompts did not hold the labels."""
    return recipe.predict is None and recipe.teach is not None and recipe.teach.prompt != "label-given"


def evaluate_reads(recipe: Recipe) -> tuple[str, ...]:
    """Posts, and the answers that are scored."""
    if scores_teacher(recipe):
        return POSTS_PATH, TEACH_RESPONSES_PATH
    sampled = recipe.predict is not None and recipe.predict.max_rows_per_set is not None
    return POSTS_PATH, PREDICTIONS_PATH, *((PREDICT_SUMMARY_PATH,) if sampled else ())


def evaluate_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """A metric that does not exist, or a teacher whose answers cannot be scored."""
    from mentallama.evaluate.llm_judge import judge_problems
    from mentallama.explanation_metrics.registry import metric_problems

    assert recipe.evaluate is not None
    for problem in metric_problems(recipe.evaluate.explanation_metrics):
        yield f"evaluate.explanation_metrics: {problem}"
    yield from judge_problems(recipe.evaluate)
    if recipe.teach is None or recipe.predict is not None:
        return
    if not scores_teacher(recipe) and not (folder / PREDICTIONS_PATH).is_file():
        yield (
            "evaluate cannot score a teacher that was given the labels (teach.prompt: label-given): add predict, or "
            "use zero-shot or few-shot prompts"
        )
    if scores_teacher(recipe) and len(recipe.teach.teacher) > 1:
        yield "evaluate scores the answers of one teacher: name only one, or add predict"
    if scores_teacher(recipe) and "test" not in recipe.teach.splits:
        yield "evaluate scores answers about test posts: add test to teach.splits"


def evaluate_analyst_kinds(recipe: Recipe, folder: Path) -> list[str]:
    """Kinds of analyst whose libraries the metrics' models need."""
    from mentallama.explanation_metrics.registry import analyst_kinds

    del folder
    assert recipe.evaluate is not None
    return analyst_kinds(recipe.evaluate.explanation_metrics)


def verdict(recipe: Recipe, folder: Path, _: LogFn) -> str | None:
    """The sentence for exit code 3, if more calls of an LLM judge failed than the recipe allows."""
    from mentallama.evaluate.llm_judge import judge_verdict
    from mentallama.evaluate.score_file import read_scores

    assert recipe.evaluate is not None
    path = folder / SCORES_PATH
    if not path.is_file():
        return None
    return judge_verdict(
        read_scores(path).judge, recipe.evaluate.judge, path.with_name(EXPLANATION_ROWS_FILE)
    )


def retry_failed(_: Recipe, folder: Path, log: LogFn) -> None:
    """Mark the stage as not done if calls of an LLM judge failed, so that they are made again."""
    from mentallama.evaluate.score_file import read_scores

    path = folder / SCORES_PATH
    judge = read_scores(path).judge if path.is_file() else None
    if judge is not None and judge.failed:
        mark_outdated(path.parent)
        log(f"evaluate: {counted(sum(judge.failed.values()), 'failed call')} of the judge will be retried")


def evaluate(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Score the predictions, or the teacher's answers; returns weighted F1 by set and the sets without a score."""
    from mentallama.evaluate.prediction_source import analyst_predictions, teacher_answers
    from mentallama.evaluate.run import evaluate_predictions

    assert recipe.evaluate is not None
    posts, tasks = folder / POSTS_PATH, recipe.catalogue()
    references, upstream, evidence = (
        path if path.is_file() else None for path in map(folder.joinpath, _OPTIONAL)
    )
    if scores_teacher(recipe):
        answers = teacher_answers(folder / TEACH_RESPONSES_PATH, posts, recipe.form, tasks)
    else:
        has_samples = PREDICT_SUMMARY_PATH in evaluate_reads(recipe)
        answers = analyst_predictions(
            folder / PREDICTIONS_PATH, folder / PREDICT_SUMMARY_PATH if has_samples else None
        )
    scores = evaluate_predictions(
        posts,
        answers,
        out,
        recipe.form,
        tasks,
        references=references,
        upstream=upstream,
        evidence=evidence,
        ledger=folder / JUDGE_LEDGER_PATH,
        settings=recipe.evaluate,
        seed=recipe.seed,
    )
    return {"weighted_f1": scores.weighted_f1(), "missing": list(scores.missing)}


STAGE = Stage(
    name="evaluate",
    help="Score the predictions.",
    inputs=evaluate_inputs,
    reads=evaluate_reads,
    problems=evaluate_problems,
    run=evaluate,
    file_patterns=(SCORES_FILE, SCORED_ROWS_FILE, EXPLANATION_ROWS_FILE, READER_DIFFERENCES_FILE),
    cache_exclude={"judge": dict.fromkeys(JUDGE_CACHE_EXCLUDED, True)},
    analyst_kinds=evaluate_analyst_kinds,
    verdict=verdict,
    retry_failed=retry_failed,
)

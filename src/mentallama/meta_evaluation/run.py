"""Meta-evaluate: how far people agree on explanations, and how far metrics agree with people.

    mentallama meta-evaluate RATINGS... --out DIR [--task SET] [--references DIR] [--explanation-metric NAME:LOCATION]
        [--fit FILE]

reads explanations that people rated (`human_ratings.py` describes the tables) and, with --references, the reference
explanations of a release for the same posts. Writes
  meta_evaluation.json  agreement, ceilings and correlations by file, and what a fit found; written last
  index.html, report.md the same as a page; its tables also in files/
  manifest.json         which files of the folder the command wrote, and may replace
and with --fit the weights of explanation_quality into FILE. None contains text of a post. The same input gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import UsageError
from mentallama.evaluate.llm_judge import agreement_with_people, find_judge
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.explanation_quality import QUALITY_COLUMN
from mentallama.explanation_metrics.explanation_quality.features import FEATURES, explanation_features
from mentallama.explanation_metrics.explanation_quality.metric import ExplanationQuality
from mentallama.explanation_metrics.explanation_quality.model import holds_weights
from mentallama.explanation_metrics.human_ratings import OVERALL, RatedExplanations, read_ratings
from mentallama.explanation_metrics.llm_judge.summary import JudgeSummary
from mentallama.explanation_metrics.registry import DEFAULT_METRICS, open_metrics
from mentallama.files.atomic import write_bytes, write_json
from mentallama.files.imhi_release import find_expert_files, find_release_files, read_release_file
from mentallama.files.ownership import claim_files, make_output_folder, record_claimed_files
from mentallama.meta_evaluation.page import build_page
from mentallama.meta_evaluation.perturbations import PERTURBATIONS
from mentallama.meta_evaluation.quality_fit import QualityFit, fit_quality
from mentallama.meta_evaluation.results import (
    ALL_FILES,
    FitResults,
    MetaEvaluation,
    PerturbationResult,
    ScoredColumn,
    compare_with_out_of_fold,
    evaluate_group,
    out_of_fold_correlations,
    row_key,
)
from mentallama.metrics.bootstrap import Resampling
from mentallama.progress import heartbeat
from mentallama.report.run import page_files
from mentallama.run_files import META_EVALUATION_FILE
from mentallama.tasks import Task
from mentallama.text.fingerprint import text_key

META_EVALUATE_COMMAND = "meta-evaluate"
"""In the manifest of the folder."""
FEATURE_PREFIX = "feature."
"""Before the names of features among the columns of metrics."""


@heartbeat("meta-evaluate")
def meta_evaluate(  # noqa: PLR0913
    ratings: Sequence[Path],
    out: Path,
    task: Task,
    question: str,
    options: MetricOptions,
    *,
    metrics: Sequence[str] = (),
    references: Path | None = None,
    fit: Path | None = None,
    resamples: int = 1000,
) -> MetaEvaluation:
    """Compute agreement between raters and the correlation of every metric with them, and write files and page.

    Parameters
    ----------
    metrics
        Specs of metrics beside those that need no model.
    references
        A release, whose explanations of the same posts are references.
    fit
        Where to write weights of `explanation_quality` that are fitted to these ratings; None: nothing is fitted.
        Earlier weights are replaced.

    Raises
    ------
    UsageError, DataError
        As `read_ratings`, `open_metrics` and `fit_quality`; `fit` is there and is no file of weights; or an answer of
        the task is no single label.
    """
    if task.is_composite:
        raise UsageError(
            f"{task.set}: its answers have several parts (kind: {task.kind}), and ratings are of explanations of one "
            "label; name another task with --task"
        )
    make_output_folder(out)
    if fit is not None:
        _require_replaceable(fit)
    resampling = Resampling(seed=options.seed, resamples=resamples)
    known = {} if references is None else read_references(references, task, question, options.tasks)
    rated = read_ratings(ratings, task, question, known)
    columns, judge = score_columns(rated, task, metrics, options, resampling)
    fitted = None if fit is None else fit_quality(rated.rows, task, resampling)
    model = _open_quality(options).model if fitted is None else fitted.model
    groups = {
        ALL_FILES: rated,
        **({name: rated.of_file(name) for name in rated.files} if len(rated.files) > 1 else {}),
    }
    results = MetaEvaluation(
        task=task.set,
        question=question,
        resampling=resampling,
        raters=len(rated.rows[0].ratings[OVERALL]),
        duplicates=rated.duplicates,
        groups={name: evaluate_group(group, columns, resampling) for name, group in groups.items()},
        perturbations=perturb(rated, task, ExplanationQuality(model, options.tasks), options.seed),
        fit=None if fitted is None else _fit_results(fitted, columns, resampling),
        judge=judge,
    )
    _write(results, out)
    if fit is not None and fitted is not None:
        write_json(fit, fitted.model.model_dump(mode="json"))
    return results


def _require_replaceable(fit: Path) -> None:
    if fit.exists() and not holds_weights(fit):
        raise UsageError(f"{fit}: --fit would replace this, which is no file of weights; name another file")


def _write(results: MetaEvaluation, out: Path) -> None:
    pages = dict(page_files(build_page(results)))
    names = (*pages, META_EVALUATION_FILE)
    claim_files(out, META_EVALUATE_COMMAND, names)
    for name, content in pages.items():
        write_bytes(out / name, content)
    write_json(out / META_EVALUATION_FILE, results.model_dump(mode="json"))
    record_claimed_files(out, META_EVALUATE_COMMAND, names)


def read_references(root: Path, task: Task, question: str, tasks: Mapping[str, Task]) -> dict[str, str]:
    """Reference explanations of a release by the `text_key` of their posts, those of experts before others.

    Raises
    ------
    UsageError
        The release has no file of the task.
    """
    root = root / "release" if (root / "release").is_dir() else root
    files = [*find_release_files(root, "instruction", tasks), *find_expert_files(root, tasks)]
    own = [file for file in files if file.set == task.set]
    if not own:
        raise UsageError(f"{root}: it has no file of {task.set}, whose explanations would be the references")
    return {
        text_key(row.text): read_answer(task, row.reference).explanation
        for file in own
        for row in read_release_file(file, task)
        if row.question == question
    }


def score_columns(
    rated: RatedExplanations, task: Task, specs: Iterable[str], options: MetricOptions, resampling: Resampling
) -> tuple[dict[str, ScoredColumn], JudgeSummary | None]:
    """Score the rows that have an explanation by all metrics, then by the features of `explanation_quality`.

    Returns the columns, and what an LLM judge did if one was asked.
    """
    rows = [row for row in rated.rows if row.case.absence is None]
    cases = [row.case for row in rows]
    keys = [row_key(row) for row in rows]
    columns: dict[str, ScoredColumn] = {}
    named = {spec.partition(":")[0] for spec in specs}
    wanted = [*(name for name in DEFAULT_METRICS if name not in named), *specs]
    opened = open_metrics(wanted, options)
    judge, summary = find_judge(metric for _, metric in opened), None
    for _, metric in opened:
        metric.prepare(cases)
    for kind, metric in opened:
        scores = dict(zip(keys, metric.score(cases), strict=True))
        metric.finish()
        if judge is not None and metric is judge:
            found = agreement_with_people(", ".join(rated.files), rows, list(scores.values()), resampling)
            summary = judge.summary.with_agreement(found)
        fitted_to = metric.model.fit.fitted_to if isinstance(metric, ExplanationQuality) else ()
        for column in kind.columns:
            columns[column.name] = ScoredColumn(
                title=column.title,
                values={
                    key: score.values[column.name]
                    for key, score in scores.items()
                    if column.name in score.values
                },
                unscored={key: score.reason for key, score in scores.items() if score.reason is not None},
                fitted_to=frozenset(fitted_to),
            )
    features = {key: explanation_features(case, task) for key, case in zip(keys, cases, strict=True)}
    for name in FEATURES:
        values = {key: value for key, found in features.items() if (value := found[name]) is not None}
        missing = {key: "no reference label" for key in keys if key not in values}
        columns[f"{FEATURE_PREFIX}{name}"] = ScoredColumn(
            title=f"Feature: {name.replace('_', ' ')}", values=values, unscored=missing
        )
    return columns, summary


def _open_quality(options: MetricOptions) -> ExplanationQuality:
    return ExplanationQuality.load("", options)


def perturb(
    rated: RatedExplanations, task: Task, metric: ExplanationQuality, seed: int
) -> dict[str, dict[str, PerturbationResult]]:
    """Scores before and after each perturbation, with the reference labels and without."""
    cases = [row.case for row in rated.rows if row.case.absence is None]
    unlabelled = [
        case.model_copy(update={"example": case.example.model_copy(update={"label": None})}) for case in cases
    ]
    groups: dict[str, list[ExplanationCase]] = {
        "with the reference label": [case for case in cases if case.example.label is not None],
        "without it": unlabelled,
    }
    return {
        group: {
            name: _perturbation_result(members, perturbation(members, task, seed), metric)
            for name, perturbation in PERTURBATIONS.items()
        }
        for group, members in groups.items()
        if members
    }


def _perturbation_result(
    cases: Sequence[ExplanationCase], changed: Sequence[ExplanationCase | None], metric: ExplanationQuality
) -> PerturbationResult:
    pairs = [(case, other) for case, other in zip(cases, changed, strict=True) if other is not None]
    before, after = (
        [score.values.get(QUALITY_COLUMN) for score in metric.score([pair[side] for pair in pairs])]
        for side in (0, 1)
    )
    scored = [(b, a) for b, a in zip(before, after, strict=True) if b is not None and a is not None]
    if not scored:
        return PerturbationResult(cases=0, before=None, after=None, fell=None)
    return PerturbationResult(
        cases=len(scored),
        before=sum(b for b, _ in scored) / len(scored),
        after=sum(a for _, a in scored) / len(scored),
        fell=sum(a < b for b, a in scored) / len(scored),
    )


def _fit_results(
    fitted: QualityFit, columns: Mapping[str, ScoredColumn], resampling: Resampling
) -> FitResults:
    others = {name: column for name, column in columns.items() if name != QUALITY_COLUMN}
    return FitResults(
        model=fitted.model,
        out_of_fold=out_of_fold_correlations(fitted.rows, fitted.out_of_fold, resampling),
        without_label=out_of_fold_correlations(fitted.rows, fitted.without_label, resampling),
        comparisons={
            name: compare_with_out_of_fold(
                fitted.rows, fitted.out_of_fold, column, fitted.model.fit.aspect, resampling
            )
            for name, column in others.items()
        },
        left_out_files=fitted.left_out,
    )

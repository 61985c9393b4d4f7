"""Evaluate: score predictions or responses.

    mentallama evaluate --benchmark DIR --responses DIR|reference|empty [--form F] [--as-published]
        [--explanation-metric NAME:LOCATION] --out DIR

reads the published test files and a folder of outputs (`SET.csv`, columns goldens, generated_text); in a recipe the
stage reads `collect/posts.jsonl.zst` and `predict/predictions.jsonl.zst` instead or, without the stage predict, the
answers of a teacher that was not given the labels (`teach/responses.jsonl.zst`). Writes
  rows.jsonl.zst       every row with its score
  explanations.jsonl.zst  every explanation with its scores
  readers_differ.json  with --as-published: texts that our reader and the published one read differently
  scores.json          metrics, intervals, counts and calibration by set; written last
  manifest.json        without a recipe: which files of the folder the command wrote, and may replace
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mentallama.config import Evaluate
from mentallama.errors import UsageError
from mentallama.evaluate.explanation_cases import explanations_of_outputs, explanations_of_run
from mentallama.evaluate.explanation_scores import metric_options, score_explanations
from mentallama.evaluate.join_predictions import join_predictions, read_upstream_labels
from mentallama.evaluate.majority import majority_scores, release_training_labels
from mentallama.evaluate.prediction_source import PredictionSource
from mentallama.evaluate.published.benchmark import (
    BUILTIN_RESPONSES,
    Benchmark,
    open_benchmark,
    score_benchmark_set,
)
from mentallama.evaluate.published.reader import (
    PublishedScore,
    ReaderDifference,
    ScoredOutput,
    load_published_rules,
    score_as_published,
)
from mentallama.evaluate.published.upstream_scores import UpstreamScores, score_against_upstream
from mentallama.evaluate.score_file import MatchedFile, ScoreFile
from mentallama.evaluate.scores import (
    NOTHING_TO_FIND,
    ScoredRow,
    Scores,
    compute_scores,
    nothing_to_find,
)
from mentallama.evaluate.selective import with_abstention, with_selective_scores
from mentallama.explanation_metrics.registry import check_metrics
from mentallama.files.atomic import write_json
from mentallama.files.ownership import claim_files, make_output_folder, record_claimed_files
from mentallama.files.record_files import write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.progress import heartbeat, progress_bar
from mentallama.records import Form
from mentallama.run_files import (
    EXPLANATION_ROWS_FILE,
    JUDGE_LEDGER_PATH,
    READER_DIFFERENCES_FILE,
    SCORED_ROWS_FILE,
    SCORES_FILE,
)
from mentallama.tasks import Task, load_tasks
from mentallama.text.fingerprint import key_hash, synthetic_post_hashes, text_key

EVALUATE_COMMAND = "evaluate --benchmark"
"""In the manifest of scores without a recipe, which no run may replace."""


def evaluate_predictions(  # noqa: PLR0913
    posts: Path,
    predictions: PredictionSource,
    out: Path,
    form: Form,
    tasks: Mapping[str, Task],
    *,
    references: Path | None = None,
    upstream: Path | None = None,
    evidence: Path | None = None,
    ledger: Path | None = None,
    settings: Evaluate | None = None,
    seed: int = 0,
) -> ScoreFile:
    """Score the predictions of an analyst, or the answers of a teacher, on the labelled test rows of collected posts.

    A set is scored only if every labelled test row has a prediction, or every row of the sample that was asked;
    otherwise it is listed under `missing`, with the ids of the rows without one. With a label reader, the labels that
    it predicts from the explanations alone are scored as well. The threshold of abstention is chosen by the predictions
    on validation rows.

    Parameters
    ----------
    references
        The release's responses to the posts, with which explanations are compared.
    upstream
        Upstream labels of the release's posts, which the same predictions are scored against as well.
    evidence
        What the stage explain found that the answers rest on, with which explanations are compared.
    ledger
        Keeps the verdicts of an LLM judge; None for one in `out`.

    Raises
    ------
    DataError
        Two predictions of one example, or a label that the task does not have.
    UsageError
        A metric of explanations cannot be opened.
    """
    settings = settings or Evaluate()
    joined = join_predictions(posts, predictions, form, tasks)
    resampling = Resampling(seed=seed, resamples=settings.resamples)
    samples = {
        name: size
        for name, size in predictions.samples.items()
        if len(joined.rows.get(name, ())) == size.rows
    }
    for name in samples:
        joined.missing_rows.pop(name, None)
    reasons = {name: _no_score_reason(task, joined.missing_rows, joined.rows) for name, task in tasks.items()}
    missing = {name: reason for name, reason in reasons.items() if reason}
    rows = {name: joined.rows[name] for name in tasks if name not in missing}
    scores = score_sets(rows, tasks, resampling)
    source = explanations_of_run(
        posts, predictions, form, tasks, references=references, upstream=upstream, evidence=evidence
    )
    explanations = score_explanations(
        source,
        rows,
        settings.explanation_metrics,
        metric_options(settings, source, tasks, seed, ledger or out / JUDGE_LEDGER_PATH),
        resampling,
        out / EXPLANATION_ROWS_FILE,
    )
    return write_scores(
        out,
        ScoreFile(
            form=form,
            source={"kind": "predictions", "model": ", ".join(sorted(joined.models))},
            resampling=resampling,
            sets=with_abstention(scores, rows, joined.validation, tasks, settings, resampling),
            majority=majority_scores(rows, joined.training_labels, tasks),
            missing=tuple(missing),
            missing_reasons=missing,
            missing_rows={name: tuple(ids) for name, ids in joined.missing_rows.items()},
            unlabelled=dict(+joined.unlabelled),
            synthetic_rows={name: joined.synthetic[name] for name in rows if joined.synthetic[name]},
            against_upstream=_against_upstream(rows, upstream, tasks, resampling),
            unused=tuple(joined.unused),
            samples=samples,
            explanation_metrics=explanations.by_set,
            metric_names=explanations.models,
            judge=explanations.judge,
        ),
        rows,
    )


@heartbeat("evaluate")
def evaluate_responses(  # noqa: PLR0913
    benchmark: Path,
    form: Form,
    responses: Path | str,
    out: Path,
    *,
    as_published: bool = False,
    settings: Evaluate | None = None,
    seed: int = 0,
    tasks: Mapping[str, Task] | None = None,
) -> ScoreFile:
    """Score outputs against the published test files.

    Parameters
    ----------
    benchmark
        The published release, or a folder that holds it as `release/`.
    responses
        A folder with `SET.csv` files, or one of `BUILTIN_RESPONSES`.
    as_published
        Score with the published reader as well, and list the rows where the two differ.
    settings
        Resamples of the intervals, and the metrics of explanations.
    tasks
        The known tasks; None means those of the package.

    Raises
    ------
    UsageError
        The folder of responses does not exist or holds no file named after a set, the benchmark has no test files, or
        a metric of explanations cannot be opened.
    DataError
        A file does not answer the benchmark's rows; the message names file and row.
    """
    settings = settings or Evaluate()
    check_metrics(settings.explanation_metrics)
    make_output_folder(out)
    tasks = load_tasks() if tasks is None else tasks
    resampling = Resampling(seed=seed, resamples=settings.resamples)
    opened = open_benchmark(benchmark, form, tasks)
    given, unused = _answered_sets(responses, tasks)
    written = (
        SCORED_ROWS_FILE,
        EXPLANATION_ROWS_FILE,
        SCORES_FILE,
        *((READER_DIFFERENCES_FILE,) if as_published else ()),
    )
    claim_files(out, EVALUATE_COMMAND, written)
    missing = {name: reason for name in tasks if (reason := _no_response_reason(name, opened, given))}
    outputs: dict[str, list[ScoredOutput]] = {}
    matched: dict[str, MatchedFile] = {}
    for name in tasks:
        if name not in missing:
            outputs[name], matched[name] = score_benchmark_set(opened, tasks[name], responses)
    rows = {name: [output.scored_row for output in of_set] for name, of_set in outputs.items()}
    for name in [name for name, of_set in rows.items() if nothing_to_find(of_set, tasks[name])]:
        missing[name] = NOTHING_TO_FIND
        del rows[name], outputs[name], matched[name]
    source = explanations_of_outputs(opened, outputs, tasks)
    explanations = score_explanations(
        source,
        rows,
        settings.explanation_metrics,
        metric_options(settings, source, tasks, seed, out / JUDGE_LEDGER_PATH),
        resampling,
        out / EXPLANATION_ROWS_FILE,
    )
    scores = write_scores(
        out,
        ScoreFile(
            form=form,
            source={
                "kind": "responses",
                "responses": responses if isinstance(responses, str) else responses.name,
            },
            resampling=resampling,
            sets=score_sets(rows, tasks, resampling),
            majority=majority_scores(
                rows, release_training_labels(opened.root, form, tasks, tuple(rows)), tasks
            ),
            missing=tuple(missing),
            missing_reasons=missing,
            synthetic_rows=_count_synthetic(outputs),
            unused=unused,
            matched_files=matched,
            as_published=_score_as_published(out, outputs) if as_published else None,
            explanation_metrics=explanations.by_set,
            metric_names=explanations.models,
            judge=explanations.judge,
        ),
        rows,
    )
    record_claimed_files(out, EVALUATE_COMMAND, written)
    return scores


def _count_synthetic(outputs: Mapping[str, Sequence[ScoredOutput]]) -> dict[str, int]:
    """Number of rows about synthetic posts, of the sets that have any."""
    hashes = synthetic_post_hashes()
    counts = {
        name: sum(key_hash(text_key(output.example.text)) in hashes for output in of_set)
        for name, of_set in outputs.items()
    }
    return {name: count for name, count in counts.items() if count}


def _score_as_published(
    out: Path, outputs: Mapping[str, Sequence[ScoredOutput]]
) -> dict[str, PublishedScore]:
    """Score each set with the published reader, and write the rows that the two readers read differently."""
    differences: list[ReaderDifference] = []
    scores = {}
    for name, of_set in outputs.items():
        scores[name], differing = score_as_published(of_set, load_published_rules().get(name))
        differences += differing
    write_json(out / READER_DIFFERENCES_FILE, [difference.model_dump() for difference in differences])
    return scores


def score_sets(
    rows: Mapping[str, Sequence[ScoredRow]], tasks: Mapping[str, Task], resampling: Resampling
) -> dict[str, Scores]:
    """Score every set that has rows, in the catalogue's order."""
    scores, names = {}, [name for name in tasks if rows.get(name)]
    with progress_bar("evaluate: score", len(names), unit="sets") as advance:
        for name in names:
            computed = compute_scores(rows[name], tasks[name], resampling)
            scores[name] = with_selective_scores(computed, rows[name], tasks[name], resampling)
            advance(1)
    return scores


def _against_upstream(
    rows: Mapping[str, Sequence[ScoredRow]],
    file: Path | None,
    tasks: Mapping[str, Task],
    resampling: Resampling,
) -> dict[str, UpstreamScores]:
    """Scores against both labels, of the sets with rows that have an upstream label."""
    upstream = {} if file is None else read_upstream_labels(file, tasks)
    found = {
        name: score_against_upstream(part, upstream, tasks[name], resampling) for name, part in rows.items()
    }
    return {name: scores for name, scores in found.items() if scores is not None}


def write_scores(out: Path, scores: ScoreFile, rows: Mapping[str, Sequence[ScoredRow]]) -> ScoreFile:
    """Write `rows.jsonl.zst`, then `scores.json`: if that exists, the other files are complete."""
    write_records(out / SCORED_ROWS_FILE, (row for name in scores.sets for row in rows[name]))
    write_json(out / SCORES_FILE, scores.model_dump(mode="json"))
    return scores


def _answered_sets(responses: Path | str, tasks: Mapping[str, Task]) -> tuple[set[str], tuple[str, ...]]:
    """The sets that have responses, and the files that are not named after a set."""
    if isinstance(responses, str):
        if responses not in BUILTIN_RESPONSES:
            raise UsageError(f"responses {responses!r}: give a folder, or {' or '.join(BUILTIN_RESPONSES)}")
        return set(tasks), ()
    if not responses.is_dir():
        raise UsageError(f"{responses}: there is no such folder")
    stems = {path.stem for path in responses.glob("*.csv")}
    if not stems & set(tasks):
        raise UsageError(f"{responses}: no file is named after a set, such as {next(iter(tasks))}.csv")
    return stems & set(tasks), tuple(sorted(f"{stem}.csv" for stem in stems - set(tasks)))


def _no_response_reason(name: str, benchmark: Benchmark, given: set[str]) -> str | None:
    if name not in benchmark.test_files and not (name in benchmark.expert_files and name in given):
        return "the benchmark has no test file for it"
    return None if name in given else f"there is no {name}.csv among the responses"


def _no_score_reason(
    task: Task, missing_rows: Mapping[str, list[str]], rows: Mapping[str, Sequence[ScoredRow]]
) -> str | None:
    if missing_rows.get(task.set):
        return f"{len(missing_rows[task.set])} labelled test rows have no prediction"
    if not rows.get(task.set):
        return "there are no labelled test posts for it"
    return NOTHING_TO_FIND if nothing_to_find(rows[task.set], task) else None

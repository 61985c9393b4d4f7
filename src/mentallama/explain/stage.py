"""The explain stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mentallama.analysts.base import AnalystSpec
from mentallama.config import Recipe
from mentallama.explain.reasons.stage_parts import (
    CACHE_EXCLUDED_SETTINGS as REASON_SETTINGS_EXCLUDED,
)
from mentallama.explain.reasons.stage_parts import (
    reason_notes,
    write_bound_reasons,
    writer_inputs,
    writer_problems,
)
from mentallama.files.manifest import digest_file
from mentallama.files.record_files import read_record, read_records
from mentallama.pipeline.stage import Stage
from mentallama.predict.questions import labelled_questions
from mentallama.predict.stage import (
    CACHE_EXCLUDED_SETTINGS,
    PredictJob,
    analyst_spec,
    answers_identity,
    open_job_analyst,
    predict_inputs,
    refuse_data_agreements,
)
from mentallama.progress import log_to_stderr
from mentallama.prompts.bound_prompts import BOUND_PROMPTS_VERSION
from mentallama.records import Post, Split
from mentallama.run_files import (
    EVIDENCE_FILE,
    FAITHFULNESS_FILE,
    FAITHFULNESS_PATH,
    METRICS_FILE,
    POSTS_PATH,
    PREDICTIONS_PATH,
    REASONS_FILE,
    UPSTREAM_LABELS_PATH,
)
from mentallama.tasks import load_tasks

JOURNAL_NAME = "explained-{}.part.jsonl"
"""In the run's folder; the name depends on the analyst and on all that the evidence is computed from."""

LEDGER_NAME = "explained-{}.ledger.sqlite"
"""Beside the journal: paid completions of a remote model. It is deleted with the journal."""


def explain_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The files of the models, and upstream labels where there are any."""
    upstream = folder / UPSTREAM_LABELS_PATH
    found = {UPSTREAM_LABELS_PATH: upstream} if upstream.is_file() else {}
    assert recipe.explain is not None
    return predict_inputs(recipe, folder) | found | writer_inputs(recipe.explain.bound)


def explain_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """No predictions to explain, and methods that do not exist or cannot explain the model."""
    from mentallama.attribution.registry import method_problem

    assert recipe.explain is not None
    if recipe.predict is None:
        yield "explain has no predictions to explain: add predict to the recipe"
        return
    kind, *_ = explain_analyst_kinds(recipe, folder)
    for name in recipe.explain.methods:
        if problem := method_problem(name, kind):
            yield f"explain.methods: {problem}"
    yield from writer_problems(recipe.explain.bound)


def explain(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Explain the predictions of the run; returns counts for the manifest."""
    from mentallama.attribution.registry import default_method, open_attribution
    from mentallama.explain.answers import select_answers
    from mentallama.explain.run import run
    from mentallama.explain.summary import BASELINE
    from mentallama.metrics.bootstrap import Resampling

    assert recipe.explain is not None
    assert recipe.predict is not None
    settings, splits = recipe.explain, recipe.predict.splits
    posts = _posts_of(folder, splits)
    upstream = folder / UPSTREAM_LABELS_PATH
    answers = select_answers(
        posts,
        folder / PREDICTIONS_PATH,
        load_tasks(recipe.tasks),
        recipe.form,
        upstream=upstream if upstream.is_file() else None,
        max_posts=settings.max_posts_per_set,
        seed=recipe.seed,
    )
    job = _predict_job(recipe, folder)
    job, _ = job.with_examples(_posts_of(folder, ("test", *splits))(), log_to_stderr)
    refuse_data_agreements(job, lambda: labelled_questions(posts(), recipe.form))
    # Completions stay valid whatever else changes; evidence belongs to its inputs.
    ledger = folder / LEDGER_NAME.format(answers_identity(job))
    journal = folder / JOURNAL_NAME.format(_identity(job, recipe, folder))
    with open_job_analyst(job, ledger) as analyst:
        analyst.prepare(sorted({(answer.example.task, answer.example.question) for answer in answers}))
        chosen = settings.methods or (default_method(analyst, "full"),)
        # the first method is the preferred one, which the baseline never is
        names = [*(name for name in chosen if name != BASELINE), BASELINE]
        methods = {name: open_attribution(name, analyst) for name in names}
        resampling = Resampling(resamples=settings.resamples, seed=recipe.seed)
        report = run(analyst, answers, methods, out, journal, resampling)
    counts: dict[str, Any] = {
        "answers": sum(found.rows for found in report.sets.values()),
        "methods": list(report.methods),
        "skipped": report.skipped,
    }
    if settings.bound is not None:
        method = report.methods[0]
        counts["reasons"] = write_bound_reasons(settings.bound, job.tasks, answers, method, folder, out)
    return counts


def _posts_of(folder: Path, splits: tuple[Split, ...]) -> Callable[[], Iterable[Post]]:
    return lambda: (post for post in read_records(folder / POSTS_PATH, Post) if post.split in splits)


def _predict_job(recipe: Recipe, folder: Path) -> PredictJob:
    """The analyst as it is opened by predict, but without evidence of its own."""
    assert recipe.predict is not None
    seed = recipe.seed if recipe.predict.seed is None else recipe.predict.seed
    settings = recipe.predict.model_copy(update={"seed": seed, "evidence": "none"})
    return PredictJob(analyst_spec(recipe, folder), settings, load_tasks(recipe.tasks))


def _identity(job: PredictJob, recipe: Recipe, folder: Path) -> str:
    """16 hexadecimal digits that stand for the analyst, posts, answers, marked passages and the seed."""
    inputs = [folder / name for name in (POSTS_PATH, PREDICTIONS_PATH, UPSTREAM_LABELS_PATH)]
    digests = [digest_file(path, "").sha256 if path.is_file() else None for path in inputs]
    # Whatever posts and methods are chosen, what the journal holds about others stays true.
    identity = json.dumps([answers_identity(job), digests, recipe.seed])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def cache_extra(recipe: Recipe) -> dict[str, Any]:
    """How the analyst is asked, which the evidence depends on, and the version of the prompts of reasons."""
    assert recipe.explain is not None
    if recipe.predict is None:
        return {}
    excluded = dict.fromkeys((*CACHE_EXCLUDED_SETTINGS, "allow_remote", "examples", "max_rows_per_set"), True)
    prompts = {} if recipe.explain.bound is None else {"bound_prompts": BOUND_PROMPTS_VERSION}
    return {"predict": recipe.predict.model_dump(mode="json", exclude=excluded)} | prompts


def explain_analyst_kinds(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    """The kind of the analyst, if the recipe says which, and of a model on this machine that writes reasons."""
    if recipe.explain is None or recipe.predict is None:
        return ()
    bound = recipe.explain.bound
    writers = ("causal",) if bound is not None and bound.kind == "causal" else ()
    return (AnalystSpec.parse(analyst_spec(recipe, folder)).kind, *writers)


def explain_notes(folder: Path) -> Iterator[str]:
    """A line for answers that could not be explained, and one for those without a bound reason."""
    from mentallama.explain.results import FaithfulnessFile

    skipped = read_record(folder / FAITHFULNESS_PATH, FaithfulnessFile).skipped
    if skipped:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
        yield f"note: explain: {sum(skipped.values()):,} answers were not explained ({counts})"
    yield from reason_notes(folder)


def delete_journals(folder: Path) -> None:
    """Delete the journals once the evidence is complete."""
    key = "[0-9a-f]" * 16
    for pattern in (JOURNAL_NAME.format(key), f"{LEDGER_NAME.format(key)}*"):  # SQLite adds -wal and -shm
        for path in folder.glob(pattern):
            path.unlink()


STAGE = Stage(
    name="explain",
    help="Compute evidence for the answers, and test whether the model rests on it. Reads posts, predictions and the "
    "model; writes evidence by method and its faithfulness, without posts.",
    inputs=explain_inputs,
    reads=lambda _: (POSTS_PATH, PREDICTIONS_PATH),
    problems=explain_problems,
    run=explain,
    cache_extra=cache_extra,
    analyst_kinds=explain_analyst_kinds,
    cache_exclude={"bound": REASON_SETTINGS_EXCLUDED},
    notes=explain_notes,
    on_done=delete_journals,
    file_patterns=(EVIDENCE_FILE, FAITHFULNESS_FILE, REASONS_FILE, METRICS_FILE),
)

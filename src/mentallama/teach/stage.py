"""The teach stage."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentallama.analysts.registry import spec_problem
from mentallama.config import LinearSettings, Recipe, Teacher
from mentallama.config.teach import LOCATED_KINDS, ScaleSettings
from mentallama.errors import MentallamaError
from mentallama.files.manifest import mark_outdated
from mentallama.files.record_files import read_json, read_records
from mentallama.llm_api.endpoint import unset_key_problem
from mentallama.llm_api.limits.failure_watch import describe_failures, too_many_failed
from mentallama.pipeline.stage import Stage, spec_files
from mentallama.program import command_line
from mentallama.progress import LogFn, log_to_stderr
from mentallama.prompts import PROMPTS_VERSION
from mentallama.prompts.few_shot import example_files, missing_examples
from mentallama.records import FailedRequest, Post
from mentallama.run_files import (
    BATCH_FOLDER,
    FAILED_REQUESTS_FILE,
    FAILED_REQUESTS_PATH,
    LEDGER_PATH,
    POSTS_PATH,
    RESPONSES_FILE,
    SCALE_TRACES_FILE,
    SUMMARY_FILE,
    TEACH_SUMMARY_PATH,
    TEACHER_DISAGREEMENTS_FILE,
)
from mentallama.tasks import load_tasks

if TYPE_CHECKING:
    from mentallama.analysts.linear.analyst import LinearAnalyst
    from mentallama.teach.summary import TeachSummary


def teach_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Files of linear and scripted teachers, and the examples."""
    settings = recipe.teach
    assert settings is not None
    inputs: dict[str, Path] = {}
    for number, teacher in enumerate(settings.endpoints):
        if teacher.kind in LOCATED_KINDS:
            name = "checker" if number == len(settings.teacher) else f"teacher {number}"
            inputs |= spec_files(teacher.spec, name)
    return inputs | example_files(settings.examples)


def teach_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """Teachers, packs and examples that do not exist, and keys of endpoints that are not set."""
    settings = recipe.teach
    assert settings is not None
    for number, teacher in enumerate(settings.endpoints):
        key = "teach.scale.checker" if number == len(settings.teacher) else "teach.teacher"
        if problem := _teacher_problem(teacher, settings.use_batch_api):
            yield f"{key}: {problem}"
    if settings.method == "item-by-item":
        yield from _scale_problems(recipe, settings.scale)
    yield from missing_examples("teach.examples", settings.examples)


def _teacher_problem(teacher: Teacher, use_batch_api: bool) -> str | None:
    if teacher.kind == "linear":
        return spec_problem(teacher.spec)
    if teacher.kind == "scripted" and not Path(teacher.location).is_file():
        return f"there is no file {teacher.location}"
    return unset_key_problem(teacher, os.environ) if teacher.remote and not use_batch_api else None


def _scale_problems(recipe: Recipe, settings: ScaleSettings) -> Iterator[str]:
    """A pack that cannot be filled. Which sets have posts, and so need a scale, is known only after collect."""
    from mentallama.teach.scales.definition import chosen_pack

    try:
        chosen_pack(settings)
    except MentallamaError as error:
        yield str(error)


def ledger_path(recipe: Recipe, folder: Path) -> Path:
    """The file of a run's paid completions, outside the stage's folder, which is replaced as a whole."""
    return (recipe.teach.ledger if recipe.teach is not None else None) or folder / LEDGER_PATH


def teach(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.teach.remote_teachers import DispatchMode
    from mentallama.teach.requests import TeachJob
    from mentallama.teach.run import run

    settings = recipe.teach
    assert settings is not None
    summary = run(
        TeachJob(folder / POSTS_PATH, load_tasks(recipe.tasks), settings, recipe.form, recipe.seed),
        out,
        ledger_path(recipe, folder),
        lambda teacher: _load_analyst(teacher, recipe, folder / POSTS_PATH, out / "analyst"),
        os.environ,
        log_to_stderr,
        DispatchMode(folder / BATCH_FOLDER if settings.use_batch_api else None, recipe.ray),
    )
    _refuse_without_answers(summary, ledger_path(recipe, folder), out / FAILED_REQUESTS_FILE)
    return summary.model_dump(mode="json", include={"questions", "outcomes", "failed", "disagreements"})


def _refuse_without_answers(summary: TeachSummary, ledger: Path, listing: Path) -> None:
    """Raise if a teacher answered nothing because all its requests failed; they stay open, for the same command."""
    from mentallama.llm_api.ledger.ledger import Ledger

    for model, outcomes in summary.outcomes.items():
        if ledger.is_file() and set(outcomes) == {"failed"}:
            with Ledger(ledger) as opened:
                opened.delete_failed()
            reasons = Counter(
                failed.reason for failed in read_records(listing, FailedRequest) if failed.model == model
            )
            n_failed = outcomes["failed"]
            raise MentallamaError(
                f"teach: {n_failed} of {n_failed} requests to {model} failed ({describe_failures(reasons)}); failed "
                "requests do not count as answers, and the same command sends them again"
            )


def _load_analyst(teacher: Teacher, recipe: Recipe, posts: Path, out: Path) -> LinearAnalyst:
    """Load the analyst of `linear:DIR`, or fit one for `embedded` into `out`."""
    from mentallama.analysts.linear.analyst import LinearAnalyst
    from mentallama.train.linear.trainer import train_linear

    folder = Path(teacher.location)
    if teacher.kind == "embedded":
        # explanations need the weights of words, not the best F1: one setting instead of a search
        quick = LinearSettings(C=(1.0,), evidence_weights=(0.0,), topics=(0,), intercept_shifts=(False,))
        train_linear(read_records(posts, Post), out, quick, recipe.jobs, recipe.catalogue())
        folder = out
    return LinearAnalyst.load(folder, load_tasks(recipe.tasks))


def teach_notes(folder: Path) -> Iterator[str]:
    """Yield a line about failed requests, if there are any."""
    reasons: Counter[str] = Counter()
    for counts in read_json(folder / TEACH_SUMMARY_PATH)["failed"].values():
        reasons.update(counts)
    if reasons:
        yield (
            f"note: teach: {reasons.total()} failed ({describe_failures(reasons)}); all are listed in "
            f"{folder / FAILED_REQUESTS_PATH}, and `{command_line('teach RECIPE --retry')}` retries them"
        )


def verdict(recipe: Recipe, folder: Path, _: LogFn) -> str | None:
    """The sentence for exit code 3, if more requests of a teacher failed than the recipe allows."""
    assert recipe.teach is not None
    if not (folder / TEACH_SUMMARY_PATH).is_file():
        return None
    summary = read_json(folder / TEACH_SUMMARY_PATH)
    verdicts = (
        too_many_failed(
            "teach",
            failed,
            summary["questions"],
            recipe.teach.max_failed_share,
            folder / FAILED_REQUESTS_PATH,
        )
        for model, failed in summary["failed"].items()
        if not model.startswith(("embedded:", "linear:"))
    )
    return next((verdict for verdict in verdicts if verdict is not None), None)


def retry_failed(recipe: Recipe, folder: Path, log: LogFn) -> None:
    """Delete failed completions from the ledger; the stage is marked as not done first, in case this is killed."""
    from mentallama.llm_api.batch_api.exchange import mark_failed_for_retry
    from mentallama.llm_api.ledger.ledger import Ledger

    path = ledger_path(recipe, folder)
    mark_outdated(folder / "teach")
    if recipe.teach is not None and recipe.teach.use_batch_api:
        mark_failed_for_retry(folder / BATCH_FOLDER)
    if path.is_file():
        with Ledger(path) as ledger:
            log(f"teach: {ledger.delete_failed()} failed requests will be retried")


_BILLING: set[str] = {
    "key_env_var",
    "input_price",
    "output_price",
    "requests_per_minute",
    "tokens_per_minute",
}
"""Settings of an endpoint on which no answer depends."""


def cache_extra(recipe: Recipe) -> dict[str, Any]:
    """The version of the prompts, and the content of a criterion pack."""
    from mentallama.prompts.scale_prompts import SCALE_PROMPTS_VERSION
    from mentallama.teach.scales.definition import chosen_pack

    settings = recipe.teach
    assert settings is not None
    if settings.method == "single-request":
        return {"prompts": PROMPTS_VERSION}
    pack = chosen_pack(settings.scale)
    return {
        "prompts": PROMPTS_VERSION,
        "scale_prompts": SCALE_PROMPTS_VERSION,
        "pack": None if pack is None else pack.model_dump(mode="json"),
    }


STAGE = Stage(
    name="teach",
    help="Have a teacher explain every labelled post. Reads the collected posts; writes responses.jsonl.zst, and a "
    "ledger of every paid request.",
    inputs=teach_inputs,
    run=teach,
    reads=lambda _: (POSTS_PATH,),
    problems=teach_problems,
    cache_exclude={
        "teacher": {"__all__": _BILLING},
        "scale": {"checker": _BILLING, "packs": True},
        **dict.fromkeys(
            (
                "max_concurrency",
                "timeout",
                "max_attempts",
                "max_failed_share",
                "budget",
                "allow_remote",
                "ledger",
                "use_batch_api",
            ),
            True,
        ),
        "examples": True,  # their content is an input
    },
    file_patterns=(
        RESPONSES_FILE,
        FAILED_REQUESTS_FILE,
        TEACHER_DISAGREEMENTS_FILE,
        SCALE_TRACES_FILE,
        SUMMARY_FILE,
    ),
    cache_extra=cache_extra,
    notes=teach_notes,
    verdict=verdict,
    retry_failed=retry_failed,
)

"""The teach stage."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentallama.config import LinearSettings, Recipe
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.stage import Stage, require_files, spec_files
from mentallama.progress import LogFn, log_to_stderr
from mentallama.prompts import PROMPTS_VERSION
from mentallama.records import Post
from mentallama.run_files import (
    BATCH_FOLDER,
    FAILED_REQUESTS_PATH,
    LEDGER_PATH,
    POSTS_PATH,
    TEACH_MANIFEST_PATH,
    TEACH_SUMMARY_PATH,
)
from mentallama.tasks import load_tasks

if TYPE_CHECKING:
    from mentallama.analysts.linear.analyst import LinearAnalyst

"""In the run's folder."""


def teach_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    assert recipe.teach is not None
    found = require_files(POSTS_PATH)(recipe, folder)
    for number, teacher in enumerate(recipe.teach.teacher):
        if teacher.spec.startswith("linear:"):
            found |= spec_files(teacher.spec, f"teacher {number}")
    examples = recipe.teach.examples
    if examples is not None:
        files = sorted(examples.iterdir()) if examples.is_dir() else [examples]
        found |= {f"examples/{file.name}": file for file in files if file.is_file()}
    return found


def ledger_path(recipe: Recipe, folder: Path) -> Path:
    """The file of a run's paid answers: outside the stage's folder, which is replaced whole."""
    return (recipe.teach.ledger if recipe.teach is not None else None) or folder / LEDGER_PATH


def teach(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.teach.requests import TeachJob
    from mentallama.teach.run import DispatchMode, run

    settings = recipe.teach
    assert settings is not None
    lesson = TeachJob(folder / POSTS_PATH, load_tasks(recipe.tasks), settings, recipe.form, recipe.seed)
    way = DispatchMode(folder / BATCH_FOLDER if settings.use_batch_api else None, recipe.ray)
    summary = run(
        lesson,
        out,
        ledger_path(recipe, folder),
        lambda spec: _open_teacher_analyst(spec, recipe, folder / POSTS_PATH, out / "analyst"),
        os.environ,
        log_to_stderr,
        way,
    )
    return summary.model_dump(mode="json", include={"questions", "outcomes", "failed", "disagreements"})


def _open_teacher_analyst(spec: str, recipe: Recipe, posts: Path, out: Path) -> LinearAnalyst:
    """The analyst behind a teacher: a trained one, or for `embedded` one that is quickly fitted into `out`."""
    from mentallama.analysts.linear.analyst import LinearAnalyst
    from mentallama.train.linear.trainer import train_linear

    kind, _, where = spec.partition(":")
    if kind == "embedded":
        # explanations need the words' weights, not the last point of F1: one setting, nothing to choose from
        quick = LinearSettings(C=(1.0,), evidence_weights=(0.0,), topics=(0,), intercept_shifts=(False,))
        train_linear(read_records(posts, Post), out, quick, recipe.jobs, recipe.catalogue())
        where = str(out)
    return LinearAnalyst.load(Path(where), load_tasks(recipe.tasks))


def teach_notes(folder: Path) -> Iterator[str]:
    """One line where questions were left without an answer."""
    aside = read_json(folder / TEACH_SUMMARY_PATH)["failed"]
    reasons: Counter[str] = Counter()
    for counts in aside.values():
        reasons.update(counts)
    if reasons:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3))
        rest = ", ..." if len(reasons) > 3 else ""
        yield (
            f"note: teach: {reasons.total()} failed ({told}{rest}); all are listed in "
            f"{folder / FAILED_REQUESTS_PATH}, mentallama teach --retry retries them"
        )


def ask_again(recipe: Recipe, folder: Path, log: LogFn) -> None:
    """Take what was set aside out of the ledger; the stage is marked as not done first, should this be killed."""
    from mentallama.llm_api.batch_api.exchange import mark_failed_for_retry
    from mentallama.llm_api.ledger.ledger import Ledger

    path = ledger_path(recipe, folder)
    (folder / TEACH_MANIFEST_PATH).unlink(missing_ok=True)
    if recipe.teach is not None and recipe.teach.use_batch_api:
        mark_failed_for_retry(folder / BATCH_FOLDER)
    if path.is_file():
        with Ledger(path) as ledger:
            log(f"teach: {ledger.delete_failed()} failed requests will be retried")


STAGE = Stage(
    name="teach",
    help="Have a teacher explain every labelled post.",
    inputs=teach_inputs,
    run=teach,
    cache_exclude={
        "teacher": {
            "__all__": {
                "key_env_var",
                "input_price",
                "output_price",
                "requests_per_minute",
                "tokens_per_minute",
            }
        },
        **dict.fromkeys(
            (
                "max_concurrency",
                "timeout",
                "max_attempts",
                "budget",
                "allow_remote",
                "ledger",
                "use_batch_api",
            ),
            True,
        ),
        "examples": True,  # their content is an input
    },
    cache_extra=lambda _: {"prompts": PROMPTS_VERSION},
    notes=teach_notes,
    retry_failed=ask_again,
)

"""Predict without a recipe: any model on any posts, into a folder of its own.

    mentallama predict --model SPEC --data PATH --out DIR

Writes what the stage writes and `questions.jsonl.zst`, the post and question of each prediction; for posts of the
published release also `responses/SET.csv`, for `mentallama evaluate --benchmark`. The manifest is written last: the
same command resumes a folder that has none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.base import AnalystSpec
from mentallama.analysts.checkpoints.metadata import model_query_form
from mentallama.analysts.registry import analyst_kind
from mentallama.config import Predict
from mentallama.errors import TooManyRejectsError, UsageError, counted
from mentallama.files.erasure_requests import NO_ERASURES, read_erasure_list
from mentallama.files.manifest import Manifest, digest_file, read_manifest, write_manifest
from mentallama.files.ownership import make_output_folder
from mentallama.files.record_files import record_writer
from mentallama.files.schema_faults import fault_sentences
from mentallama.pipeline.cache_key import cache_key
from mentallama.pipeline.run_lock import run_lock
from mentallama.pipeline.stage import spec_files
from mentallama.predict.analyst_pool import AnalystPool
from mentallama.predict.imhi_output import write_responses
from mentallama.predict.notes import summary_notes
from mentallama.predict.post_sources import PostFilter, PostSource, open_post_source
from mentallama.predict.questions import QuestionRow, QuestionSource, only_supported, sample_rows
from mentallama.predict.run import PredictSummary, QuestionSelection, run
from mentallama.predict.stage import (
    PredictJob,
    failure_verdict,
    find_journals,
    journal_path,
    open_pool,
    read_summary,
    refuse_data_agreements,
    remove_journals,
    retry_message,
    settings_problems,
)
from mentallama.progress import LogFn, heartbeat
from mentallama.records import FORMS, Post
from mentallama.run_files import (
    ERASURE_LIST_PATH,
    FAILED_REQUESTS_FILE,
    PREDICTIONS_FILE,
    QUESTIONS_FILE,
    RESPONSES_FOLDER,
    SUMMARY_FILE,
)


@dataclass(frozen=True)
class PredictCommand:
    """The arguments of the command line. `form` None means the form that the model was trained on."""

    job: PredictJob
    data: Path
    sets: tuple[str, ...] = ()
    form: str | None = None
    all_questions: bool = False
    retry_failed: bool = False


@heartbeat("predict")
def predict_ad_hoc(command: PredictCommand, out: Path, log: LogFn) -> PredictSummary:
    """Predict, unless `out` already holds these predictions.

    Raises
    ------
    UsageError
        `out` contains something else; or the model, the posts or a set does not exist.
    TooManyRejectsError
        Everything is written, but more calls failed than `max_failed_share` allows.
    """
    analyst_kind(command.job.spec)  # an unknown kind is reported before anything is read
    for fault in settings_problems(command.job.spec, command.job.settings):
        raise UsageError(fault)
    data = open_post_source(command.data, post_filter(command, out))
    job, left_out = command.job.with_examples(_kept_apart(command, data), log)
    command = replace(command, job=job)
    make_output_folder(out)
    with run_lock(out):
        key = _cache_key(command, data)
        if _is_up_to_date(out, key) and not _has_calls_to_retry(command, out, log):
            log("predict: up to date")
        else:
            _predict(command, data, out, key, left_out)
            log(f"predict: done in {_require_manifest(out).seconds:.1f} s")
        summary = read_summary(out / SUMMARY_FILE)
        if not summary.failed:
            remove_journals(out)
        for line in summary_notes(summary, out / FAILED_REQUESTS_FILE):
            log(line)
        if n_empty := sum(row.example_id is None for row in data.imhi_rows):
            why = "empty or damaged" if data.filter.erasures == NO_ERASURES else "empty, damaged or erased"
            log(f"note: predict: no answer to {counted(n_empty, 'row')} without a post ({why} text)")
    if (problem := _failure_verdict(command, summary, out)) is not None:
        raise TooManyRejectsError(problem)
    return summary


def _kept_apart(command: PredictCommand, data: PostSource) -> Iterator[Post]:
    """The posts that no example may be about: those that are asked about, and all test posts of the data."""
    yield from data.posts()
    yield from open_post_source(command.data, replace(data.filter, splits=("test",), sets=())).posts()


def _has_calls_to_retry(command: PredictCommand, out: Path, log: LogFn) -> bool:
    """Whether finished predictions lack some whose calls are to be made again: on demand, or too many of them."""
    summary = read_summary(out / SUMMARY_FILE)
    retried = bool(summary.failed) and (
        command.retry_failed or _failure_verdict(command, summary, out) is not None
    )
    if retried:
        log(retry_message(summary))
    return retried


def _failure_verdict(command: PredictCommand, summary: PredictSummary, out: Path) -> str | None:
    return failure_verdict(summary, command.job.settings, out / FAILED_REQUESTS_FILE)


def parse_options(options: dict[str, Any]) -> Predict:
    """Validate command-line options as settings; the `UsageError` names the options at fault."""
    try:
        return Predict.model_validate({key: value for key, value in options.items() if value is not None})
    except ValidationError as invalid:
        faults = fault_sentences(invalid, options, Predict, lambda _: None)
        raise UsageError("; ".join(dict.fromkeys(map(_as_option, faults)))) from None


def _as_option(fault: str) -> str:
    """A sentence about a setting, with the key that it begins with as the command line spells it."""
    key, _, problem = fault.partition(": ")
    name = key.partition("[")[0]
    if name not in Predict.model_fields:  # about several settings
        return fault
    return f"{'--split' if name == 'splits' else '--' + name.replace('_', '-')}: {problem}"


def post_filter(command: PredictCommand, out: Path) -> PostFilter:
    """Which posts a command asks about, and how; raises `UsageError` if it names a set or form that does not exist."""
    tasks = command.job.tasks
    named = {"--sets": command.sets, "--allow-remote": command.job.settings.allow_remote}
    for option, names in named.items():
        unknown = [name for name in names if name not in tasks]
        if unknown:
            raise UsageError(f"{option} {unknown[0]}: there is no such set; there are {', '.join(tasks)}")
    form = next((known for known in FORMS if known == command.form), None)
    if command.form is not None and form is None:
        raise UsageError(f"--form {command.form}: there are {' and '.join(FORMS)}")
    return PostFilter(
        form or model_query_form(command.job.spec),
        command.job.settings.splits,
        command.sets,
        tasks,
        command.all_questions,
        read_erasure_list(out),
    )


def _cache_key(command: PredictCommand, data: PostSource) -> dict[str, Any]:
    """Everything that the predictions depend on."""
    job = command.job
    selection = {
        "form": data.filter.form,
        "splits": data.filter.splits,
        "sets": command.sets,
        "all": command.all_questions,
    }
    return cache_key(
        {"model": job.spec, **selection, **job.cached_settings},
        job.tasks,
        (AnalystSpec.parse(job.spec).kind,),
        data.files | spec_files(job.spec, "model"),
    )


def _is_up_to_date(out: Path, key: dict[str, Any]) -> bool:
    """Whether the folder holds these predictions, undamaged; raises `UsageError` if it holds anything else."""
    manifest = read_manifest(out)
    if manifest is None:
        _refuse_other_files(out)
        return False
    if manifest.cache_key != key:
        raise UsageError(
            f"{out}: this folder holds results of another model, other data, settings or versions; choose another "
            "with --out, or delete it"
        )
    return all(
        (out / file.name).is_file() and digest_file(out / file.name, file.name) == file
        for file in manifest.outputs
    )


def _refuse_other_files(out: Path) -> None:
    """Refuse a folder without a manifest that holds more than a killed command leaves.

    Results are ours if a journal lies beside them: it is deleted only after the manifest was written.
    """
    journals = {path.name for path in find_journals(out)}
    ours = (
        journals
        | {ERASURE_LIST_PATH}
        | (
            {PREDICTIONS_FILE, FAILED_REQUESTS_FILE, SUMMARY_FILE, QUESTIONS_FILE, RESPONSES_FOLDER}
            if journals
            else set()
        )
    )
    others = [
        path.name for path in sorted(out.iterdir()) if path.name not in ours and not path.name.startswith(".")
    ]
    if others:
        raise UsageError(
            f"{out}: this folder contains other files, such as {others[0]}; choose another with --out"
        )


def _delete_old_responses(out: Path, job: PredictJob) -> None:
    """Delete the tables of an earlier attempt; files that it did not write stay."""
    manifest = read_manifest(out)
    names = (
        {f"{RESPONSES_FOLDER}/{name}.csv" for name in job.tasks}
        if manifest is None
        else {file.name for file in manifest.outputs if file.name.startswith(f"{RESPONSES_FOLDER}/")}
    )
    for name in names:
        (out / name).unlink(missing_ok=True)


def _require_manifest(out: Path) -> Manifest:
    manifest = read_manifest(out)
    assert manifest is not None
    return manifest


def _predict(
    command: PredictCommand, data: PostSource, out: Path, key: dict[str, Any], left_out: dict[str, int]
) -> None:
    start, job = time.monotonic(), command.job
    refuse_data_agreements(job, data.questions())
    with open_pool(job, out) as pool:
        questions, sampled = sample_rows(
            data.questions(pool.supported_questions), job.settings.max_rows_per_set, job.seed
        )
        selection = QuestionSelection(sampled=sampled, left_out_examples=left_out)
        summary = run(pool, questions, out, journal_path(job, out), data.name, selection)
        _write_questions(out / QUESTIONS_FILE, questions, pool)
        failed = frozenset(pool.failed)
    _delete_old_responses(out, job)
    answered_in_part = {row.set for row in data.imhi_rows if row.example_id in failed}
    answered_in_part |= set(sampled.get("test", ()))
    whole = [row for row in data.imhi_rows if row.set not in answered_in_part]
    write_responses(out, out / PREDICTIONS_FILE, whole, job.tasks, data.filter.form)
    names = (PREDICTIONS_FILE, *([FAILED_REQUESTS_FILE] if failed else []), QUESTIONS_FILE, SUMMARY_FILE)
    written = [out / name for name in names] + [
        path
        for name in sorted({row.set for row in data.imhi_rows})
        if (path := out / RESPONSES_FOLDER / f"{name}.csv").is_file()
    ]
    outputs = tuple(digest_file(path, path.relative_to(out).as_posix()) for path in written)
    counts = summary.model_dump(mode="json")
    write_manifest(out, "predict", key, outputs, counts, time.monotonic() - start)


def _write_questions(path: Path, questions: QuestionSource, pool: AnalystPool) -> None:
    with record_writer(path) as write:
        for post_questions in questions():
            post = post_questions.post
            for example in only_supported(post_questions, pool.supported_questions).examples:
                write(
                    QuestionRow(
                        example_id=example.id,
                        post_id=post.id,
                        author=post.author,
                        task=example.task,
                        question=example.question,
                        file=post.provenance.file,
                        row=post.provenance.row,
                    )
                )

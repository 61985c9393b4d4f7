"""The predict stage; opens analysts, also for predictions without a recipe."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentallama import __version__
from mentallama.analysts.base import Analyst, AnalystSpec, InferenceOptions
from mentallama.analysts.registry import (
    ANALYSTS,
    analyst_kind,
    prompt_problem,
    spec_problem,
)
from mentallama.attribution.opening import evidence_source, open_with_evidence
from mentallama.config import Predict, Recipe
from mentallama.files.manifest import mark_outdated
from mentallama.files.record_files import read_record, read_records
from mentallama.llm_api.endpoint import unset_key_problem
from mentallama.llm_api.limits.failure_watch import too_many_failed
from mentallama.pipeline.stage import Stage, spec_files
from mentallama.predict.analyst_pool import AnalystPool, local_pool
from mentallama.predict.notes import summary_notes
from mentallama.predict.questions import QuestionSource, count_questions, labelled_questions, sample_rows
from mentallama.predict.run import PredictSummary, QuestionSelection, run
from mentallama.progress import LogFn, log_to_stderr
from mentallama.prompts import PROMPTS_VERSION
from mentallama.prompts.few_shot import (
    FewShotRow,
    count_real_examples,
    example_files,
    examples_digest,
    missing_examples,
    read_examples,
)
from mentallama.prompts.question_prompts import DEFAULT_SEED
from mentallama.records import Post, Split
from mentallama.run_files import (
    FAILED_REQUESTS_FILE,
    POSTS_PATH,
    PREDICT_FAILED_PATH,
    PREDICT_SUMMARY_PATH,
    PREDICTIONS_FILE,
    SUMMARY_FILE,
    TRAIN_FOLDER,
)
from mentallama.tasks import QuestionKey, Task, load_tasks

if TYPE_CHECKING:
    from mentallama.analysts.language_model.remote import RemoteAnalyst
    from mentallama.llm_api.ledger.completion_cache import CompletionCache

JOURNAL_NAME = "predicted-{}.part.jsonl"
"""In the run's folder, or beside ad hoc predictions; the name depends on the analyst and its options."""

LEDGER_NAME = "predicted-{}.ledger.sqlite"
"""Beside the journal: paid completions of a remote model, and what they cost. It is deleted with the journal."""

CACHE_EXCLUDED_SETTINGS = (
    "max_concurrency", "timeout", "max_attempts", "max_batch_tokens", "max_failed_share", "key_env_var",
    "requests_per_minute", "tokens_per_minute", "input_price", "output_price", "budget",
)  # fmt: skip
"""Settings that do not change the predictions, so that a run may be resumed with other values."""


@dataclass(frozen=True)
class PredictJob:
    """The analyst that answers, and its settings. `ray` is the address of a cluster, None for this machine.

    `examples` are those of the settings, once they were read.
    """

    spec: str
    settings: Predict
    tasks: Mapping[str, Task]
    ray: str | None = None
    examples: tuple[FewShotRow, ...] = ()

    @property
    def is_remote(self) -> bool:
        return analyst_kind(self.spec).remote

    @property
    def cached_settings(self) -> dict[str, Any]:
        """The settings that the predictions depend on."""
        excluded = {*CACHE_EXCLUDED_SETTINGS, "model", "splits", "allow_remote", "examples"}
        settings = self.settings.model_dump(mode="json", exclude=excluded)
        if self.settings.prompt != "question":
            settings["prompts"] = PROMPTS_VERSION
        if self.examples:
            settings["examples"] = examples_digest(self.examples)
        return settings

    @property
    def seed(self) -> int:
        return DEFAULT_SEED if self.settings.seed is None else self.settings.seed

    def with_examples(self, posts: Iterable[Post], log: LogFn) -> tuple[PredictJob, dict[str, int]]:
        """The job with the examples of its settings, without those about any of the posts, and their counts by set.

        Raises
        ------
        UsageError, DataError
            As for `read_examples` and `without_overlap`.
        """
        if not self.settings.examples:
            return self, {}
        from mentallama.prompts.example_overlap import left_out_examples, without_overlap

        rows = read_examples(self.settings.examples, self.tasks)
        kept = without_overlap(rows, posts)
        if len(kept) < len(rows):
            log(f"predict: {left_out_examples(rows, kept)}")
        left_out = Counter(row.set for row in rows) - Counter(row.set for row in kept)
        return replace(self, examples=tuple(kept)), dict(sorted(left_out.items()))


def predict_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The files of the model, and the examples."""
    assert recipe.predict is not None
    return spec_files(analyst_spec(recipe, folder), "model") | example_files(recipe.predict.examples)


def predict_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """A model that neither exists nor is trained in this run, and a key of its endpoint that is not set."""
    assert recipe.predict is not None
    spec, trained = analyst_spec(recipe, folder), folder / TRAIN_FOLDER
    location = Path(AnalystSpec.parse(spec).location)
    is_own = location.resolve() == trained.resolve()
    if is_own and recipe.train is None and not trained.is_dir():
        yield "predict has no model: add train to the recipe, or name one as predict.model"
    elif not is_own and (problem := spec_problem(spec)):
        yield f"predict.model: {problem}"
    yield from (f"predict.{problem}" for problem in settings_problems(spec, recipe.predict))
    if AnalystSpec.parse(spec).kind == "remote" and (unset := unset_key_problem(recipe.predict, os.environ)):
        yield f"predict.{unset}"


def settings_problems(spec: str, settings: Predict) -> Iterator[str]:
    """Sentences on a price for a model that costs nothing, instructions for one that reads none, and missing examples.

    They begin with the setting.
    """
    kind = AnalystSpec.parse(spec).kind
    if settings.input_price is not None and kind != "remote":
        yield f"input_price: only a remote model has a price, and {spec} is none"
    if kind in ANALYSTS and (problem := prompt_problem(spec, settings.prompt)):
        yield problem
    yield from missing_examples("examples", settings.examples)


def analyst_spec(recipe: Recipe, folder: Path) -> str:
    """The recipe's `predict.model`, or else the model that the run trained."""
    assert recipe.predict is not None
    kind = "linear" if recipe.train is None else recipe.train.analyst
    return recipe.predict.model or f"{kind}:{folder / TRAIN_FOLDER}"


def predict(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Answer the labelled questions of the chosen splits; returns the counts of `PredictSummary`."""
    settings = recipe.predict
    assert settings is not None
    if settings.seed is None:
        settings = settings.model_copy(update={"seed": recipe.seed})
    job = PredictJob(analyst_spec(recipe, folder), settings, load_tasks(recipe.tasks), recipe.ray)

    def posts(*splits: Split) -> Iterator[Post]:
        return (post for post in read_records(folder / POSTS_PATH, Post) if post.split in splits)

    job, left_out = job.with_examples(posts("test", *settings.splits), log_to_stderr)
    questions, sampled = sample_rows(
        lambda: labelled_questions(posts(*settings.splits), recipe.form), settings.max_rows_per_set, job.seed
    )
    refuse_data_agreements(job, questions)
    with open_pool(job, folder) as pool:
        source = f"{folder / POSTS_PATH} ({' and '.join(settings.splits)})"
        selection = QuestionSelection(sampled=sampled, left_out_examples=left_out)
        summary = run(pool, questions, out, journal_path(job, folder), source, selection)
        return summary.model_dump(mode="json")


def prompts_version(recipe: Recipe) -> dict[str, Any]:
    """The version of the prompts, where the predictions depend on it."""
    assert recipe.predict is not None
    return {} if recipe.predict.prompt == "question" else {"prompts": PROMPTS_VERSION}


def delete_journals(folder: Path) -> None:
    """Delete the journals once the predictions of the run are complete; failed calls need them to be asked again."""
    if not read_summary(folder / PREDICT_SUMMARY_PATH).failed:
        remove_journals(folder)


def remove_journals(folder: Path) -> None:
    """Delete all journals in a folder."""
    for path in find_journals(folder):
        path.unlink()


def find_journals(folder: Path) -> list[Path]:
    """The journals in a folder and their ledgers, by their names, which no one else gives."""
    key = "[0-9a-f]" * 16
    patterns = (JOURNAL_NAME.format(key), f"{LEDGER_NAME.format(key)}*")  # SQLite adds -wal and -shm
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def predict_notes(folder: Path) -> Iterator[str]:
    """One line if the analyst reports counts, such as truncated posts."""
    yield from summary_notes(read_summary(folder / PREDICT_SUMMARY_PATH), folder / PREDICT_FAILED_PATH)


def read_summary(path: Path) -> PredictSummary:
    """The counts of a finished run."""
    return read_record(path, PredictSummary)


def retry_failed(_: Recipe, folder: Path, log: LogFn) -> None:
    """Mark the stage as not done, so that its failed calls are asked again."""
    if (folder / PREDICT_SUMMARY_PATH).is_file():
        mark_outdated(folder / "predict")
        log(retry_message(read_summary(folder / PREDICT_SUMMARY_PATH)))


def retry_message(summary: PredictSummary) -> str:
    return f"predict: {sum(summary.failed.values())} failed requests will be retried"


def verdict(recipe: Recipe, folder: Path, _: LogFn) -> str | None:
    """The sentence for exit code 3, if more calls failed than the recipe allows."""
    assert recipe.predict is not None
    if not (folder / PREDICT_SUMMARY_PATH).is_file():
        return None
    summary = read_summary(folder / PREDICT_SUMMARY_PATH)
    return failure_verdict(summary, recipe.predict, folder / PREDICT_FAILED_PATH)


def failure_verdict(summary: PredictSummary, settings: Predict, listing: Path) -> str | None:
    return too_many_failed("predict", summary.failed, summary.questions, settings.max_failed_share, listing)


def refuse_data_agreements(job: PredictJob, questions: QuestionSource) -> None:
    """Raise `UsageError` if posts under a data agreement would be sent to a remote model without permission."""
    if job.is_remote:
        from mentallama.llm_api.data_agreements import refuse_posts_under_agreement

        counts, allowed = count_questions(questions()), job.settings.allow_remote
        shown = [row for row in job.examples if (row.set, row.question) in counts.keys]
        real_posts = counts.real_posts + count_real_examples(shown)
        alternative = "choose other sets, or a model on this machine"
        refuse_posts_under_agreement(real_posts, job.tasks, [job.spec], allowed, alternative)


def refuse_agreements_of_examples(job: PredictJob, questions: Collection[QuestionKey]) -> None:
    """Raise `UsageError` if examples under a data agreement would be sent to a remote model without permission."""
    if job.is_remote:
        from mentallama.llm_api.data_agreements import refuse_posts_under_agreement

        counts = count_real_examples([row for row in job.examples if (row.set, row.question) in questions])
        alternative = "use other examples, or a model on this machine"
        refuse_posts_under_agreement(counts, job.tasks, [job.spec], job.settings.allow_remote, alternative)


@contextmanager
def open_pool(job: PredictJob, folder: Path) -> Iterator[AnalystPool]:
    """Open the analyst, on this machine or on the cluster; `folder` is that of the journal."""
    if job.is_remote or job.ray is None:
        with open_job_analyst(job, folder / LEDGER_NAME.format(answers_identity(job))) as analyst:
            yield local_pool(analyst)
    else:
        from mentallama.predict.ray_pool import ray_pool

        with ray_pool(job.ray, job.spec, inference_options(job), log_to_stderr) as pool:
            yield pool


@contextmanager
def open_job_analyst(job: PredictJob, ledger: Path) -> Iterator[Analyst]:
    """Open the analyst on this machine; a remote one keeps paid completions in `ledger` until the work is done."""
    if job.is_remote:
        with _completion_cache(job, ledger) as cache:
            yield _open_remote(job, cache)
    else:
        yield open_with_evidence(job.spec, inference_options(job))


@contextmanager
def _completion_cache(job: PredictJob, ledger: Path) -> Iterator[CompletionCache]:
    """Where completions are kept: in a ledger if calls have a price."""
    from mentallama.llm_api.ledger.completion_cache import LedgerCache, MemoryCosts
    from mentallama.llm_api.ledger.ledger import Ledger

    if job.settings.input_price is None:
        yield MemoryCosts()
        return
    with Ledger(ledger) as open_ledger:
        yield LedgerCache(open_ledger)


def _open_remote(job: PredictJob, cache: CompletionCache) -> RemoteAnalyst:
    from mentallama.analysts.language_model.remote import RemoteAnalyst
    from mentallama.llm_api.transport.http import http_transport
    from mentallama.llm_api.transport.ray import ray_transport

    transport = http_transport if job.ray is None else ray_transport(job.ray, log_to_stderr)
    location, options = AnalystSpec.parse(job.spec).location, inference_options(job)
    analyst = RemoteAnalyst.load(location, options, transport=transport, cache=cache)
    analyst.spec, analyst.tasks = job.spec, options.tasks
    analyst.evidence = evidence_source(analyst, options.evidence)
    return analyst


def inference_options(job: PredictJob) -> InferenceOptions:
    """The settings as analysts take them: every option that is also a key of the recipe, examples, tasks and log."""
    names = {option.name for option in fields(InferenceOptions)} & set(Predict.model_fields) - {"examples"}
    settings = {name: getattr(job.settings, name) for name in names}
    return InferenceOptions(**settings, examples=job.examples, tasks=job.tasks, log=log_to_stderr)


def journal_path(job: PredictJob, folder: Path) -> Path:
    """The journal's file; its name differs with everything that the answers depend on."""
    return folder / JOURNAL_NAME.format(answers_identity(job))


def answers_identity(job: PredictJob) -> str:
    """16 hexadecimal digits that stand for the model, the settings, the tasks and the version of this package.

    The model's files are identified by path, size and modification time rather than content: they may be large, and are
    read anyway when the analyst opens.
    """
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in spec_files(job.spec, "").values()
    ]
    tasks = [task.model_dump(mode="json") for task in job.tasks.values()]
    identity = json.dumps([job.spec, files, job.cached_settings, tasks, __version__])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


STAGE = Stage(
    name="predict",
    help="Have an analyst answer the questions about the posts.",
    inputs=predict_inputs,
    run=predict,
    reads=lambda _: (POSTS_PATH,),
    problems=predict_problems,
    # The content of the examples is an input.
    cache_exclude=dict.fromkeys((*CACHE_EXCLUDED_SETTINGS, "allow_remote", "examples"), True),
    cache_extra=prompts_version,
    analyst_kinds=lambda recipe, folder: (AnalystSpec.parse(analyst_spec(recipe, folder)).kind,),
    notes=predict_notes,
    verdict=verdict,
    on_done=delete_journals,
    retry_failed=retry_failed,
    file_patterns=(PREDICTIONS_FILE, FAILED_REQUESTS_FILE, SUMMARY_FILE),
)

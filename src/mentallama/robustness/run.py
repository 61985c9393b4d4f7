"""Robustness: how often labels change under perturbations that should not change them.

    mentallama robustness --model SPEC [--model SPEC …] --data PATH --out DIR

Reads posts as `predict` does. Writes
  flips.jsonl.zst        every answer beside that to its perturbed copy, without texts
  robustness.json        flip rates with intervals over posts, changes of weighted F1, answers to minimal pairs
  robustness.md          the same as a page
  failed_requests.jsonl  calls to a remote model without an answer, if there are any
  manifest.json          written last; the same command then does nothing
Answers enter a journal as soon as they are given, and paid ones a ledger, so the same command resumes a killed run.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mentallama.analysts.base import AnalystSpec
from mentallama.analysts.registry import analyst_kind
from mentallama.config import Predict
from mentallama.errors import TooManyRejectsError, UsageError
from mentallama.files.atomic import write_json, write_text
from mentallama.files.manifest import digest_file, read_manifest, write_manifest
from mentallama.files.ownership import claim_files, make_output_folder
from mentallama.files.record_files import read_record, read_records, record_writer
from mentallama.llm_api.limits.failure_watch import too_many_failed
from mentallama.metrics.bootstrap import Resampling
from mentallama.pipeline.cache_key import cache_key
from mentallama.pipeline.run_lock import run_lock
from mentallama.pipeline.stage import spec_files
from mentallama.predict.ad_hoc import PredictCommand, post_filter
from mentallama.predict.post_sources import PostSource, open_post_source
from mentallama.predict.run import run as answer_questions
from mentallama.predict.stage import (
    PredictJob,
    journal_path,
    open_pool,
    refuse_data_agreements,
    remove_journals,
    settings_problems,
)
from mentallama.progress import LogFn, heartbeat, log_to_stderr
from mentallama.records import FailedRequest
from mentallama.robustness.minimal_pairs import load_minimal_pairs
from mentallama.robustness.outcome import RobustnessOutcome
from mentallama.robustness.perturbations import PERTURBATIONS, SEED, ChangeOptions, variant_tasks
from mentallama.robustness.plan import NEGATION, RobustnessPlan
from mentallama.robustness.report import RobustnessReport, markdown_report
from mentallama.run_files import (
    FAILED_REQUESTS_FILE,
    FLIPS_FILE,
    PREDICTIONS_FILE,
    ROBUSTNESS_FILE,
    ROBUSTNESS_PAGE_FILE,
)
from mentallama.tasks import Task
from mentallama.text.suggestions import did_you_mean

COMMAND = "robustness"
OUTPUTS = (FLIPS_FILE, ROBUSTNESS_FILE, ROBUSTNESS_PAGE_FILE, FAILED_REQUESTS_FILE)
PARTIAL_FOLDER = ".robustness.partial"
"""Predictions of the model that is being asked; deleted at the end."""

NAMES = (*PERTURBATIONS, NEGATION, SEED)
"""Everything that `--perturbation` takes."""

ONE_MODEL = "it compares models of different training seeds; name two or more with --model"


@dataclass(frozen=True)
class RobustnessCommand:
    """The arguments of the command line. `perturbations` () means all, `form` None the one a model was trained on."""

    models: tuple[str, ...]
    settings: Predict
    data: Path
    tasks: Mapping[str, Task]
    sets: tuple[str, ...] = ()
    form: str | None = None
    perturbations: tuple[str, ...] = ()
    seed: int = 7
    typo_rate: float = 0.1
    limit: int | None = None
    resamples: int = 1000

    def __post_init__(self) -> None:
        for name in self.perturbations:
            if name not in NAMES:
                raise UsageError(f"--perturbation {name}: {did_you_mean(name, NAMES)}")
        if len(set(self.models)) < len(self.models):
            raise UsageError("--model: the same model is named twice")

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the perturbations, in the order of tables."""
        return tuple(name for name in NAMES if not self.perturbations or name in self.perturbations)


@dataclass(frozen=True)
class _Model:
    """A model that is asked, its posts, and the perturbations that cannot change its answers, with the reason."""

    job: PredictJob
    posts: PostSource
    not_applicable: dict[str, str]


@heartbeat(COMMAND)
def measure_robustness(command: RobustnessCommand, out: Path, log: LogFn) -> RobustnessReport:
    """Ask every model about every post and its copies, unless `out` already holds the result.

    Raises
    ------
    UsageError
        `out` contains something else; or a model, the posts, a set or a perturbation does not exist.
    TooManyRejectsError
        Everything is written, but more calls failed than `max_failed_share` allows; the same command asks again.
    """
    models = [_prepare(command, spec, out) for spec in command.models]
    make_output_folder(out)
    with run_lock(out):
        start, key = time.monotonic(), _cache_key(command, models)
        if _is_up_to_date(out, key) and _failure_verdict(command, out) is None:
            log(f"{COMMAND}: up to date")
        else:
            claim_files(out, COMMAND, OUTPUTS)
            _measure(command, models, out)
            _finish(command, out, key, start)
            log(f"{COMMAND}: done in {time.monotonic() - start:.1f} s")
        report = read_record(out / ROBUSTNESS_FILE, RobustnessReport)
    if (problem := _failure_verdict(command, out)) is not None:
        raise TooManyRejectsError(problem)
    return report


def _prepare(command: RobustnessCommand, spec: str, out: Path) -> _Model:
    analyst_kind(spec)  # an unknown kind is reported before anything is read
    settings = command.settings.model_copy(update={"labels_only": True, "evidence": "none", "model": spec})
    for problem in settings_problems(spec, settings):
        raise UsageError(problem)
    asked = PredictCommand(
        PredictJob(spec, settings, command.tasks), command.data, command.sets, command.form
    )
    posts = open_post_source(command.data, post_filter(asked, out))
    _refuse_answers_of_parts({post.set for post in posts.posts()}, command.tasks)
    with_examples, _ = asked.job.with_examples(posts.posts(), log_to_stderr)
    job = replace(with_examples, tasks=variant_tasks(command.tasks))
    reasons = {
        name: reason
        for name in command.selected
        if name in PERTURBATIONS and (reason := PERTURBATIONS[name].obstacle(job)) is not None
    }
    if SEED in command.selected and len(command.models) == 1:
        reasons[SEED] = ONE_MODEL
    return _Model(job, posts, reasons)


def _refuse_answers_of_parts(sets: Iterable[str], tasks: Mapping[str, Task]) -> None:
    """Refuse sets of which one answer has several labels: whether two such answers differ is no matter of yes or no."""
    for name in sorted(sets):
        if name in tasks and tasks[name].is_composite:
            raise UsageError(
                f"{name}: its answers have several parts (kind: {tasks[name].kind}), and robustness compares single "
                "labels; name other sets with --sets"
            )


def _cache_key(command: RobustnessCommand, models: list[_Model]) -> dict[str, Any]:
    """Everything that the result depends on."""
    settings = {
        "models": list(command.models),
        "forms": [model.posts.filter.form for model in models],
        "splits": command.settings.splits,
        "sets": command.sets,
        "perturbations": command.selected,
        "seed": command.seed,
        "typo_rate": command.typo_rate,
        "limit": command.limit,
        "resamples": command.resamples,
        "minimal_pairs": load_minimal_pairs().version,
        **models[0].job.cached_settings,
    }
    inputs = dict(models[0].posts.files)
    for number, model in enumerate(models, 1):
        inputs |= spec_files(model.job.spec, f"model {number}")
    kinds = [AnalystSpec.parse(spec).kind for spec in command.models]
    return cache_key(settings, command.tasks, kinds, inputs)


def _is_up_to_date(out: Path, key: dict[str, Any]) -> bool:
    """Whether the folder holds this result, undamaged; raises `UsageError` if it holds another."""
    manifest = read_manifest(out)
    if manifest is None or not manifest.cache_key:
        return False
    if manifest.stage == COMMAND and manifest.cache_key == key:
        return all(
            (out / file.name).is_file() and digest_file(out / file.name, file.name) == file
            for file in manifest.outputs
        )
    raise UsageError(
        f"{out}: this folder holds results of other models, other data, settings or versions; choose another with "
        "--out, or delete it"
    )


# Asking and comparing


def _measure(command: RobustnessCommand, models: list[_Model], out: Path) -> None:
    outcome, partial = RobustnessOutcome(), out / PARTIAL_FOLDER
    with record_writer(out / FLIPS_FILE) as write:
        for model in models:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            plan = _ask(command, model, out, partial, outcome)
            outcome.add(model.job.spec, plan, partial / PREDICTIONS_FILE, write)
    shutil.rmtree(partial)
    report = _report(command, models, outcome)
    write_json(out / ROBUSTNESS_FILE, report.model_dump(mode="json"))
    write_text(out / ROBUSTNESS_PAGE_FILE, markdown_report(report))
    (out / FAILED_REQUESTS_FILE).unlink(missing_ok=True)
    if outcome.failed:
        with record_writer(out / FAILED_REQUESTS_FILE) as write:
            for request in outcome.failed:
                write(request)


def _ask(
    command: RobustnessCommand, model: _Model, out: Path, partial: Path, outcome: RobustnessOutcome
) -> RobustnessPlan:
    """Have a model answer everything that is planned for it; its predictions are then in the partial folder."""
    tried = tuple(name for name in command.selected if name not in model.not_applicable)
    options = ChangeOptions(model.job.tasks, command.seed, command.typo_rate)
    with open_pool(model.job, out) as pool:
        plan = RobustnessPlan(
            model.posts.default_questions,
            model.posts.filter.form,
            tried,
            options,
            pool.supported_questions,
            command.limit,
        )
        refuse_data_agreements(model.job, plan.questions)
        summary = answer_questions(
            pool, plan.questions, partial, journal_path(model.job, out), model.posts.name
        )
    outcome.questions[model.job.spec] = summary.questions
    if (partial / FAILED_REQUESTS_FILE).is_file():
        for request in read_records(partial / FAILED_REQUESTS_FILE, FailedRequest):
            outcome.failed.append(request.model_copy(update={"model": model.job.spec}))
    return plan


def _report(command: RobustnessCommand, models: list[_Model], outcome: RobustnessOutcome) -> RobustnessReport:
    resampling = Resampling(seed=command.seed, resamples=command.resamples)
    rate = f" (at a rate of {command.typo_rate:g})"
    described = {name: perturbation.help for name, perturbation in PERTURBATIONS.items()} | {
        "typos": PERTURBATIONS["typos"].help + rate,
        NEGATION: "made-up texts that state a symptom, and the same with the statement negated",
        SEED: "the posts as they are, asked of a model that was trained with another seed than the first",
    }
    flips, negation = outcome.scores(command.tasks, resampling)
    return RobustnessReport(
        models=command.models,
        data=command.data.name,
        forms={model.job.spec: model.posts.filter.form for model in models},
        seed=command.seed,
        typo_rate=command.typo_rate,
        limit=command.limit,
        minimal_pairs=load_minimal_pairs().version,
        resampling=resampling,
        perturbations={name: described[name] for name in command.selected},
        not_applicable={model.job.spec: model.not_applicable for model in models if model.not_applicable},
        flips=flips,
        negation=negation,
        questions=outcome.questions,
        failed=outcome.failures(),
    )


# The folder


def _finish(command: RobustnessCommand, out: Path, key: dict[str, Any], start: float) -> None:
    """Write the manifest, then delete the journals unless failed calls are still to be asked again."""
    report = read_record(out / ROBUSTNESS_FILE, RobustnessReport)
    outputs = tuple(digest_file(out / name, name) for name in OUTPUTS if (out / name).is_file())
    counts = {"questions": report.questions, "failed": report.failed}
    write_manifest(out, COMMAND, key, outputs, counts, time.monotonic() - start)
    if not report.failed:
        remove_journals(out)


def _failure_verdict(command: RobustnessCommand, out: Path) -> str | None:
    """The sentence for exit code 3, if more calls failed than is allowed."""
    report = read_record(out / ROBUSTNESS_FILE, RobustnessReport)
    failed = sum((Counter(reasons) for reasons in report.failed.values()), Counter[str]())
    allowed = command.settings.max_failed_share
    return too_many_failed(
        COMMAND, failed, sum(report.questions.values()), allowed, out / FAILED_REQUESTS_FILE
    )

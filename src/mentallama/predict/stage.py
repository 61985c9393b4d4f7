"""The predict stage, and how its analyst is opened, also for predictions without a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mentallama import __version__
from mentallama.analysts.base import AnalystSpec, InferenceOptions
from mentallama.analysts.registry import analyst_kind, open_analyst
from mentallama.config import Predict, Recipe
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.stage import Stage, require_files, spec_files
from mentallama.predict.analyst_pool import AnalystPool, local_pool
from mentallama.predict.questions import PostQuestions, QuestionSource, count_questions, labelled_questions
from mentallama.predict.run import PredictSummary, run
from mentallama.progress import log_to_stderr
from mentallama.records import Post
from mentallama.run_files import POSTS_PATH, PREDICT_SUMMARY_PATH, TRAIN_FOLDER
from mentallama.tasks import Task, load_tasks

JOURNAL_NAME = "predicted-{}.part.jsonl"
"""In the run's folder, or in that of the predictions: outside what is replaced whole, and by who answers and how."""

CACHE_EXCLUDED_SETTINGS = ("max_concurrency", "timeout", "max_batch_tokens")
"""Settings of how answers are got; they do not change them, and another try may go on with others."""


@dataclass(frozen=True)
class PredictJob:
    """Who answers, and how. `ray`: the address of a cluster, None for this machine."""

    spec: str
    settings: Predict
    tasks: Mapping[str, Task]
    ray: str | None = None

    @property
    def is_remote(self) -> bool:
        return analyst_kind(self.spec).remote

    @property
    def cached_settings(self) -> dict[str, Any]:
        """The settings that answers follow from."""
        left = {*CACHE_EXCLUDED_SETTINGS, "model", "splits", "allow_remote"}
        return self.settings.model_dump(mode="json", exclude=left)


def predict_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    return require_files(POSTS_PATH)(recipe, folder) | spec_files(analyst_spec(recipe, folder), "model")


def analyst_spec(recipe: Recipe, folder: Path) -> str:
    """The spec of the analyst that answers: the one that is named, or the one that this run has trained."""
    assert recipe.predict is not None
    kind = "linear" if recipe.train is None else recipe.train.analyst
    return recipe.predict.model or f"{kind}:{folder / TRAIN_FOLDER}"


def predict(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    settings = recipe.predict
    assert settings is not None
    job = PredictJob(analyst_spec(recipe, folder), settings, load_tasks(recipe.tasks), recipe.ray)

    def questions() -> Iterator[PostQuestions]:
        posts = (post for post in read_records(folder / POSTS_PATH, Post) if post.split in settings.splits)
        return labelled_questions(posts, recipe.form)

    refuse_data_agreements(job, questions)
    with open_pool(job) as crew:
        where = f"{folder / POSTS_PATH} ({' and '.join(settings.splits)})"
        return run(crew, questions, out, journal_path(job, folder), where).model_dump(mode="json")


def delete_journals(folder: Path) -> None:
    """The stage stands: the journals are no longer needed."""
    for path in folder.glob(JOURNAL_NAME.format("*")):
        path.unlink()


def predict_notes(folder: Path) -> Iterator[str]:
    """One line where the analyst has counted something."""
    summary = PredictSummary.model_validate(read_json(folder / PREDICT_SUMMARY_PATH))
    yield from summary_notes(summary)


def summary_notes(summary: PredictSummary) -> Iterator[str]:
    if summary.counts:
        told = ", ".join(
            f"{count} {name.replace('_', ' ')}" for name, count in sorted(summary.counts.items())
        )
        yield f"note: predict: {told}"


def refuse_data_agreements(job: PredictJob, questions: QuestionSource) -> None:
    """Refuse to send posts of sets with an agreement; `WrongUse` names them."""
    if job.is_remote:
        from mentallama.llm_api.data_agreements import refuse_posts_under_agreement

        real, allowed = count_questions(questions()).real_posts, job.settings.allow_remote
        instead = "choose other sets, or a model of this machine"
        refuse_posts_under_agreement(real, job.tasks, [job.spec], allowed, instead)


@contextmanager
def open_pool(job: PredictJob) -> Iterator[AnalystPool]:
    """Open the analyst, here or on the cluster."""
    if job.ray is None:
        yield local_pool(open_analyst(job.spec, inference_options(job)))
    elif job.is_remote:
        from mentallama.analysts.language_model.remote import RemoteAnalyst
        from mentallama.llm_api.transport.ray import ray_transport as sent_from

        where = AnalystSpec.parse(job.spec).location
        yield local_pool(
            RemoteAnalyst.load(where, inference_options(job), sending=sent_from(job.ray, log_to_stderr))
        )
    else:
        from mentallama.predict.ray_pool import ray_pool

        with ray_pool(job.ray, job.spec, inference_options(job), log_to_stderr) as crew:
            yield crew


def inference_options(job: PredictJob) -> InferenceOptions:
    """The settings as analysts take them."""
    names = {each.name for each in fields(InferenceOptions)} & set(Predict.model_fields)
    return InferenceOptions(
        **{name: getattr(job.settings, name) for name in names}, tasks=job.tasks, log=log_to_stderr
    )


def journal_path(job: PredictJob, folder: Path) -> Path:
    """The file of answers so far: another for every model, for other settings, tasks or versions.

    A model's files are known by place, size and time: they may be large, and are read when the analyst opens.
    """
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in spec_files(job.spec, "").values()
    ]
    tasks = [task.model_dump(mode="json") for task in job.tasks.values()]
    whole = json.dumps([job.spec, files, job.cached_settings, tasks, __version__])
    return folder / JOURNAL_NAME.format(hashlib.sha256(whole.encode()).hexdigest()[:16])


STAGE = Stage(
    name="predict",
    help="Have an analyst answer the questions about the posts.",
    inputs=predict_inputs,
    run=predict,
    cache_exclude=dict.fromkeys((*CACHE_EXCLUDED_SETTINGS, "allow_remote"), True),
    analyst_kinds=lambda recipe, folder: (AnalystSpec.parse(analyst_spec(recipe, folder)).kind,),
    notes=predict_notes,
    on_done=delete_journals,
)

"""Predict, as the runner sees it; and who answers, for the stage and for the command without a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mentallama import __version__
from mentallama.analysts.base import Asking
from mentallama.analysts.registry import open_analyst
from mentallama.config import Predict, Recipe
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.stage import POSTS, files_of, needs, tell
from mentallama.predict.analyst_pool import Crew, here
from mentallama.predict.questions import Asked, Questions, labelled, take_stock
from mentallama.predict.run import SUMMARY, PredictSummary, run
from mentallama.records import Post
from mentallama.tasks import Task, load_tasks

JOURNAL = "predicted-{}.part.jsonl"
"""In the run's folder, or in that of the predictions: outside what is replaced whole, and by who answers and how."""

OPEN_WAYS = ("in_flight", "timeout", "tokens_at_once")
"""Settings of how answers are got; they do not change them, and another try may go on with others."""


@dataclass(frozen=True)
class Job:
    """Who answers, and how. `ray`: the address of a cluster, None for this machine."""

    spec: str
    settings: Predict
    tasks: Mapping[str, Task]
    ray: str | None = None

    @property
    def remote(self) -> bool:
        return self.spec.startswith("remote:")

    @property
    def how(self) -> dict[str, Any]:
        """The settings that answers follow from."""
        left = {*OPEN_WAYS, "model", "splits", "allow_remote"}
        return self.settings.model_dump(mode="json", exclude=left)


def predict_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    return needs(POSTS)(recipe, folder) | files_of(model_of(recipe, folder), "model")


def model_of(recipe: Recipe, folder: Path) -> str:
    """The spec of the analyst that answers: the one that is named, or the one that this run has trained."""
    assert recipe.predict is not None
    kind = "linear" if recipe.train is None else recipe.train.analyst
    return recipe.predict.model or f"{kind}:{folder / 'train'}"


def predict(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    settings = recipe.predict
    assert settings is not None
    job = Job(model_of(recipe, folder), settings, load_tasks(recipe.tasks), recipe.ray)

    def questions() -> Iterator[Asked]:
        posts = (post for post in read_records(folder / POSTS, Post) if post.split in settings.splits)
        return labelled(posts, recipe.form)

    refuse(job, questions)
    with crew_of(job) as crew:
        where = f"{folder / POSTS} ({' and '.join(settings.splits)})"
        return run(crew, questions, out, journal_of(job, folder), where).model_dump(mode="json")


def predicted(folder: Path) -> None:
    """The stage stands: the journals are no longer needed."""
    for path in folder.glob(JOURNAL.format("*")):
        path.unlink()


def predict_notes(folder: Path) -> Iterator[str]:
    """One line where the analyst has counted something."""
    summary = PredictSummary.model_validate(read_json(folder / "predict" / SUMMARY))
    yield from notes_of(summary)


def notes_of(summary: PredictSummary) -> Iterator[str]:
    if summary.counts:
        told = ", ".join(
            f"{count} {name.replace('_', ' ')}" for name, count in sorted(summary.counts.items())
        )
        yield f"note: predict: {told}"


def refuse(job: Job, questions: Questions) -> None:
    """Refuse to send posts of sets with an agreement; `WrongUse` names them."""
    if job.remote:
        from mentallama.llm_api.data_agreements import refuse_agreements

        real, allowed = take_stock(questions()).real, job.settings.allow_remote
        instead = "choose other sets, or a model of this machine"
        refuse_agreements(real, job.tasks, [job.spec], allowed, instead)


@contextmanager
def crew_of(job: Job) -> Iterator[Crew]:
    """Open the analyst, here or on the cluster."""
    if job.ray is None:
        yield here(open_analyst(job.spec, asking_of(job)))
    elif job.remote:
        from mentallama.analysts.language_model.remote import RemoteAnalyst
        from mentallama.llm_api.transport.ray import on_ray as sent_from

        where = job.spec.partition(":")[2]
        yield here(RemoteAnalyst.load(where, asking_of(job), sending=sent_from(job.ray, tell)))
    else:
        from mentallama.predict.ray_pool import on_ray

        with on_ray(job.ray, job.spec, asking_of(job), tell) as crew:
            yield crew


def asking_of(job: Job) -> Asking:
    """The settings as analysts take them."""
    names = {each.name for each in fields(Asking)} & set(Predict.model_fields)
    return Asking(**{name: getattr(job.settings, name) for name in names}, tasks=job.tasks, say=tell)


def journal_of(job: Job, folder: Path) -> Path:
    """The file of answers so far: another for every model, for other settings, tasks or versions.

    A model's files are known by place, size and time: they may be large, and are read when the analyst opens.
    """
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(job.spec, "").values()
    ]
    tasks = [task.model_dump(mode="json") for task in job.tasks.values()]
    whole = json.dumps([job.spec, files, job.how, tasks, __version__])
    return folder / JOURNAL.format(hashlib.sha256(whole.encode()).hexdigest()[:16])

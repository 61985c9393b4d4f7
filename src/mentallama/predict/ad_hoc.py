"""Predict without a recipe: any model on any posts, into a folder of its own.

    mentallama predict --model SPEC --data PATH --out DIR

Writes what the stage writes, and `questions.jsonl.zst`: of each prediction, the post and the question. Where the posts
are the published release, `responses/SET.csv` as well, for `mentallama evaluate --benchmark`. The manifest comes last:
a folder without one is not finished, and the same command goes on.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.checkpoints.metadata import form_of
from mentallama.config import Predict
from mentallama.errors import WrongUse
from mentallama.files.manifest import NAME, Manifest, mark, peak_memory_mb, read_manifest, versions
from mentallama.files.record_files import read_json, write_text, writing
from mentallama.pipeline.stage import Say, files_of
from mentallama.predict.analyst_pool import Crew
from mentallama.predict.imhi_output import FOLDER, write_responses
from mentallama.predict.post_sources import Data, Wanted, open_data
from mentallama.predict.questions import QUESTIONS, QuestionRow, Questions, answerable
from mentallama.predict.run import PREDICTIONS, SUMMARY, PredictSummary, run
from mentallama.predict.stage import JOURNAL, Job, crew_of, journal_of, notes_of, predicted, refuse
from mentallama.records import FORMS


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line; `form` None: the model's own."""

    job: Job
    data: Path
    sets: tuple[str, ...] = ()
    form: str | None = None
    every: bool = False


def answer(order: Order, out: Path, say: Say) -> PredictSummary:
    """Answer, or see that it was done before.

    Raises
    ------
    WrongUse
        `out` holds something else, or what was ordered does not exist.
    """
    from mentallama.pipeline.runner import alone

    data = open_data(order.data, _wanted(order))
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        cause = _cause(order, data)
        if _stands(out, cause):
            say("predict: up to date")
            predicted(out)
        else:
            _work(order, data, out, cause)
            say(f"predict: done in {_manifest(out).seconds:.1f} s")
        summary = PredictSummary.model_validate(read_json(out / SUMMARY))
        for line in notes_of(summary):
            say(line)
        if without := sum(row.example_id is None for row in data.rows):
            say(f"note: predict: {without} rows hold no post (empty or damaged text) and have no answer")
    return summary


def settings_of(given: dict[str, Any]) -> Predict:
    """Settings from options; `WrongUse` names the options at fault."""
    try:
        return Predict.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as found:
        told = (
            f"{_option(error['loc'])}: {error['msg'].removeprefix('Value error, ')}"
            for error in found.errors()
        )
        raise WrongUse("; ".join(dict.fromkeys(told))) from None


def _option(place: tuple[int | str, ...]) -> str:
    """A setting as the command line spells it."""
    name = str(place[0])
    return "--split" if name == "splits" else f"--{name.replace('_', '-')}"


def _wanted(order: Order) -> Wanted:
    tasks = order.job.tasks
    named = {"--sets": order.sets, "--allow-remote": order.job.settings.allow_remote}
    for option, names in named.items():
        unknown = [name for name in names if name not in tasks]
        if unknown:
            raise WrongUse(f"{option} {unknown[0]}: there is no such set; there are {', '.join(tasks)}")
    form = next((each for each in FORMS if each == order.form), None)
    if order.form is not None and form is None:
        raise WrongUse(f"--form {order.form}: there are {' and '.join(FORMS)}")
    return Wanted(form or form_of(order.job.spec), order.job.settings.splits, order.sets, tasks, order.every)


def _cause(order: Order, data: Data) -> dict[str, Any]:
    """All that the predictions follow from."""
    tasks = json.dumps([task.model_dump(mode="json") for task in order.job.tasks.values()])
    wanted = {"form": data.wanted.form, "splits": data.wanted.splits, "sets": order.sets, "all": order.every}
    inputs = data.files | files_of(order.job.spec, "model")
    cause = {
        "settings": {"model": order.job.spec, **wanted, **order.job.how},
        "tasks": hashlib.sha256(tasks.encode()).hexdigest(),
        "versions": versions(order.job.spec.partition(":")[0]),
        "inputs": [mark(path, shown).model_dump() for shown, path in inputs.items()],
    }
    return dict(json.loads(json.dumps(cause)))


def _stands(out: Path, cause: dict[str, Any]) -> bool:
    """Whether the folder holds these predictions unharmed; refuses one that holds anything else."""
    manifest = read_manifest(out)
    if manifest is None:
        ours = {NAME, PREDICTIONS, SUMMARY, QUESTIONS, FOLDER}
        left = [
            path.name for path in sorted(out.iterdir())
            if path.name not in ours and not path.name.startswith(".") and not path.match(JOURNAL.format("*"))
        ]  # fmt: skip
        if left:
            raise WrongUse(
                f"{out}: this folder holds other things, as {left[0]}; name one of its own with --out"
            )
        return False
    if manifest.cause != cause:
        raise WrongUse(
            f"{out}: this folder holds results of another model, other data, settings or versions; name another with "
            "--out, or delete it"
        )
    return all(
        (out / each.name).is_file() and mark(out / each.name, each.name) == each for each in manifest.outputs
    )


def _manifest(out: Path) -> Manifest:
    manifest = read_manifest(out)
    assert manifest is not None
    return manifest


def _work(order: Order, data: Data, out: Path, cause: dict[str, Any]) -> None:
    start, job = time.monotonic(), order.job
    (out / NAME).unlink(missing_ok=True)
    rmtree(out / FOLDER, ignore_errors=True)
    refuse(job, data.questions())
    with crew_of(job) as crew:
        questions = data.questions(crew.tasks)
        summary = run(crew, questions, out, journal_of(job, out), data.name)
        _write_questions(out / QUESTIONS, questions, crew)
    write_responses(out, out / PREDICTIONS, data.rows, job.tasks, data.wanted.form)
    written = [out / name for name in (PREDICTIONS, QUESTIONS, SUMMARY)] + sorted(
        (out / FOLDER).glob("*.csv")
    )
    manifest = Manifest(
        stage="predict",
        cause=cause,
        outputs=tuple(mark(path, path.relative_to(out).as_posix()) for path in written),
        counts=summary.model_dump(mode="json"),
        seconds=round(time.monotonic() - start, 2),
        peak_memory_mb=peak_memory_mb(),
    )
    write_text(out / NAME, manifest.model_dump_json(indent=2) + "\n")
    predicted(out)


def _write_questions(path: Path, questions: Questions, crew: Crew) -> None:
    with writing(path) as write:
        for asked in questions():
            post = asked.post
            for example in answerable(asked, crew.tasks).examples:
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

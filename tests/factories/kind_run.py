"""The folder of a run over synthetic posts of the kinds of answer that are more than one label of a list."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from mentallama.files.record_files import write_records
from mentallama.records import Example, Prediction, Reading, example_of
from mentallama.run_files import POSTS_PATH, PREDICTIONS_PATH
from mentallama.tasks import Task
from tests.factories.answer_kinds import task_of_kind
from tests.factories.kind_posts import posts_of_kind

KINDS = ("ordinal", "multi", "spans", "scale")
OUTCOMES = ("unparsed", "refused", "truncated")


def kind_tasks() -> dict[str, Task]:
    """A task of each of `KINDS`, the scale with bands."""
    changes = {"multi": {"high_risk_label": "low mood"}, "scale": {"bands": {"low": 0, "high": 3}}}
    tasks = [task_of_kind(kind, **changes.get(kind, {})) for kind in KINDS]
    return {task.set: task for task in tasks}


def make_kind_run(run: Path, seed: int = 0, right: float = 0.6) -> dict[str, Task]:
    """Write posts, and predictions of which a share of `right` are the gold answers; returns the tasks."""
    tasks, draw = kind_tasks(), random.Random(seed)
    posts = [post for task in tasks.values() for post in posts_of_kind(task)]
    write_records(run / POSTS_PATH, posts)
    tested = [example_of(post, "about", "instruction") for post in posts if post.split == "test"]
    write_records(run / PREDICTIONS_PATH, _predictions(tested, draw, right))
    return tasks


def _predictions(examples: list[Example], draw: random.Random, right: float) -> Iterator[Prediction]:
    """Gold answers, those of other posts of the set, and some without a label."""
    for example in examples:
        answer = example.label if draw.random() < right else draw.choice(_labels(examples, example.task))
        reading = Reading(status="parsed", label=answer, explanation="Made up.")
        if draw.random() < 0.1:
            reading = Reading.model_validate({"status": draw.choice(OUTCOMES), "reason": "made up"})
        yield Prediction(example_id=example.id, reading=reading, model="scripted")


def _labels(examples: list[Example], name: str) -> list[str]:
    return [example.label or "none" for example in examples if example.task == name]

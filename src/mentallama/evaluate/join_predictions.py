"""Join predictions with the labelled test rows they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.errors import DataError
from mentallama.evaluate.score_row import ScoredRow, score_row
from mentallama.files.record_files import read_records
from mentallama.records import Example, Form, Post, Prediction, Split, example_of
from mentallama.tasks import Task


@dataclass
class JoinedPredictions:
    """Scored rows by set, and everything that found no partner."""

    rows: dict[str, list[ScoredRow]] = field(default_factory=dict)
    missing_rows: dict[str, list[str]] = field(default_factory=dict)
    unlabelled: dict[str, int] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    models: set[str] = field(default_factory=set)


def join_predictions(
    posts: Path, predictions: Path, form: Form, tasks: Mapping[str, Task]
) -> JoinedPredictions:
    """Score each labelled test row of `posts` that has a prediction; list the others.

    Raises
    ------
    BadData
        Two predictions of one example, a post of an unknown set, or a label the task does not have.
    """
    waiting = _predictions_by_example(predictions)
    joined = JoinedPredictions(models={prediction.model for _, prediction in waiting.values()})
    for split, example in iter_examples(posts, form, tasks):
        number, prediction = waiting.pop(example.id, (0, None))
        if split != "test":
            continue  # predictions of other splits have their place, but no score
        if example.label is None:
            joined.unlabelled[example.task] = joined.unlabelled.get(example.task, 0) + 1
        elif prediction is None:
            joined.missing_rows.setdefault(example.task, []).append(example.id)
        else:
            _check_labels(prediction, tasks[example.task], predictions, number)
            row = score_row(example, prediction.reading, prediction.probabilities)
            joined.rows.setdefault(example.task, []).append(row)
    joined.unused = list(waiting)
    return joined


def iter_examples(posts: Path, form: Form, tasks: Mapping[str, Task]) -> Iterator[tuple[Split, Example]]:
    """Every question of every post, with the post's split.

    Raises
    ------
    BadData
        A post's set is not in the catalogue, or its label is none of the task's.
    """
    for number, post in enumerate(read_records(posts, Post), 1):
        task = tasks.get(post.set)
        if task is None:
            raise DataError(f"no task is called {post.set!r}", posts, number)
        for question in task.questions:
            example = example_of(post, question, form)
            if example.label is not None and example.label not in task.labels:
                raise DataError(f"{example.label!r} is not a label of {task.set}", posts, number)
            yield post.split, example


def _predictions_by_example(predictions: Path) -> dict[str, tuple[int, Prediction]]:
    found: dict[str, tuple[int, Prediction]] = {}
    for number, prediction in enumerate(read_records(predictions, Prediction), 1):
        if prediction.example_id in found:
            first = found[prediction.example_id][0]
            what = f"a second prediction of one example; the first is in row {first}"
            raise DataError(what, predictions, number)
        # Explanations are not scored here: they would fill the memory on a large set.
        reading = prediction.reading.model_copy(update={"explanation": ""})
        lean = prediction.model_copy(update={"reading": reading, "evidence": ()})
        found[prediction.example_id] = (number, lean)
    return found


def _check_labels(prediction: Prediction, task: Task, file: Path, number: int) -> None:
    named = {*prediction.probabilities, *([prediction.reading.label] if prediction.reading.label else [])}
    unknown = sorted(named - set(task.labels))
    if unknown:
        raise DataError(f"a label that {task.set} does not have: {unknown}", file, number)

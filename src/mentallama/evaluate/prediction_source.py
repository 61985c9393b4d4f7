"""The rows that are scored: questions about posts with their labels, and predictions of an analyst or a teacher."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError
from mentallama.evaluate.kinds.given_answers import is_answer, shown_label
from mentallama.evaluate.kinds.token_positions import gold_positions
from mentallama.files.record_files import has_string, is_about, read_json, read_numbered_records
from mentallama.records import Example, Form, Post, Prediction, Response, SampleSize, Split, example_of
from mentallama.tasks import Task


def iter_examples(posts: Path, form: Form, tasks: Mapping[str, Task]) -> Iterator[tuple[Split, Example]]:
    """Yield every question of every post, with the post's split.

    Raises
    ------
    DataError
        A post's set is not in the catalogue, or its label is not one of the task's.
    """
    for post, example in iter_questions(posts, form, tasks):
        yield post.split, example


def iter_questions(
    posts: Path, form: Form, tasks: Mapping[str, Task], name: str | None = None
) -> Iterator[tuple[Post, Example]]:
    """Yield every question of every post with its post; of all sets, or of the one named.

    Raises
    ------
    DataError
        As for `iter_examples`.
    """
    may_matter = None if name is None else has_string(name)
    for number, post in read_numbered_records(posts, Post, may_matter):
        if name is not None and post.set != name:
            continue
        task = tasks.get(post.set)
        if task is None:
            problem = (
                f"there is no task named {post.set!r}; the folder of your own tasks is given with --tasks"
            )
            raise DataError(problem, posts, number)
        for question in task.questions:
            example = example_of(post, question, form)
            if example.label is not None and (fault := _label_problem(task, example.label, post.text)):
                raise DataError(fault, posts, number)
            yield post, example


def _label_problem(task: Task, label: str, text: str) -> str | None:
    """Why a gold answer is none of the task, or not about the text; None if it is."""
    if not is_answer(task, label):
        return f"{shown_label(task, label)} is not a label of {task.set}"
    try:
        if task.kind == "spans":
            gold_positions(task, text, label)
    except ValueError as fault:
        return str(fault)
    return None


class ReadPredictions(Protocol):
    """Reads predictions, each with the row of the file that it stands in."""

    def __call__(self, asked: Container[str] | None = None) -> Iterator[tuple[int, Prediction]]:
        """The predictions for the examples `asked`, and maybe others; all of them where it is None."""


@dataclass(frozen=True)
class PredictionSource:
    """Predictions by the row of the file that they stand in.

    `samples`: the sets of whose test rows only a random sample was asked.
    """

    file: Path
    read: ReadPredictions
    samples: Mapping[str, SampleSize] = field(default_factory=dict)


def analyst_predictions(file: Path, summary: Path | None = None) -> PredictionSource:
    """The predictions of the stage predict; its summary tells of samples, None: there are none."""
    sampled = {} if summary is None else read_json(summary)["sampled"].get("test", {})
    samples = {name: SampleSize.model_validate(size) for name, size in sampled.items()}

    def read(asked: Container[str] | None = None) -> Iterator[tuple[int, Prediction]]:
        return read_numbered_records(file, Prediction, None if asked is None else is_about(asked))

    return PredictionSource(file, read, samples)


def teacher_answers(file: Path, posts: Path, form: Form, tasks: Mapping[str, Task]) -> PredictionSource:
    """The responses of the stage teach, each read as a model's answer is.

    Responses about posts that are not among `posts` (any more) are left out.
    """

    def read(asked: Container[str] | None = None) -> Iterator[tuple[int, Prediction]]:
        set_by_example = {example.id: example.task for _, example in iter_examples(posts, form, tasks)}
        may_matter = None if asked is None else is_about(asked)
        for number, response in read_numbered_records(file, Response, may_matter):
            if response.example_id in set_by_example:
                task = tasks[set_by_example[response.example_id]]
                reading = read_answer(task, response.text, form, response.finish_reason)
                yield (
                    number,
                    Prediction(example_id=response.example_id, reading=reading, model=response.model),
                )

    return PredictionSource(file, read)

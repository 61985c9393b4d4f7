"""Predictions to score: those of an analyst, or the answers of a teacher that was not given the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.evaluate.examples import iter_examples
from mentallama.files.record_files import read_records
from mentallama.records import Form, Prediction, Response
from mentallama.tasks import Task


@dataclass(frozen=True)
class PredictionSource:
    """Predictions by the row of the file that they stand in."""

    file: Path
    read: Callable[[], Iterator[tuple[int, Prediction]]]


def analyst_predictions(file: Path) -> PredictionSource:
    """The predictions of the stage predict."""
    return PredictionSource(file, lambda: enumerate(read_records(file, Prediction), 1))


def teacher_answers(file: Path, posts: Path, form: Form, tasks: Mapping[str, Task]) -> PredictionSource:
    """The responses of the stage teach, each read as a model's answer is.

    Responses about posts that are not among `posts` (any more) are left out.
    """

    def read() -> Iterator[tuple[int, Prediction]]:
        set_by_example = {example.id: example.task for _, example in iter_examples(posts, form, tasks)}
        for number, response in enumerate(read_records(file, Response), 1):
            if response.example_id in set_by_example:
                task = tasks[set_by_example[response.example_id]]
                reading = read_answer(task, response.text, form, response.finish_reason)
                yield (
                    number,
                    Prediction(example_id=response.example_id, reading=reading, model=response.model),
                )

    return PredictionSource(file, read)

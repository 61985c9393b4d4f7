"""A second reading of answers: the label that a trained reader tells from the explanation alone.

It says two things that the answer's own label does not: whether an explanation stands for the label that it is given
for, and how good the labels would be that the explanations alone give away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.analysts.registry import LabelReader
from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import without_answer
from mentallama.errors import WrongUse
from mentallama.evaluate.join_predictions import examples_of
from mentallama.evaluate.published_reader import Answered
from mentallama.evaluate.score_row import ScoredRow
from mentallama.files.record_files import read_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.classification import measure
from mentallama.records import Example, Form, Prediction, Reading, Record
from mentallama.tasks import Task


class FromExplanations(Record):
    """One set's explanations, as the reader sees them; weighted F1 in percent.

    `rows` are the answers that name a label, to questions that the reader knows; `told` of them have an explanation
    that holds more than the answer. Where nothing is told, the reader is wrong.
    """

    rows: int
    told: int
    of_answers: float
    """Against the labels of the answers: whether explanations stand for them."""
    of_gold: float
    """Against the set's own labels."""


@dataclass(frozen=True)
class Explained:
    """A labelled test row and what a model answered."""

    example: Example
    reading: Reading


def explained_predictions(
    posts: Path, predictions: Path, form: Form, tasks: Mapping[str, Task]
) -> Iterator[Explained]:
    """The labelled test rows that have a prediction."""
    asked = {
        example.id: example
        for split, example in examples_of(posts, form, tasks)
        if split == "test" and example.label is not None
    }
    for prediction in read_records(predictions, Prediction):
        if prediction.example_id in asked:
            yield Explained(asked[prediction.example_id], prediction.reading)


def explained_responses(
    answers: Mapping[str, Iterable[Answered]], tasks: Mapping[str, Task]
) -> Iterator[Explained]:
    """The benchmark's rows with the outputs that answer them."""
    for name, answered in answers.items():
        for each in answered:
            reading = read_answer(tasks[name], each.output, each.example.form)
            yield Explained(each.example, reading)


def read_explanations(
    explained: Iterable[Explained], reader: LabelReader, tasks: Mapping[str, Task], resampling: Resampling
) -> dict[str, FromExplanations]:
    """Have the reader tell the label of each explanation; by set, in the catalogue's order.

    Raises
    ------
    WrongUse
        The reader has seen a post of these rows: what it says of them would be worth nothing.
    """
    by_question: dict[tuple[str, str], list[Explained]] = defaultdict(list)
    for each in explained:
        if seen_hash(each.example.text) in reader.seen:
            raise WrongUse(
                f"{reader.name} has seen test posts of {each.example.task}, and cannot judge explanations of them; "
                "train it on a run with collect.leak_guard: run"
            )
        name, question = each.example.task, each.example.question
        if each.reading.status == "read" and reader.answers(tasks[name], question):
            by_question[name, question].append(each)
    told: dict[str, list[tuple[Explained, str | None]]] = defaultdict(list)
    for (name, question), own in by_question.items():
        told[name] += zip(own, _told(own, reader, tasks[name], question), strict=True)
    return {name: _compared(told[name], task, resampling) for name, task in tasks.items() if told[name]}


def _told(own: list[Explained], reader: LabelReader, task: Task, question: str) -> Iterator[str | None]:
    """The likeliest label of each explanation; None where it holds nothing but its answer."""
    texts = [without_answer(task, each.reading.explanation) for each in own]
    shares = iter(reader.read(task, question, [text for text in texts if text]))
    for text in texts:
        found = next(shares) if text else {}
        yield max(found, key=found.__getitem__, default=None)


def _compared(
    pairs: list[tuple[Explained, str | None]], task: Task, resampling: Resampling
) -> FromExplanations:
    against = [
        [_row(each.example, str(label), told) for (each, told), label in zip(pairs, labels, strict=True)]
        for labels in ([each.reading.label for each, _ in pairs], [each.example.label for each, _ in pairs])
    ]
    of_answers, of_gold = (measure(rows, task, resampling).weighted_f1 for rows in against)
    return FromExplanations(
        rows=len(pairs),
        told=sum(told is not None for _, told in pairs),
        of_answers=of_answers,
        of_gold=of_gold,
    )


def _row(example: Example, gold: str, told: str | None) -> ScoredRow:
    return ScoredRow(
        example_id=example.id,
        set=example.task,
        question=example.question,
        post_id=example.post_id,
        gold=gold,
        status="unread" if told is None else "read",
        predicted=told,
    )

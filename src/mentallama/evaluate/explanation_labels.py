"""A second reading of answers: the label that a trained reader tells from the explanation alone.

It says two things that the answer's own label does not: whether an explanation stands for the label that it is given
for, and how good the labels would be that the explanations alone give away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.analysts.base import LabelReader
from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import strip_label
from mentallama.errors import UsageError
from mentallama.evaluate.join_predictions import iter_examples
from mentallama.evaluate.published_reader import ScoredOutput
from mentallama.evaluate.score_row import ScoredRow
from mentallama.files.record_files import read_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.classification import compute_scores
from mentallama.records import Example, Form, Prediction, Reading, Record
from mentallama.tasks import Task


class ExplanationScores(Record):
    """One set's explanations, as the reader sees them; weighted F1 in percent.

    `rows` are the answers that name a label, to questions that the reader knows; `told` of them have an explanation
    that holds more than the answer. Where nothing is told, the reader is wrong.
    """

    rows: int
    n_predicted: int
    f1_against_answers: float
    """Against the labels of the answers: whether explanations stand for them."""
    f1_against_gold: float
    """Against the set's own labels."""


@dataclass(frozen=True)
class AnsweredExample:
    """A labelled test row and what a model answered."""

    example: Example
    reading: Reading


def answered_from_predictions(
    posts: Path, predictions: Path, form: Form, tasks: Mapping[str, Task]
) -> Iterator[AnsweredExample]:
    """The labelled test rows that have a prediction."""
    asked = {
        example.id: example
        for split, example in iter_examples(posts, form, tasks)
        if split == "test" and example.label is not None
    }
    for prediction in read_records(predictions, Prediction):
        if prediction.example_id in asked:
            yield AnsweredExample(asked[prediction.example_id], prediction.reading)


def answered_from_outputs(
    answers: Mapping[str, Iterable[ScoredOutput]], tasks: Mapping[str, Task]
) -> Iterator[AnsweredExample]:
    """The benchmark's rows with the outputs that answer them."""
    for name, answered in answers.items():
        for each in answered:
            reading = read_answer(tasks[name], each.output, each.example.form)
            yield AnsweredExample(each.example, reading)


def score_explanations(
    explained: Iterable[AnsweredExample],
    reader: LabelReader,
    tasks: Mapping[str, Task],
    resampling: Resampling,
) -> dict[str, ExplanationScores]:
    """Have the reader tell the label of each explanation; by set, in the catalogue's order.

    Raises
    ------
    WrongUse
        The reader has seen a post of these rows: what it says of them would be worth nothing.
    """
    by_question: dict[tuple[str, str], list[AnsweredExample]] = defaultdict(list)
    for each in explained:
        if seen_hash(each.example.text) in reader.seen:
            raise UsageError(
                f"{reader.name} has seen test posts of {each.example.task}, and cannot judge explanations of them; "
                "train it on a run with collect.leak_guard: run"
            )
        name, question = each.example.task, each.example.question
        if each.reading.status == "parsed" and reader.supports(tasks[name], question):
            by_question[name, question].append(each)
    told: dict[str, list[tuple[AnsweredExample, str | None]]] = defaultdict(list)
    for (name, question), own in by_question.items():
        told[name] += zip(own, _predict_labels(own, reader, tasks[name], question), strict=True)
    return {
        name: _explanation_scores(told[name], task, resampling) for name, task in tasks.items() if told[name]
    }


def _predict_labels(
    own: list[AnsweredExample], reader: LabelReader, task: Task, question: str
) -> Iterator[str | None]:
    """The likeliest label of each explanation; None where it holds nothing but its answer."""
    texts = [strip_label(task, each.reading.explanation) for each in own]
    shares = iter(reader.label_probabilities(task, question, [text for text in texts if text]))
    for text in texts:
        found = next(shares) if text else {}
        yield max(found, key=found.__getitem__, default=None)


def _explanation_scores(
    pairs: list[tuple[AnsweredExample, str | None]], task: Task, resampling: Resampling
) -> ExplanationScores:
    against = [
        [
            _scored_row(each.example, str(label), told)
            for (each, told), label in zip(pairs, labels, strict=True)
        ]
        for labels in ([each.reading.label for each, _ in pairs], [each.example.label for each, _ in pairs])
    ]
    of_answers, of_gold = (compute_scores(rows, task, resampling).weighted_f1 for rows in against)
    return ExplanationScores(
        rows=len(pairs),
        n_predicted=sum(told is not None for _, told in pairs),
        f1_against_answers=of_answers,
        f1_against_gold=of_gold,
    )


def _scored_row(example: Example, gold: str, told: str | None) -> ScoredRow:
    return ScoredRow(
        example_id=example.id,
        set=example.task,
        question=example.question,
        post_id=example.post_id,
        gold=gold,
        status="unparsed" if told is None else "parsed",
        predicted=told,
    )

"""Labels predicted from explanations alone, by a trained label reader.

They measure two things that the labels of the answers do not: whether an explanation supports the label that it is
given for, and how accurate the labels are that the explanations alone imply.
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
from mentallama.evaluate.prediction_source import PredictionSource, iter_examples
from mentallama.evaluate.published.reader import ScoredOutput
from mentallama.evaluate.scores import ScoredRow, compute_scores
from mentallama.metrics.bootstrap import Resampling
from mentallama.progress import progress_bar
from mentallama.records import Example, Form, Reading, Record
from mentallama.tasks import Task


class ExplanationScores(Record):
    """Scores of one set's explanations; weighted F1 in percent.

    `rows` counts parsed answers to questions that the label reader supports. `n_predicted` of them have an explanation
    that says more than the answer; for the others no label is predicted, which counts as wrong.
    """

    rows: int
    n_predicted: int
    f1_against_answers: float
    """Against the labels of the answers: whether the explanations support them."""
    f1_against_gold: float
    """Against the gold labels."""


@dataclass(frozen=True)
class AnsweredExample:
    """A labelled test row and a model's answer to it."""

    example: Example
    reading: Reading


def iter_answered_predictions(
    posts: Path, predictions: PredictionSource, form: Form, tasks: Mapping[str, Task]
) -> Iterator[AnsweredExample]:
    """Yield the labelled test rows that have a prediction."""
    examples = {
        example.id: example
        for split, example in iter_examples(posts, form, tasks)
        if split == "test" and example.label is not None
    }
    for _, prediction in predictions.read():
        if prediction.example_id in examples:
            yield AnsweredExample(examples[prediction.example_id], prediction.reading)


def iter_answered_outputs(
    outputs: Mapping[str, Iterable[ScoredOutput]], tasks: Mapping[str, Task]
) -> Iterator[AnsweredExample]:
    """Yield the benchmark's rows with the model outputs that answer them, given by set."""
    for name, rows in outputs.items():
        for row in rows:
            yield AnsweredExample(row.example, read_answer(tasks[name], row.output, row.example.form))


def score_explanation_labels(
    answered: Iterable[AnsweredExample],
    reader: LabelReader,
    tasks: Mapping[str, Task],
    resampling: Resampling,
) -> dict[str, ExplanationScores]:
    """Predict the label of each explanation and score the predictions; by set, in the catalogue's order.

    Raises
    ------
    UsageError
        The reader was trained on one of these posts, so its predictions would prove nothing.
    """
    by_question: dict[tuple[str, str], list[AnsweredExample]] = defaultdict(list)
    for row in answered:
        name, question = row.example.task, row.example.question
        if seen_hash(row.example.text) in reader.seen:
            raise UsageError(
                f"{reader.name} was trained on test posts of {name}, so it cannot judge explanations of them; "
                "train it on a run with collect.leak_guard: run"
            )
        if row.reading.status == "parsed" and reader.supports(tasks[name], question):
            by_question[name, question].append(row)
    predicted: dict[str, list[tuple[AnsweredExample, str | None]]] = defaultdict(list)
    n_rows = sum(map(len, by_question.values()))
    with progress_bar("evaluate: read explanations", n_rows, unit="explanations") as advance:
        for (name, question), rows in by_question.items():
            predicted[name] += zip(rows, _predict_labels(rows, reader, tasks[name], question), strict=True)
            advance(len(rows))
    return {
        name: _explanation_scores(predicted[name], task, resampling)
        for name, task in tasks.items()
        if predicted[name]
    }


def _predict_labels(
    rows: list[AnsweredExample], reader: LabelReader, task: Task, question: str
) -> Iterator[str | None]:
    """Yield the most probable label of each explanation; None if the explanation holds nothing but the answer."""
    texts = [strip_label(task, row.reading.explanation) for row in rows]
    probabilities = iter(reader.label_probabilities(task, question, [text for text in texts if text]))
    for text in texts:
        by_label = next(probabilities) if text else {}
        yield max(by_label, key=by_label.__getitem__, default=None)


def _explanation_scores(
    pairs: list[tuple[AnsweredExample, str | None]], task: Task, resampling: Resampling
) -> ExplanationScores:
    def f1_against(labels: Iterable[str | None]) -> float:
        rows = [
            _scored_row(row.example, str(label), predicted)
            for (row, predicted), label in zip(pairs, labels, strict=True)
        ]
        return compute_scores(rows, task, resampling).weighted_f1

    return ExplanationScores(
        rows=len(pairs),
        n_predicted=sum(predicted is not None for _, predicted in pairs),
        f1_against_answers=f1_against(row.reading.label for row, _ in pairs),
        f1_against_gold=f1_against(row.example.label for row, _ in pairs),
    )


def _scored_row(example: Example, gold: str, predicted: str | None) -> ScoredRow:
    return ScoredRow(
        example_id=example.id,
        set=example.task,
        question=example.question,
        post_id=example.post_id,
        gold=gold,
        status="unparsed" if predicted is None else "parsed",
        predicted=predicted,
    )

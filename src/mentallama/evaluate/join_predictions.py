"""Join predictions with the labelled test rows that they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.analysts.answer_parts import labels_by_head
from mentallama.analysts.majority import LabelCounts
from mentallama.errors import DataError
from mentallama.evaluate.kinds.given_answers import is_answer, shown_label
from mentallama.evaluate.kinds.part_counts import class_names
from mentallama.evaluate.prediction_source import PredictionSource, iter_examples
from mentallama.evaluate.scores import ScoredRow, score_row
from mentallama.files.record_files import read_records
from mentallama.records import Form, Prediction, UpstreamLabels
from mentallama.tasks import Task
from mentallama.text.fingerprint import key_hash, synthetic_post_hashes, text_key


@dataclass
class JoinedPredictions:
    """Scored test rows by set, and everything without a counterpart.

    `validation`: scored rows of the validation split, by set, where every labelled one has a prediction.
    `missing_rows`: ids of labelled test rows without a prediction, by set. `unlabelled`: number of test rows without a
    label, by set. `synthetic`: number of scored rows about synthetic posts, by set. `unused`: ids of predictions that
    match no row. `models`: names of the models that predicted. `training_labels`: labels of the training rows.
    """

    rows: dict[str, list[ScoredRow]] = field(default_factory=dict)
    validation: dict[str, list[ScoredRow]] = field(default_factory=dict)
    missing_rows: dict[str, list[str]] = field(default_factory=dict)
    unlabelled: Counter[str] = field(default_factory=Counter)
    synthetic: Counter[str] = field(default_factory=Counter)
    unused: list[str] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    training_labels: LabelCounts = field(default_factory=LabelCounts)


def join_predictions(
    posts: Path, predictions: PredictionSource, form: Form, tasks: Mapping[str, Task]
) -> JoinedPredictions:
    """Score each labelled test row of `posts` that has a prediction, and list the rows and predictions without a match.

    Raises
    ------
    DataError
        Two predictions of one example, a post of an unknown set, or a label the task does not have.
    """
    unmatched = _predictions_by_example(predictions)
    joined = JoinedPredictions(models={prediction.model for _, prediction in unmatched.values()})
    synthetic_hashes = synthetic_post_hashes()
    training_rows: list[tuple[str, str, str]] = []
    scored = {"test": joined.rows, "validation": joined.validation}
    missing: dict[str, dict[str, list[str]]] = {"test": joined.missing_rows, "validation": {}}
    for split, example in iter_examples(posts, form, tasks):
        number, prediction = unmatched.pop(example.id, (0, None))
        if split == "train" and example.label is not None:
            levels = labels_by_head(tasks[example.task], {example.question: example.label})
            training_rows += [(example.task, head, level) for head, level in levels.items()]
        if split == "train":
            continue  # a prediction about a training post has no score, but does not count as unused either
        if example.label is None:
            joined.unlabelled[example.task] += split == "test"
        elif prediction is None:
            missing[split].setdefault(example.task, []).append(example.id)
        else:
            task = tasks[example.task]
            _check_labels(prediction, task, predictions.file, number)
            row = score_row(example, prediction.reading, prediction.probabilities, task)
            scored[split].setdefault(example.task, []).append(row)
            if split == "test":
                joined.synthetic[example.task] += key_hash(text_key(example.text)) in synthetic_hashes
    for name in missing["validation"]:
        joined.validation.pop(name, None)
    joined.unused = list(unmatched)
    joined.training_labels = LabelCounts.of_rows(training_rows)
    return joined


def read_upstream_labels(file: Path, tasks: Mapping[str, Task]) -> dict[tuple[str, str], str]:
    """The upstream labels that collect wrote, by post id and question.

    Raises
    ------
    DataError
        A label that its task does not have.
    """
    found: dict[tuple[str, str], str] = {}
    for number, upstream in enumerate(read_records(file, UpstreamLabels), 1):
        task = tasks.get(upstream.set)
        for question, label in upstream.labels.items():
            if task is None or not is_answer(task, label):
                shown = repr(label) if task is None else shown_label(task, label)
                raise DataError(f"{shown} is not a label of {upstream.set}", file, number)
            found[upstream.post_id, question] = label
    return found


def _predictions_by_example(predictions: PredictionSource) -> dict[str, tuple[int, Prediction]]:
    by_example: dict[str, tuple[int, Prediction]] = {}
    for number, prediction in predictions.read():
        if prediction.example_id in by_example:
            first = by_example[prediction.example_id][0]
            message = f"a second prediction for the same example; the first is in row {first}"
            raise DataError(message, predictions.file, number)
        # Explanations are not scored here, and would fill memory on a large set.
        reading = prediction.reading.model_copy(update={"explanation": ""})
        without_text = prediction.model_copy(update={"reading": reading, "evidence": ()})
        by_example[prediction.example_id] = (number, without_text)
    return by_example


def _check_labels(prediction: Prediction, task: Task, file: Path, number: int) -> None:
    label = prediction.reading.label
    if label is not None and not is_answer(task, label):
        raise DataError(f"{task.set} has no label {shown_label(task, label)}", file, number)
    unknown = sorted(set(prediction.probabilities) - set(class_names(task)))
    if unknown:
        raise DataError(f"{task.set} has no label {', '.join(map(repr, unknown))}", file, number)

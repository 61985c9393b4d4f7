"""Gate: the label can be predicted from the explanation alone.

A classifier is trained on the explanations of training posts and the set's labels, then predicts a label from each
explanation with the answer removed. A training row is scored by a model that saw no row of its post. If there are too
few rows to train on, nothing is judged: the verdict passes without a score, and its reason begins with "not judged".
Answers of several parts are not judged either: a sentence on one of several labels does not say the others.

A trained label reader, where the recipe names one, replaces the classifier for posts that it was not trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from mentallama.analysts.base import LabelReader
from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.analysts.linear.explanation_classifier import (
    MIN_KNOWN_TERMS,
    ExplanationClassifier,
    FloatArray,
    NoSharedFeatures,
    draw_training_rows,
    too_few_rows,
)
from mentallama.analysts.registry import open_label_reader
from mentallama.answers.strip_label import strip_label
from mentallama.check.gate import CorpusVerdicts, ResponseCorpus
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_rows import ResponseRow
from mentallama.metrics.classification import weighted_f1_of_labels
from mentallama.records import Verdict
from mentallama.tasks import Task

GATE = "label_consistency"
NO_SHARED_FEATURES_REASON = "the explanations of the training rows share no words to learn from"


@dataclass(frozen=True)
class ExplanationPrediction:
    """Label probabilities predicted from an explanation alone, or the reason why there are none.

    `empty`: nothing is left of the explanation once the answer is removed.
    """

    probabilities: dict[str, float] = field(default_factory=dict)
    not_judged_reason: str | None = None
    empty: bool = False

    @property
    def label(self) -> str | None:
        """The most probable label."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)


def judge_label_consistency(corpus: ResponseCorpus, threshold: float) -> CorpusVerdicts:
    """Predict the labels of all rows and of the experts' explanations, which appear in the table only."""
    rows = [*corpus.rows, *corpus.expert_rows]
    predictions = predict_from_explanations(rows)
    notes: tuple[str, ...] = ()
    if corpus.label_reader is not None:
        reader = open_label_reader(corpus.label_reader)
        by_reader = predict_with_label_reader(rows, reader)
        predictions = [by_reader.get(index, prediction) for index, prediction in enumerate(predictions)]
        notes = (
            f"{reader.name} scored {len(by_reader)} of {len(rows)} explanations, whose posts it was not trained on. "
            "A classifier trained on the responses scored the others.",
        )
    n = len(corpus.rows)
    table = (
        *label_consistency_report(corpus.rows, predictions[:n]),
        *label_consistency_report(corpus.expert_rows, predictions[n:], "expert"),
    )
    return CorpusVerdicts(check_label_consistency(corpus.rows, threshold, predictions[:n]), table, notes)


def predict_from_explanations(rows: Sequence[ResponseRow]) -> list[ExplanationPrediction]:
    """Predict each row's label from its explanation with classifiers trained on the rows themselves, one per set.

    Rows of all sets may be mixed. Training rows are those of training posts whose answer gives the set's label; an
    answer that gives another label is a matter for reviewers.
    """
    by_set: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_set[row.task.set].append(index)
    predictions: dict[int, ExplanationPrediction] = {}
    for indices in by_set.values():
        predictions |= zip(indices, _predict_set([rows[index] for index in indices]), strict=True)
    return [predictions[index] for index in range(len(rows))]


def predict_with_label_reader(
    rows: Sequence[ResponseRow], reader: LabelReader
) -> dict[int, ExplanationPrediction]:
    """Predictions by row index, for the questions that the reader supports and the posts that it was not trained on."""
    by_question: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row.task.is_composite:
            continue
        if reader.supports(row.task, row.example.question) and seen_hash(row.post.text) not in reader.seen:
            by_question[row.task.set, row.example.question].append(index)
    predictions: dict[int, ExplanationPrediction] = {}
    for (_, question), indices in by_question.items():
        task = rows[indices[0]].task
        texts = {index: strip_label(task, rows[index].reading.explanation) for index in indices}
        non_empty = [index for index in indices if texts[index]]
        probabilities = reader.label_probabilities(task, question, [texts[index] for index in non_empty])
        predictions |= {index: ExplanationPrediction(empty=True) for index in indices}
        predictions |= {
            index: ExplanationPrediction(dict(row_probabilities))
            for index, row_probabilities in zip(non_empty, probabilities, strict=True)
        }
    return predictions


def check_label_consistency(
    rows: Sequence[ResponseRow], threshold: float, predictions: Sequence[ExplanationPrediction]
) -> list[Verdict]:
    """Judge each row by its prediction: the score is the probability of the answer's label, and fails below
    `threshold`.

    An explanation that consists of nothing but its answer fails without a score.
    """
    return [_verdict(row, prediction, threshold) for row, prediction in zip(rows, predictions, strict=True)]


def label_consistency_report(
    rows: Sequence[ResponseRow], predictions: Sequence[ExplanationPrediction], split_name: str | None = None
) -> list[GateReportRow]:
    """Report how well labels are predicted: one line per set and split, in the order of the rows.

    `weighted_f1` (0-100) compares the label predicted from the explanation alone with the label of its answer, over the
    `judged` rows; None if there are none. `not_judged_reason` is the most frequent reason among the others.

    Parameters
    ----------
    split_name
        Shown instead of the split, such as "expert".
    """
    groups: dict[tuple[str, str], list[tuple[ResponseRow, ExplanationPrediction]]] = defaultdict(list)
    for row, prediction in zip(rows, predictions, strict=True):
        groups[row.task.set, split_name or row.post.split].append((row, prediction))
    return [_report_row(name, split, pairs) for (name, split), pairs in groups.items()]


def _verdict(row: ResponseRow, prediction: ExplanationPrediction, threshold: float) -> Verdict:
    if prediction.empty:
        return row.verdict(GATE, "nothing is left of the explanation once its answer is removed")
    if prediction.not_judged_reason is not None:
        return row.not_judged(GATE, prediction.not_judged_reason)
    score = prediction.probabilities[_answer_label(row)]
    reason = None if score >= threshold else f"the explanation alone reads as {prediction.label!r}"
    if reason is not None and prediction.label == row.reading.label:
        reason = "the explanation alone does not say which label it is for"
    return row.verdict(GATE, reason, round(score, 4))


def _answer_label(row: ResponseRow) -> str:
    if row.reading.label is None:
        raise ValueError(f"example {row.example.id}: gates judge only answers with a label")
    return row.reading.label


def _predict_set(rows: list[ResponseRow]) -> Iterator[ExplanationPrediction]:
    task = rows[0].task
    texts = [strip_label(task, row.reading.explanation) for row in rows]
    if task.is_composite:
        reason = f"answers of kind {task.kind} have no single label to predict"
        yield from (ExplanationPrediction(not_judged_reason=reason, empty=not text) for text in texts)
        return
    training = _training_indices(rows, texts)
    label_counts = Counter(rows[index].example.label for index in training)
    if shortage := too_few_rows([str(rows[index].example.label) for index in training]):
        reason = f"{task.set} has {shortage}"
        yield from (ExplanationPrediction(not_judged_reason=reason, empty=not text) for text in texts)
        return
    try:
        probabilities, n_known_terms = _probabilities(task, rows, texts, training)
    except NoSharedFeatures:
        yield from (
            ExplanationPrediction(not_judged_reason=NO_SHARED_FEATURES_REASON, empty=not text)
            for text in texts
        )
        return
    for row, text, row_probabilities, n_known in zip(rows, texts, probabilities, n_known_terms, strict=True):
        if not text:
            yield ExplanationPrediction(empty=True)
        elif not label_counts[row.reading.label]:
            yield ExplanationPrediction(not_judged_reason="no training row has the answer's label")
        elif n_known < MIN_KNOWN_TERMS:
            yield ExplanationPrediction(
                not_judged_reason="hardly any word of the explanation occurs in the training rows"
            )
        else:
            yield ExplanationPrediction(dict(zip(task.labels, row_probabilities.tolist(), strict=True)))


def _training_indices(rows: list[ResponseRow], texts: list[str]) -> list[int]:
    """Indices of the rows to train on, ascending."""
    usable = [
        index
        for index, row in enumerate(rows)
        if row.post.split == "train" and texts[index] and row.example.label == row.reading.label is not None
    ]
    return [usable[row] for row in draw_training_rows([rows[index].post.id for index in usable])]


def _probabilities(
    task: Task, rows: list[ResponseRow], texts: list[str], training: list[int]
) -> tuple[FloatArray, list[int]]:
    """Label probabilities, shape (rows, labels), and the number of known terms of each row."""
    label_index = {label: index for index, label in enumerate(task.labels)}
    labels = np.array([label_index[str(rows[index].example.label)] for index in training], dtype=np.int64)
    classifier = ExplanationClassifier(
        [texts[index] for index in training],
        labels,
        [rows[index].post.id for index in training],
        [label.because for label in task.labels.values()],
    )
    probabilities = classifier.predict_proba(texts)
    probabilities[training] = classifier.out_of_fold_probabilities
    return probabilities, classifier.count_known_terms(texts).tolist()


def _report_row(
    name: str, split: str, pairs: list[tuple[ResponseRow, ExplanationPrediction]]
) -> GateReportRow:
    judged = [(row.reading.label, prediction.label) for row, prediction in pairs if prediction.probabilities]
    reasons = Counter(
        prediction.not_judged_reason or "nothing but the answer"
        for _, prediction in pairs
        if not prediction.probabilities
    )
    return {
        "set": name,
        "split": split,
        "rows": len(pairs),
        "judged": len(judged),
        "not_judged": len(pairs) - len(judged),
        "weighted_f1": round(100 * weighted_f1_of_labels(*zip(*judged, strict=True)), 2) if judged else None,
        "not_judged_reason": reasons.most_common(1)[0][0] if reasons else None,
    }

"""Label consistency: whether the explanation alone, without its answer, implies the label that it is given for.

The label is predicted from the explanation by a trained label reader (`label_consistency:DIR`), or by a linear
classifier that is fitted on the reference explanations of training and validation posts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mentallama.analysts.base import LabelReader
from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.analysts.linear.explanation_classifier import (
    MIN_KNOWN_TERMS,
    ExplanationClassifier,
    NoSharedFeatures,
    draw_training_rows,
    too_few_rows,
)
from mentallama.analysts.registry import open_label_reader
from mentallama.answers.strip_label import strip_label
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    ScoreColumn,
    unscored,
)
from mentallama.tasks import Task

LABEL_CONSISTENCY = "label_consistency"
"""100 where the label predicted from the explanation is the answer's, else 0."""
SEVERAL_PARTS = "the answer has several parts, and an explanation implies one label"
LABEL_CONSISTENCY_COLUMNS = (
    ScoreColumn(LABEL_CONSISTENCY, "consistent with the answer"),
    ScoreColumn("implied_label_accuracy", "implied label is right"),
)

Implied = str | CaseScore
"""The label that an explanation implies, or the score of a case for which that cannot be said."""


class ImpliedLabels(Protocol):
    """Predicts the labels that explanations imply."""

    def __call__(
        self, task: Task, question: str, cases: Sequence[ExplanationCase], texts: Sequence[str]
    ) -> list[Implied]:
        """The label of each case; `texts` are the explanations without their answers, none of them empty."""


class LabelConsistency(ExplanationMetric):
    """Whether the label that the explanation alone implies is the answer's, and whether it is the gold label: 0 or 100.

    The mean of the first column is the share of explanations that support the answers they are given for; that of the
    second is the accuracy of the labels that the explanations alone imply.
    """

    def __init__(self, name: str, options: MetricOptions, implied_labels: ImpliedLabels) -> None:
        self.name = name
        self._tasks = options.tasks
        self._implied_labels = implied_labels

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> LabelConsistency:
        if not location:
            return cls(LABEL_CONSISTENCY, options, FittedClassifiers(options))
        reader = open_label_reader(Path(location))
        return cls(f"{LABEL_CONSISTENCY}:{Path(location).name}", options, TrainedReader(reader))

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        by_question: dict[tuple[str, str], list[int]] = defaultdict(list)
        scores = [unscored("the answer has no label") for _ in cases]
        for index, case in enumerate(cases):
            if case.reading.label is not None:
                by_question[case.example.task, case.example.question].append(index)
        for (name, question), indices in by_question.items():
            task = self._tasks[name]
            if task.is_composite:
                for index in indices:
                    scores[index] = unscored(SEVERAL_PARTS)
                continue
            texts = {index: strip_label(task, cases[index].explanation) for index in indices}
            readable = [index for index in indices if texts[index]]
            implied = self._implied_labels(
                task, question, [cases[index] for index in readable], [texts[index] for index in readable]
            )
            by_index = dict(zip(readable, implied, strict=True))
            for index in indices:
                scores[index] = _score(cases[index], by_index.get(index, unscored("nothing but the answer")))
        return scores


def _score(case: ExplanationCase, implied: Implied) -> CaseScore:
    if isinstance(implied, CaseScore):
        return implied
    matches = (implied == case.reading.label, implied == case.example.label)
    return CaseScore(
        values={
            column.name: 100.0 * match
            for column, match in zip(LABEL_CONSISTENCY_COLUMNS, matches, strict=True)
        }
    )


class TrainedReader:
    """The labels that a trained label reader predicts."""

    def __init__(self, reader: LabelReader) -> None:
        self._reader = reader

    def __call__(
        self, task: Task, question: str, cases: Sequence[ExplanationCase], texts: Sequence[str]
    ) -> list[Implied]:
        """Predict a label for every case.

        Raises
        ------
        UsageError
            The reader was trained on one of these posts, so its predictions would prove nothing.
        """
        if any(seen_hash(case.example.text) in self._reader.seen for case in cases):
            raise UsageError(
                f"{self._reader.name} was trained on test posts of {task.set}, so it cannot judge explanations of "
                "them; train it on a run with collect.leak_guard: run"
            )
        if not self._reader.supports(task, question):
            return [unscored("the label reader does not know the question")] * len(cases)
        probabilities = self._reader.label_probabilities(task, question, texts)
        return [max(by_label, key=by_label.__getitem__) for by_label in probabilities]


class FittedClassifiers:
    """The labels that a classifier predicts which is fitted on reference explanations, one classifier per set.

    Only the last set's classifier is kept.
    """

    def __init__(self, options: MetricOptions) -> None:
        self._options = options
        self._set: str | None = None
        self._fitted: FittedClassifier | CaseScore = unscored("")

    def __call__(
        self, task: Task, question: str, cases: Sequence[ExplanationCase], texts: Sequence[str]
    ) -> list[Implied]:
        """Predict a label for every case whose words the classifier knows."""
        del question
        if task.set != self._set:
            self._fitted, self._set = (
                fit_classifier(task, list(self._options.training_cases(task.set))),
                task.set,
            )
        fitted = self._fitted
        return [fitted] * len(cases) if isinstance(fitted, CaseScore) else fitted.implied_labels(cases, texts)


class FittedClassifier:
    """A classifier of one set's explanations, and the labels that it knows."""

    def __init__(self, classifier: ExplanationClassifier, task: Task, known_labels: frozenset[str]) -> None:
        self._classifier, self._task, self._known_labels = classifier, task, known_labels

    def implied_labels(self, cases: Sequence[ExplanationCase], texts: Sequence[str]) -> list[Implied]:
        """The most probable label of each explanation."""
        if not texts:
            return []
        labels = list(self._task.labels)
        best = self._classifier.predict_proba(texts).argmax(axis=1).tolist()
        known_terms = self._classifier.count_known_terms(texts).tolist()
        return [
            self._implied(case, labels[index], n_known)
            for case, index, n_known in zip(cases, best, known_terms, strict=True)
        ]

    def _implied(self, case: ExplanationCase, label: str, n_known: int) -> Implied:
        if case.reading.label not in self._known_labels:
            return unscored("no training explanation is for the answer's label")
        if n_known < MIN_KNOWN_TERMS:
            return unscored("hardly any word occurs in the training explanations")
        return label


def fit_classifier(task: Task, cases: Sequence[ExplanationCase]) -> FittedClassifier | CaseScore:
    """Fit a classifier on a set's reference explanations, or say why there are too few to learn from."""
    import numpy as np

    texts = [strip_label(task, case.explanation) for case in cases]
    usable = [index for index, case in enumerate(cases) if texts[index] and case.reading.label is not None]
    drawn = [usable[row] for row in draw_training_rows([cases[index].example.post_id for index in usable])]
    labels = [str(cases[index].reading.label) for index in drawn]
    if reason := too_few_rows(labels):
        return unscored(f"there are {reason}")
    label_index = {label: index for index, label in enumerate(task.labels)}
    try:
        classifier = ExplanationClassifier(
            [texts[index] for index in drawn],
            np.array([label_index[label] for label in labels], dtype=np.int64),
            [cases[index].example.post_id for index in drawn],
            [label.because for label in task.labels.values()],
            judge_training_rows=False,
        )
    except NoSharedFeatures:
        return unscored("the training explanations share no words to learn from")
    return FittedClassifier(classifier, task, frozenset(labels))

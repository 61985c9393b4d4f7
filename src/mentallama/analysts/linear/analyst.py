"""The linear analyst: n-gram features with a weight per label, and explanations that quote the decisive words.

`linear:DIR` needs no network and no accelerator, and its files contain no words of any post. It is the default and the
baseline that a larger model has to beat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from mentallama.analysts.base import Analyst
from mentallama.analysts.linear.features import Featurizer, FloatArray, NgramConfig, TfidfVector, WordSequence
from mentallama.analysts.linear.rationale import (
    NEAR_PRIOR,
    Support,
    choose_spans,
    outweighing_spans,
    write_rationale,
)
from mentallama.analysts.linear.serialization import LinearHead, LinearSetModel, load_linear_model
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task, load_tasks


@dataclass(frozen=True)
class Decision:
    """The answer of a linear model to one question about one post.

    `logits` has shape (labels,), is calibrated and sums to 0; `label` is the index of the highest, or of a given label.
    `margin` is the label's logit minus the mean logit of the others, which for two labels is the log-odds. It is the
    sum of `prior_margin`, the margin of the label's prior, and of `contributions`, one per word: the post's weight of
    evidence (Good, 1950). So the words of a post speak for a label exactly if they make it likelier than it usually is.
    """

    logits: FloatArray
    label: int
    contributions: FloatArray
    prior_margin: float
    margin: float

    @property
    def probabilities(self) -> FloatArray:
        """Softmax of the calibrated logits, shape (labels,)."""
        weights: FloatArray = np.exp(self.logits - self.logits.max())
        probabilities: FloatArray = weights / weights.sum()
        return probabilities


@dataclass(frozen=True)
class LabelAttribution:
    """Contribution of each word of a post to one label, whether or not it is the most likely.

    `contributions` has shape (words,), in log-odds; None if the label did not occur in training. `tfidf_shares` has the
    same shape: each word's share of the post's tf-idf. `completeness_gap` is how far the contributions are from adding
    up to the log-odds of the label, log p / (1 - p), less those of its prior: 0 between two labels, up to rounding.
    None as `contributions` is.
    """

    label: str
    words: WordSequence
    contributions: FloatArray | None
    tfidf_shares: FloatArray
    completeness_gap: float | None = None


def decide(vector: TfidfVector, head: LinearHead, label: int | None = None) -> Decision:
    """Apply the head of one question to a vector. `label` is the index of the label to explain; None: the most
    likely."""
    weights = head.weights.take(vector.columns, axis=0).astype(np.float64)
    intercepts = head.intercepts.astype(np.float64)
    logits = vector.values @ weights + intercepts
    label = int(logits.argmax()) if label is None else label
    # Logits sum to 0, so the mean of the others is -logit / (labels - 1).
    scale = len(logits) / (len(logits) - 1)
    log_prior = np.log(head.metadata.label_prior)
    prior_margin = float(log_prior[label] - log_prior.mean()) * scale
    intercept = float(intercepts[label]) * scale
    if not len(vector.columns):  # no known word: the intercept is all that is left
        return Decision(logits, label, np.zeros(len(vector.words.forms)), intercept, intercept)
    # A regression on posts of unit length moves an arbitrary part of the evidence into its intercept: words that are
    # common with one label weigh as much as the intercept takes back. Each word gets its share of the difference.
    excess = (intercept - prior_margin) / vector.values.sum()
    contributions = vector.attribute_to_words(weights[:, label] * scale + excess)
    return Decision(logits, label, contributions, prior_margin, float(logits[label] * scale))


def _completeness_gap(decision: Decision, head: LinearHead) -> float:
    found, prior = (
        _log_odds(distribution, decision.label)
        for distribution in (decision.probabilities, np.array(head.metadata.label_prior))
    )
    return abs(float(decision.contributions.sum()) - (found - prior))


def _log_odds(distribution: FloatArray, label: int) -> float:
    return float(np.log(distribution[label]) - np.log(np.delete(distribution, label).sum()))


def _support(decision: Decision, head: LinearHead) -> Support:
    """How far the post speaks for the decision's label."""
    if decision.margin <= decision.prior_margin:
        return "none"
    gain = decision.probabilities[decision.label] - head.metadata.label_prior[decision.label]
    return "clear" if abs(gain) > NEAR_PRIOR else "weak"


class LinearAnalyst(Analyst):
    """Answers with a linear model and quotes the words on which the decision rests.

    Parameters
    ----------
    ngrams
        The n-grams that are features.
    set_models
        The model of each set.
    name
        The model's name in predictions.
    tasks
        Tasks by set name; None: those of the package.
    """

    attribution_methods = MappingProxyType({"fast": "exact", "full": "exact"})

    def __init__(
        self,
        ngrams: NgramConfig,
        set_models: Mapping[str, LinearSetModel],
        name: str,
        tasks: Mapping[str, Task] | None = None,
    ) -> None:
        self.name = name
        self._set_models = dict(set_models)
        self._catalogue = load_tasks() if tasks is None else tasks
        self._featurizers: dict[str, Featurizer] = {
            name: model.featurizer(ngrams) for name, model in set_models.items()
        }

    @classmethod
    def load(cls, folder: Path, tasks: Mapping[str, Task] | None = None) -> LinearAnalyst:
        """Open a trained model.

        Raises
        ------
        UsageError
            There is no model in the folder.
        DataError
            A file of it is missing or damaged.
        """
        ngrams, set_models, digest = load_linear_model(folder)
        return cls(ngrams, set_models, f"linear:{digest}", tasks)

    @property
    def supported_questions(self) -> tuple[tuple[str, str], ...]:
        """The questions this model answers, as (set, question)."""
        return tuple((name, question) for name, model in self._set_models.items() for question in model.heads)

    def predict(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer examples one by one.

        Raises
        ------
        UsageError
            The model was not trained on an example's set or question, or its task file is missing or has other labels.
        """
        key, vector = None, None
        for example in examples:
            head = self._head(example)
            task = self._task(example.task, head)
            # Consecutive questions about the same post share its features.
            if vector is None or key != (example.task, example.text):
                key = (example.task, example.text)
                vector = self._featurizers[example.task].transform(example.text)
            yield self._predict(example, vector, head, task)

    def explain(self, example: Example, label: str | None = None) -> LabelAttribution:
        """Divide the margin of a label among the words of a post; without a label, that of the most likely one.

        Raises
        ------
        UsageError
            As for `predict`.
        """
        head = self._head(example)
        self._task(example.task, head)
        vector, labels = self._featurizers[example.task].transform(example.text), head.metadata.labels
        known = label is None or label in labels
        decision = decide(vector, head, labels.index(label) if label in labels else None)
        return LabelAttribution(
            label=labels[decision.label] if label is None else label,
            words=vector.words,
            contributions=decision.contributions if known else None,
            tfidf_shares=vector.attribute_to_words(np.ones(len(vector.columns))),
            completeness_gap=_completeness_gap(decision, head) if known else None,
        )

    def _head(self, example: Example) -> LinearHead:
        model = self._set_models.get(example.task)
        if model is None or example.question not in model.heads:
            known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
            question = f"{example.task} ({example.question})"
            raise UsageError(f"{self.name} was not trained on {question}; it answers {known}")
        return model.heads[example.question]

    def _task(self, name: str, head: LinearHead) -> Task:
        if name not in self._catalogue:
            raise UsageError(
                f"{self.name} answers {name}, but no task file describes {name}; name the folder of "
                "its file with --tasks, in Python with tasks="
            )
        task = self._catalogue[name]
        unknown = set(head.metadata.labels) - set(task.labels)
        if unknown:
            names = ", ".join(map(repr, sorted(unknown)))
            raise UsageError(
                f"{self.name} gives labels that task {name} does not have ({names}); train again"
            )
        return task

    def _predict(self, example: Example, vector: TfidfVector, head: LinearHead, task: Task) -> Prediction:
        decision = decide(vector, head)
        label, probabilities = head.metadata.labels[decision.label], decision.probabilities
        support = _support(decision, head)
        spans = outweighing_spans(choose_spans(vector.words, decision.contributions), support)
        because = task.labels[label].because
        known = dict(zip(head.metadata.labels, probabilities.tolist(), strict=True))
        return Prediction(
            example_id=example.id,
            reading=Reading(
                status="parsed",
                label=label,
                explanation=write_rationale(task.explanation_template, example.text, spans, because, support),
            ),
            probabilities={name: known.get(name, 0.0) for name in task.labels},
            evidence=spans,
            model=self.name,
        )

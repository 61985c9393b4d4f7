"""The linear analyst: n-grams, one weight a label, and a reason that is the decision itself.

`linear:DIR` needs no network, no accelerator and no words of anybody in its files. It is the default
and the yardstick: whoever wants more than a linear model has to beat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mentallama.analysts.linear.features import Featurizer, FloatArray, NgramConfig, TfidfVector, WordSequence
from mentallama.analysts.linear.rationale import NEAR_PRIOR, choose_spans, write_rationale
from mentallama.analysts.linear.serialization import LinearHead, LinearSetModel, load_linear_model
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task, load_tasks


@dataclass(frozen=True)
class Decision:
    """What the weights of one question say about one post.

    `logits` has shape (labels,), is calibrated and sums to 0; `label` is the place of the highest, or of the
    one that was asked about. `contributions` divides the label's lead among the words: its logit minus the
    mean logit of the others, which for two labels is the log-odds. Contributions and `intercept` add up to
    `lead`.
    """

    logits: FloatArray
    label: int
    contributions: FloatArray
    intercept: float
    margin: float

    @property
    def probabilities(self) -> FloatArray:
        """Softmax of the calibrated logits, shape (labels,)."""
        odds: FloatArray = np.exp(self.logits - self.logits.max())
        shares: FloatArray = odds / odds.sum()
        return shares


@dataclass(frozen=True)
class LabelAttribution:
    """How the words of a post lean to one label, whether or not it is the likeliest.

    `contributions` has shape (words,), in log-odds; None where the model never saw the label. `rarity` has the same
    shape: each word's share of the post's tf-idf.
    """

    label: str
    words: WordSequence
    contributions: FloatArray | None
    tfidf_shares: FloatArray


def decide(vector: TfidfVector, head: LinearHead, label: int | None = None) -> Decision:
    """Put one question to a vector; `label` is the place of the label to speak of, None: of the highest logit."""
    weights = head.weights.take(vector.columns, axis=0).astype(np.float64)
    intercepts = head.intercepts.astype(np.float64)
    logits = vector.values @ weights + intercepts
    label = int(logits.argmax()) if label is None else label
    # Logits sum to 0, so the mean of the others is -logit / (labels - 1).
    scale = len(logits) / (len(logits) - 1)
    contributions = vector.attribute_to_words(weights[:, label] * scale)
    intercept, lead = float(intercepts[label] * scale), float(logits[label] * scale)
    return Decision(logits, label, contributions, intercept, lead)


class LinearAnalyst:
    """Answer with a linear model, and give the words that decided.

    Parameters
    ----------
    grams
        The n-grams that are features.
    sets
        The model of each set.
    name
        What predictions call the model.
    tasks
        Tasks by set name; None: those shipped.
    """

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
        self._featurizers: dict[str, Featurizer] = {s: m.featurizer(ngrams) for s, m in set_models.items()}

    @classmethod
    def load(cls, folder: Path, tasks: Mapping[str, Task] | None = None) -> LinearAnalyst:
        """Open a trained model.

        Raises
        ------
        WrongUse
            There is no model in the folder.
        BadData
            A file of it is missing or damaged.
        """
        grams, sets, digest = load_linear_model(folder)
        return cls(grams, sets, f"linear:{digest}", tasks)

    @property
    def supported_questions(self) -> tuple[tuple[str, str], ...]:
        """The questions this model answers, as (set, question)."""
        return tuple((name, question) for name, model in self._set_models.items() for question in model.heads)

    def analyse(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer one example after the other.

        Raises
        ------
        WrongUse
            The model was not trained on an example's set or question, or its task file is missing or has
            other labels.
        """
        place, vector = None, None
        for example in examples:
            head = self._head(example)
            task = self._task(example.task, head)
            # The questions about one post come one after the other; it is read once.
            if vector is None or place != (example.task, example.text):
                place = (example.task, example.text)
                vector = self._featurizers[example.task].transform(example.text)
            yield self._predict(example, vector, head, task)

    def explain(self, example: Example, label: str | None = None) -> LabelAttribution:
        """Divide a given label's lead among the words of a post; without a label, that of the answer.

        Raises
        ------
        WrongUse
            As for `analyse`.
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
        )

    def _head(self, example: Example) -> LinearHead:
        model = self._set_models.get(example.task)
        if model is None or example.question not in model.heads:
            known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
            asked = f"{example.task} ({example.question})"
            raise UsageError(f"{self.name} was not trained on {asked}; it answers {known}")
        return model.heads[example.question]

    def _task(self, name: str, head: LinearHead) -> Task:
        if name not in self._catalogue:
            raise UsageError(
                f"{self.name} answers {name}, but no task file describes {name}; give its folder"
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
        label, shares = head.metadata.labels[decision.label], decision.probabilities
        spans = choose_spans(vector.words, decision.contributions)
        telling = abs(shares[decision.label] - head.metadata.label_prior[decision.label]) > NEAR_PRIOR
        because = task.labels[label].because
        given = dict(zip(head.metadata.labels, shares.tolist(), strict=True))
        return Prediction(
            example_id=example.id,
            reading=Reading(
                status="parsed",
                label=label,
                explanation=write_rationale(
                    task.explanation_template, example.text, spans, because, bool(telling)
                ),
            ),
            probabilities={name: given.get(name, 0.0) for name in task.labels},
            evidence=spans,
            model=self.name,
        )

"""The linear analyst: n-gram features with a weight per label, and explanations that quote the decisive words.

`linear:DIR` needs no network and no accelerator, and its files contain no words of any post. It is the default and the
baseline that a larger model has to beat.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mentallama.analysts.answer_parts import (
    ComposedAnswer,
    compose_answer,
    named_levels,
    question_of_head,
)
from mentallama.analysts.base import Analyst
from mentallama.analysts.evidence_phrases import choose_spans
from mentallama.analysts.linear.composite import (
    NamedPart,
    composite_evidence,
    composite_rationale,
    named_parts,
)
from mentallama.analysts.linear.decision import completeness_gap, decide, support_of
from mentallama.analysts.linear.features import Featurizer, FloatArray, NgramConfig, TfidfVector, WordSequence
from mentallama.analysts.linear.rationale import outweighing_spans, write_rationale
from mentallama.analysts.linear.serialization import LinearHead, LinearSetModel, load_linear_model
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import QuestionKey, Task, load_tasks


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

    kind = "linear"

    def __init__(
        self,
        ngrams: NgramConfig,
        set_models: Mapping[str, LinearSetModel],
        name: str,
        tasks: Mapping[str, Task] | None = None,
    ) -> None:
        self.name = name
        self._catalogue = load_tasks() if tasks is None else tasks
        self._featurizers: dict[str, Featurizer] = {
            name: model.featurizer(ngrams) for name, model in set_models.items()
        }
        self._heads = _heads_by_question(set_models)

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
        return tuple(self._heads)

    def predict(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer examples one by one.

        Raises
        ------
        UsageError
            The model was not trained on an example's set or question, or its task file is missing or has other labels.
        """
        key, vector = None, None
        for example in examples:
            task, heads = self._task_and_heads(example)
            # Consecutive questions about the same post share its features.
            if vector is None or key != (example.task, example.text):
                key = (example.task, example.text)
                vector = self._featurizers[example.task].transform(example.text)
            if task.is_composite:
                yield self._predict_parts(example, vector, heads, task)
            else:
                yield self._predict(example, vector, heads[""], task)

    def explain(self, example: Example, label: str | None = None) -> LabelAttribution:
        """Divide the margin of a label among the words of a post; without a label, that of the most likely one.

        Raises
        ------
        UsageError
            As for `predict`.
        """
        task, heads = self._task_and_heads(example)
        vector = self._featurizers[example.task].transform(example.text)
        if label is None:
            label = _answer_parts(task, heads, vector, example.text).answer.value
        explained = [
            (decide(vector, heads[part], heads[part].metadata.labels.index(level)), heads[part])
            for part, level in named_levels(task, label).items()
            if part in heads and level in heads[part].metadata.labels
        ]
        return LabelAttribution(
            label=label,
            words=vector.words,
            contributions=np.sum([decision.contributions for decision, _ in explained], axis=0)
            if explained
            else None,
            tfidf_shares=vector.attribute_to_words(np.ones(len(vector.columns))),
            completeness_gap=sum(itertools.starmap(completeness_gap, explained)) if explained else None,
        )

    def _task_and_heads(self, example: Example) -> tuple[Task, dict[str, LinearHead]]:
        """The task of an example, and the heads of its question by part."""
        heads = self._heads.get((example.task, example.question))
        if heads is None:
            known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
            question = f"{example.task} ({example.question})"
            raise UsageError(f"{self.name} was not trained on {question}; it answers {known}")
        return self._task(example.task, heads), heads

    def _task(self, name: str, heads: Mapping[str, LinearHead]) -> Task:
        if name not in self._catalogue:
            raise UsageError(
                f"{self.name} answers {name}, but no task file describes {name}; name the folder of "
                "its file with --tasks, in Python with tasks="
            )
        task = self._catalogue[name]
        parts = {part.name: part for part in task.parts}
        if unknown := heads.keys() - parts.keys():
            raise UsageError(
                f"{self.name} was trained when answers to {name} had other parts "
                f"({', '.join(sorted(map(repr, unknown)))}); train again"
            )
        for part, head in heads.items():
            self._check_levels(name, head, parts[part].levels)
        return task

    def _check_levels(self, task: str, head: LinearHead, levels: Sequence[str]) -> None:
        labels = head.metadata.labels
        if unknown := set(labels) - set(levels):
            names = ", ".join(map(repr, sorted(unknown)))
            raise UsageError(
                f"{self.name} gives labels that task {task} does not have ({names}); train again"
            )
        if head.metadata.ordered and labels != tuple(level for level in levels if level in labels):
            raise UsageError(
                f"{self.name} was trained when the levels of {task} had another order; train again"
            )

    def _predict(self, example: Example, vector: TfidfVector, head: LinearHead, task: Task) -> Prediction:
        decision = decide(vector, head)
        label, probabilities = head.metadata.labels[decision.label], decision.probabilities
        support = support_of(decision, head)
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

    def _predict_parts(
        self, example: Example, vector: TfidfVector, heads: Mapping[str, LinearHead], task: Task
    ) -> Prediction:
        answer, named = _answer_parts(task, heads, vector, example.text)
        return Prediction(
            example_id=example.id,
            reading=Reading(
                status="parsed",
                label=answer.value,
                explanation=composite_rationale(task, example.text, named),
            ),
            probabilities=answer.probabilities,
            evidence=composite_evidence(named),
            model=self.name,
        )


def _heads_by_question(set_models: Mapping[str, LinearSetModel]) -> dict[QuestionKey, dict[str, LinearHead]]:
    """The heads of each question, by part."""
    heads: dict[QuestionKey, dict[str, LinearHead]] = {}
    for set_name, model in set_models.items():
        for name, head in model.heads.items():
            question = question_of_head(name, head.metadata.part)
            heads.setdefault((set_name, question), {})[head.metadata.part] = head
    return heads


class _PartsAnswer(NamedTuple):
    answer: ComposedAnswer
    named: Sequence[NamedPart]


def _answer_parts(
    task: Task, heads: Mapping[str, LinearHead], vector: TfidfVector, text: str
) -> _PartsAnswer:
    """The answer made of the decisions on all parts, and the parts that it names."""
    decisions = {part: decide(vector, head) for part, head in heads.items()}
    named = named_parts(task, vector.words, heads, decisions)
    quotations = [(found.part.name, text[span.start : span.end]) for found in named for span in found.spans]
    probabilities = {
        part: dict(zip(heads[part].metadata.labels, decision.probabilities.tolist(), strict=True))
        for part, decision in decisions.items()
    }
    return _PartsAnswer(compose_answer(task, probabilities, quotations), named)

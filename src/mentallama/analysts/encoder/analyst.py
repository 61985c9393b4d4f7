"""Answer with a fine-tuned encoder: a label and calibrated probabilities, no explanation.

`encoder:DIR` reads each post once, however many questions are asked about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata, read_seen_hashes
from mentallama.analysts.encoder.model import EncoderClassifier, Logits, head_slices, open_encoder
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task, find_task


class EncoderAnalyst:
    """Answer the questions that an encoder has heads for.

    Attributes
    ----------
    counts
        `truncated_posts`: posts of which only the first tokens were read.
    """

    def __init__(
        self, reader: EncoderClassifier, file: ModelMetadata, name: str, asking: InferenceOptions
    ) -> None:
        self.name, self.counts = name, Counter[str]()
        self._classifier, self._options = reader, asking
        self._head_indices = {(head.set, head.question): place for place, head in enumerate(file.heads)}
        self._metadata, self._head_slices = file, head_slices(file.heads)
        self._token_budget = TokenBudget(asking.max_batch_tokens, asking.log)

    @classmethod
    def load(cls, where: str, asking: InferenceOptions) -> EncoderAnalyst:
        """Open a folder that `train` has written.

        Raises
        ------
        WrongUse
            As `open_encoder`; or the model reads explanations, not posts.
        BadData
            A file of it is damaged.
        """
        reader, file, name = open_encoder(where, asking.device, asking.dtype)
        if file.reads != "posts":
            raise UsageError(
                f"{where}: this model tells labels from explanations; it is a label reader for check and evaluate, "
                "and does not read posts"
            )
        return cls(reader, file, name, asking)

    @property
    def supported_questions(self) -> tuple[tuple[str, str], ...]:
        """The questions this model answers, as (set, question)."""
        return tuple(self._head_indices)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            The model was not trained on an example's set or question, or the task has other labels by now.
        MentallamaError
            Memory does not even hold one post.
        """
        heads = [self._head(example) for example in examples]
        place = {text: at for at, text in enumerate(dict.fromkeys(example.text for example in examples))}
        rows, cut = self._classifier.tokenize(list(place))
        self.counts["truncated_posts"] += cut
        logits = self._classifier.logits(rows, self._token_budget)
        for example, head in zip(examples, heads, strict=True):
            yield self._predict(example, head, logits[place[example.text]])

    def _head(self, example: Example) -> int:
        asked = (example.task, example.question)
        if asked not in self._head_indices:
            known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
            raise UsageError(f"{self.name} was not trained on {asked[0]} ({asked[1]}); it answers {known}")
        place = self._head_indices[asked]
        check_labels(self._metadata.heads[place], find_task(example.task, self._options.tasks), self.name)
        return place

    def _predict(self, example: Example, place: int, logits: Logits) -> Prediction:
        head = self._metadata.heads[place]
        shares = calibrated_probabilities(logits[None, self._head_slices[place]], head)[0]
        return Prediction(
            example_id=example.id,
            reading=Reading(status="parsed", label=head.labels[int(shares.argmax())]),
            probabilities=dict(zip(head.labels, shares.tolist(), strict=True)),
            model=self.name,
        )


class ExplanationReader:
    """Tell labels from explanations alone: the reader of check's `label_consistency` gate, and of evaluate.

    Attributes
    ----------
    seen
        Hashes (`seen_hash`) of all posts whose explanations it was trained on, or chosen by.
    """

    def __init__(
        self, reader: EncoderClassifier, file: ModelMetadata, name: str, seen: frozenset[str]
    ) -> None:
        self.name, self.seen = name, seen
        self._classifier, self._heads = reader, file.heads
        self._head_slices = head_slices(file.heads)
        self._token_budget = TokenBudget(InferenceOptions().max_batch_tokens, InferenceOptions().log)

    @classmethod
    def load(cls, folder: Path) -> ExplanationReader:
        """Open a label reader.

        Raises
        ------
        WrongUse
            As `open_encoder`; or the model reads posts.
        BadData
            A file of it is damaged, or it does not say what it has seen.
        """
        reader, file, name = open_encoder(str(folder), "auto", "auto")
        if file.reads != "explanations":
            raise UsageError(
                f"{folder}: this model reads posts; a label reader is trained with reads: explanations"
            )
        return cls(reader, file, name, read_seen_hashes(folder))

    def supports(self, task: Task, question: str) -> bool:
        """Whether it has learnt to read explanations of a question."""
        head = self._head(task.set, question)
        if head is not None:
            check_labels(head[1], task, self.name)
        return head is not None

    def label_probabilities(
        self, task: Task, question: str, explanations: Sequence[str]
    ) -> list[dict[str, float]]:
        """Probabilities of the question's labels, by what each explanation says.

        Parameters
        ----------
        explanations
            With their answers taken out (`answers.without_answer`), as in training.
        """
        head = self._head(task.set, question)
        if head is None:
            raise UsageError(f"{self.name} was not trained on explanations of {task.set} ({question})")
        rows, _ = self._classifier.tokenize(explanations)
        shares = calibrated_probabilities(
            self._classifier.logits(rows, self._token_budget)[:, self._head_slices[head[0]]], head[1]
        )
        return [dict(zip(head[1].labels, row.tolist(), strict=True)) for row in shares]

    def _head(self, name: str, question: str) -> tuple[int, EncoderHead] | None:
        found = (
            (at, head) for at, head in enumerate(self._heads) if (head.set, head.question) == (name, question)
        )
        return next(found, None)


def calibrated_probabilities(logits: Logits, head: EncoderHead) -> NDArray[np.float64]:
    """Calibrated, shape (texts, labels)."""
    shares: NDArray[np.float64] = softmax(logits / head.temperature, axis=1)
    return shares


def check_labels(head: EncoderHead, task: Task, name: str) -> None:
    """Raise `WrongUse` where a task has other labels than the head."""
    if set(head.labels) != set(task.labels):
        raise UsageError(
            f"{name} was trained with other labels of {task.set} than the task has now; train again"
        )

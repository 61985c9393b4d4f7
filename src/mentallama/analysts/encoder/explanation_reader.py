"""The label reader: predicts labels from explanations alone, for check's `label_consistency` gate and for evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata, read_seen_hashes
from mentallama.analysts.encoder.model import (
    EncoderClassifier,
    calibrated_probabilities,
    check_labels,
    head_slices,
    open_encoder,
)
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.errors import UsageError
from mentallama.tasks import Task


class ExplanationReader:
    """Predicts labels from explanations with a fine-tuned encoder; a `LabelReader`.

    Attributes
    ----------
    seen
        Hashes (`seen_hash`) of all posts whose explanations it was trained on or selected by.
    """

    def __init__(
        self, classifier: EncoderClassifier, metadata: ModelMetadata, name: str, seen: frozenset[str]
    ) -> None:
        self.name, self.seen = name, seen
        self._classifier, self._heads = classifier, metadata.heads
        self._head_slices = head_slices(metadata.heads)
        self._token_budget = TokenBudget(InferenceOptions().max_batch_tokens, InferenceOptions().log)

    @classmethod
    def load(cls, folder: Path) -> ExplanationReader:
        """Open a label reader written by `train`.

        Raises
        ------
        UsageError
            As for `open_encoder`; or the model reads posts.
        DataError
            A file of it is damaged, or the list of posts it has seen is missing.
        """
        classifier, metadata, name = open_encoder(str(folder), "auto", "auto")
        if metadata.reads != "explanations":
            raise UsageError(
                f"{folder}: this model reads posts; a label reader is trained with reads: explanations"
            )
        return cls(classifier, metadata, name, read_seen_hashes(folder))

    def supports(self, task: Task, question: str) -> bool:
        """Whether it was trained on explanations of a question; it reads no answers of several parts.

        Raises
        ------
        UsageError
            It was, but the task's labels have changed since.
        """
        entry = None if task.is_composite else self._find_head(task.set, question)
        if entry is not None:
            check_labels(entry[1], task, self.name)
        return entry is not None

    def label_probabilities(
        self, task: Task, question: str, explanations: Sequence[str]
    ) -> list[dict[str, float]]:
        """Probabilities of the question's labels for each explanation.

        Parameters
        ----------
        explanations
            With their answers stripped (`answers.strip_label`), as in training.
        """
        entry = self._find_head(task.set, question)
        if entry is None:
            raise UsageError(f"{self.name} was not trained on explanations of {task.set} ({question})")
        index, head = entry
        token_ids, _ = self._classifier.tokenize(explanations)
        logits = self._classifier.finite_logits(token_ids, self._token_budget, self.name)[
            :, self._head_slices[index]
        ]
        return [
            dict(zip(head.labels, row.tolist(), strict=True))
            for row in calibrated_probabilities(logits, head)
        ]

    def _find_head(self, name: str, question: str) -> tuple[int, EncoderHead] | None:
        matches = (
            (index, head)
            for index, head in enumerate(self._heads)
            if (head.set, head.question) == (name, question)
        )
        return next(matches, None)

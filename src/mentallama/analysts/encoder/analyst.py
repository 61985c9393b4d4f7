"""The encoder analyst: labels with calibrated probabilities from a fine-tuned encoder, without explanations.

`encoder:DIR` runs the encoder once per post, however many questions are asked about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mentallama.analysts.base import Analyst, InferenceOptions
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.encoder.model import (
    EncoderClassifier,
    Logits,
    calibrated_probabilities,
    check_labels,
    head_slices,
    open_encoder,
)
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import find_task


class EncoderAnalyst(Analyst):
    """Answers the questions that the encoder has heads for.

    Attributes
    ----------
    classifier, token_budget
        The model, and the limits of its batches.
    counts
        `truncated_posts`: posts longer than the model's context, of which only the beginning was read.
    """

    kind = "encoder"

    def __init__(
        self, classifier: EncoderClassifier, metadata: ModelMetadata, name: str, options: InferenceOptions
    ) -> None:
        self.name, self.counts = name, Counter[str]()
        self.classifier, self._options = classifier, options
        self._head_indices = {(head.set, head.question): index for index, head in enumerate(metadata.heads)}
        self._metadata, self._head_slices = metadata, head_slices(metadata.heads)
        self.token_budget = TokenBudget(options.max_batch_tokens, options.log)

    @classmethod
    def load(cls, location: str, options: InferenceOptions) -> EncoderAnalyst:
        """Open a folder written by `train`.

        Raises
        ------
        UsageError
            As for `open_encoder`; or the model reads explanations, not posts.
        DataError
            A file of it is damaged.
        """
        classifier, metadata, name = open_encoder(location, options.device, options.dtype)
        if metadata.reads != "posts":
            raise UsageError(
                f"{location}: this model predicts labels from explanations, not from posts; use it as the label reader "
                "of check and evaluate"
            )
        return cls(classifier, metadata, name, options)

    @property
    def supported_questions(self) -> tuple[tuple[str, str], ...]:
        """The questions this model answers, as (set, question)."""
        return tuple(self._head_indices)

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer a batch of examples; predictions come in their order.

        Raises
        ------
        UsageError
            The model was not trained on an example's set or question, or the task's labels have changed since.
        MentallamaError
            Memory does not suffice for a single post.
        """
        heads = [self._head_index(example) for example in examples]
        rows = {text: row for row, text in enumerate(dict.fromkeys(example.text for example in examples))}
        token_ids, n_truncated = self.classifier.tokenize(list(rows))
        self.counts["truncated_posts"] += n_truncated
        logits = self.classifier.finite_logits(token_ids, self.token_budget, self.name)
        for example, head in zip(examples, heads, strict=True):
            yield self._predict(example, head, logits[rows[example.text]])

    @property
    def mask_token(self) -> str | None:
        """The token that hides a word, if the tokenizer has one."""
        token: str | None = self.classifier.tokenizer.mask_token
        return token

    def head_of(self, example: Example) -> tuple[EncoderHead, slice]:
        """The head of an example's question, and its columns of the logits; raises `UsageError` as `predict` does."""
        index = self._head_index(example)
        return self._metadata.heads[index], self._head_slices[index]

    def _head_index(self, example: Example) -> int:
        key = (example.task, example.question)
        if key not in self._head_indices:
            known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
            raise UsageError(f"{self.name} was not trained on {key[0]} ({key[1]}); it answers {known}")
        index = self._head_indices[key]
        check_labels(self._metadata.heads[index], find_task(example.task, self._options.tasks), self.name)
        return index

    def _predict(self, example: Example, head_index: int, logits: Logits) -> Prediction:
        head = self._metadata.heads[head_index]
        probabilities = calibrated_probabilities(logits[None, self._head_slices[head_index]], head)[0]
        return Prediction(
            example_id=example.id,
            reading=Reading(status="parsed", label=head.labels[int(probabilities.argmax())]),
            probabilities=dict(zip(head.labels, probabilities.tolist(), strict=True)),
            model=self.name,
        )

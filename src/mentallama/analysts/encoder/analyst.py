"""The encoder analyst: labels with calibrated probabilities from a fine-tuned encoder, without explanations.

`encoder:DIR` runs the encoder once per post, however many questions are asked about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.answer_parts import LevelProbabilities, compose_answer, named_levels
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
from mentallama.analysts.encoder.quotations import quoted_passages
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading, Span
from mentallama.tasks import QuestionKey, Task, find_task
from mentallama.tasks.answer_values import without_quotations


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
        self._head_indices: dict[QuestionKey, list[int]] = {}
        for index, head in enumerate(metadata.heads):
            self._head_indices.setdefault((head.set, head.question), []).append(index)
        self._metadata, self._head_slices = metadata, head_slices(metadata.heads)
        self._token_heads = [index for index, head in enumerate(metadata.heads) if head.of_tokens]
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
        asked = [self._task_and_heads(example) for example in examples]
        rows = {text: row for row, text in enumerate(dict.fromkeys(example.text for example in examples))}
        token_ids, n_truncated = self.classifier.tokenize(list(rows))
        self.counts["truncated_posts"] += n_truncated
        outputs = self.classifier.finite_outputs(token_ids, self.token_budget, self.name)
        for example, (task, heads) in zip(examples, asked, strict=True):
            row = rows[example.text]
            levels = self._levels(heads, outputs.logits[row])
            found: dict[str, tuple[Span, ...]] = {}
            if task.kind == "spans":
                found = self._quoted(example.text, heads, outputs.token_margins[row])
            yield self._prediction(example, task, levels, found)

    @property
    def mask_token(self) -> str | None:
        """The token that hides a word, if the tokenizer has one."""
        token: str | None = self.classifier.tokenizer.mask_token
        return token

    def heads_of_label(self, example: Example, label: str) -> list[tuple[EncoderHead, slice, str]]:
        """The heads that decide about a label of an example's question: each with its columns of the logits, and the
        level that the label names (`answer_parts.named_levels`).

        Raises
        ------
        UsageError
            As `predict`; or the heads give no such label.
        """
        task, heads = self._task_and_heads(example)
        of_part = {self._metadata.heads[index].part: index for index in heads}
        named = [
            (self._metadata.heads[of_part[part]], self._head_slices[of_part[part]], level)
            for part, level in named_levels(task, label).items()
            if part in of_part
        ]
        if not named:
            named_label, known = without_quotations(label), ", ".join(task.labels)
            raise UsageError(f"{self.name} gives no label {named_label!r}; its labels are {known}")
        return named

    def _task_and_heads(self, example: Example) -> tuple[Task, list[int]]:
        """The task of an example, and the indices of its question's heads."""
        key = (example.task, example.question)
        if key not in self._head_indices:
            known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
            raise UsageError(f"{self.name} was not trained on {key[0]} ({key[1]}); it answers {known}")
        task = find_task(example.task, self._options.tasks)
        for index in self._head_indices[key]:
            check_labels(self._metadata.heads[index], task, self.name)
        return task, self._head_indices[key]

    def _levels(self, heads: Sequence[int], logits: Logits) -> dict[str, dict[str, float]]:
        """Probabilities of the levels of each part."""
        levels = {}
        for index in heads:
            head = self._metadata.heads[index]
            probabilities = calibrated_probabilities(logits[None, self._head_slices[index]], head)[0]
            levels[head.part] = dict(zip(head.labels, probabilities.tolist(), strict=True))
        return levels

    def _quoted(
        self, text: str, heads: Sequence[int], margins: NDArray[np.float32]
    ) -> dict[str, tuple[Span, ...]]:
        """The passages that are quoted for each type."""
        (offsets,) = self.classifier.token_offsets([text])
        return {
            self._metadata.heads[index].part: quoted_passages(
                text,
                offsets,
                margins[:, self._token_heads.index(index)] / self._metadata.heads[index].temperature,
            )
            for index in heads
        }

    def _prediction(
        self,
        example: Example,
        task: Task,
        levels: LevelProbabilities,
        passages: Mapping[str, Sequence[Span]],
    ) -> Prediction:
        quotations = [
            (part, example.text[span.start : span.end]) for part, spans in passages.items() for span in spans
        ]
        answer = compose_answer(task, levels, quotations)
        return Prediction(
            example_id=example.id,
            reading=Reading(status="parsed", label=answer.value),
            probabilities=answer.probabilities,
            evidence=tuple(span for spans in passages.values() for span in spans),
            model=self.name,
        )

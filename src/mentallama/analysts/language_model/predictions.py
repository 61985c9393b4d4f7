"""What is done around the answers of language models in memory, decoders and encoder-decoders alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.analysts.inference.logprobs import softmax
from mentallama.answers.parse import read_answer
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task


@dataclass(frozen=True)
class Generation:
    """What a model has said: the log-likelihoods of the written answers, by label, and what it wrote behind one.

    `cut`: the text ran to its bound and has no end.
    """

    answer_logprobs: Sequence[float]
    text: str = ""
    truncated: bool = False


class PredictionBuilder:
    """Make predictions of what was said, and count what was cut.

    Attributes
    ----------
    counts
        `truncated_posts`: posts that lost their end to the model's context. `truncated_explanations`: explanations that ran to
        `max_new_tokens`; their label stands. `truncated_answers`: the same for answers that are read, which have no label.
    """

    def __init__(self, name: str, context: int, say: Callable[[str], None]) -> None:
        self.name, self.counts = name, Counter[str]()
        self._context, self._log, self._last_truncated_post = context, say, ""

    def count_truncated_post(self, example: Example) -> None:
        """Count a post once, however many questions are asked about it."""
        if example.post_id == self._last_truncated_post:
            return
        if not self.counts["truncated_posts"]:
            self._log(
                f"{self.name} holds {self._context} tokens: longer posts are cut at their end, and counted"
            )
        self.counts["truncated_posts"] += 1
        self._last_truncated_post = example.post_id

    def build(self, example: Example, task: Task, said: Generation) -> Prediction:
        """The likeliest label with its reasons; where no answers were weighed, the text is read."""
        shares = (
            dict(zip(task.labels, softmax(said.answer_logprobs), strict=True)) if said.answer_logprobs else {}
        )
        if shares:
            self.counts["truncated_explanations"] += said.truncated
            label = list(task.labels)[argmax(said.answer_logprobs)]
            reading = Reading(status="parsed", label=label, explanation=said.text)
        else:
            self.counts["truncated_answers"] += said.truncated
            reading = read_answer(task, said.text, example.form, "length" if said.truncated else "stop")
        return Prediction(example_id=example.id, reading=reading, probabilities=shares, model=self.name)


def argmax(scores: Sequence[float]) -> int:
    """The place of the highest score, the first of equals."""
    return max(range(len(scores)), key=scores.__getitem__)


def unwrap_peft(opened: LoadedModel) -> Any:
    """The model itself, with adapters in it but without what peft wraps around.

    Raises
    ------
    WrongUse
        The adapter is one of learned tokens before the prompt.
    """
    config = getattr(opened.model, "peft_config", None)
    if config is None or not hasattr(opened.model, "get_base_model"):
        return opened.model
    if any(each.is_prompt_learning for each in config.values()):
        raise UsageError(
            f"{opened.name}: adapters that put learned tokens before the prompt cannot be asked; merge or use LoRA"
        )
    return opened.model.get_base_model()


def published_eos_ids(model: Any) -> list[int]:
    """Tokens that end a text by what was published with a model."""
    published = model.generation_config.eos_token_id
    return published if isinstance(published, list) else [] if published is None else [published]


@contextmanager
def inference_mode(model: Any) -> Iterator[None]:
    """Without gradients and dropout; afterwards, the model is in the mode in which it was."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)

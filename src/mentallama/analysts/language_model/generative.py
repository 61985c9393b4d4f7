"""Shared parts of the analysts that run a language model: tokenized answers, predictions from scores and text."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from math import exp, fsum, inf, isnan
from typing import Generic, Protocol, TypeVar

from mentallama.analysts.base import Analyst, InferenceOptions, NonFiniteOutputError, Template
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.parse import read_answer
from mentallama.prompts.question_prompts import QuestionPrompts, before_next_post
from mentallama.records import Example, Form, Prediction, Reading
from mentallama.tasks import QuestionKey, Task


@dataclass(frozen=True)
class Generation:
    """Output of a model for one question.

    `answer_logprobs` are log-likelihoods of the written answers, in the order of the task's labels; empty if the answer
    was generated.
    `text` is what was generated after the most likely answer (or after the prompt); `truncated` if it was stopped by
    `max_new_tokens` rather than a stop token.
    """

    answer_logprobs: Sequence[float]
    text: str = ""
    truncated: bool = False


@dataclass(frozen=True)
class AnswerTokens:
    """Token ids of a task's written answers, in the order of its labels.

    `explanation_prefixes` are the same answers followed by the word that introduces the explanation. Both are empty
    where the answer is generated: in free mode, and for answers of several parts, of which there are too many to score.
    """

    answers: tuple[list[int], ...] = ()
    explanation_prefixes: tuple[list[int], ...] = ()


class PredictionBuilder:
    """Turns a model's output into predictions, and counts truncated texts.

    Attributes
    ----------
    counts
        `truncated_posts`: posts that lost their end because they exceed the model's context. `truncated_explanations`:
        explanations stopped by `max_new_tokens`; their label is valid. `truncated_answers`: the same where the answer
        is generated as well, so that there is no label.
    """

    def __init__(self, name: str, context: int, options: InferenceOptions) -> None:
        self.name, self.counts = name, Counter[str]()
        self._prompts = options.question_prompts()
        self._context, self._log, self._last_truncated_post = context, options.log, ""
        self._labels_only = options.labels_only

    def count_truncated_post(self, example: Example) -> None:
        """Count a post once, however many consecutive questions are asked about it."""
        if example.post_id == self._last_truncated_post:
            return
        if not self.counts["truncated_posts"]:
            self._log(
                f"{self.name} has a context of {self._context} tokens: longer posts are truncated at their end, "
                "and counted"
            )
        self.counts["truncated_posts"] += 1
        self._last_truncated_post = example.post_id

    def build(self, example: Example, task: Task, generation: Generation) -> Prediction:
        """The most likely label with its explanation; if the answer was generated, the label parsed from the text."""
        scores, probabilities = generation.answer_logprobs, dict[str, float]()
        if scores:
            probabilities = label_probabilities(task.labels, scores, self.name)
            self.counts["truncated_explanations"] += generation.truncated
            reading = Reading(
                status="parsed", label=list(task.labels)[argmax(scores)], explanation=generation.text
            )
        else:
            # Where only the label is needed, an answer is complete once its reason begins.
            states_label = self._labels_only and REASONING_MARKER in generation.text
            truncated = generation.truncated and not states_label
            self.counts["truncated_answers"] += truncated
            finish_reason = "length" if truncated else "stop"
            form = self._prompts.answer_form(example.form)
            reading = read_answer(task, generation.text, form, finish_reason)
        return Prediction(
            example_id=example.id, reading=reading, probabilities=probabilities, model=self.name
        )


class AnswerEncoder(Protocol):
    """The part of a prompt encoder that writes and reads answers."""

    form: Form
    prompts: QuestionPrompts

    def encode_answer(self, text: str, add_stop_token: bool) -> list[int]: ...

    def decode_answer(self, ids: Sequence[int]) -> str: ...


EncoderT = TypeVar("EncoderT", bound=AnswerEncoder)


class GenerativeAnalyst(Analyst, Generic[EncoderT]):
    """Base of `causal`, `seq2seq` and `vllm`: one prompt encoder per form, answers tokenized once per task.

    Attributes
    ----------
    counts
        Numbers of truncated texts, as in `PredictionBuilder`.
    """

    def __init__(self, name: str, context: int, options: InferenceOptions) -> None:
        self.name, self._context, self._options = name, context, options
        self._builder = PredictionBuilder(name, context, options)
        self.counts = self._builder.counts
        self._prompts = options.question_prompts()
        self._prompt_encoders: dict[Form, EncoderT] = {}
        self._answer_tokens: dict[tuple[str, Form], AnswerTokens] = {}
        self._generates = options.mode == "free" or not options.labels_only

    @property
    def gives_probabilities(self) -> bool:
        """False in free mode, where the label is in the generated text."""
        return self._options.mode != "free"

    def scoring_view(self) -> GenerativeAnalyst[EncoderT]:
        """The same model without explanations, unless the label is in them."""
        view = copy(self)
        view._options = replace(self._options, labels_only=True, log=lambda _: None)
        view._builder = PredictionBuilder(self.name, self._context, view._options)
        view.counts, view._generates = view._builder.counts, self._options.mode == "free"
        return view

    def _generates_for(self, task: Task) -> bool:
        """Whether text is generated: an answer of several parts always is, as it is not scored."""
        return self._generates or task.is_composite

    def prepare(self, questions: Collection[QuestionKey]) -> None:
        """Encode each question about an empty post, so that one that does not fit is found before any work."""
        for name, question in questions if self._prompts.instructs else ():
            self._encode(Example(id="", post_id="", task=name, question=question, form=self.form, text=""))

    @abstractmethod
    def _encode(self, example: Example) -> object:
        """Encode the prompt of an example; raises `UsageError` if the question alone exceeds the model's context."""

    @abstractmethod
    def _new_prompt_encoder(self, form: Form) -> EncoderT: ...

    def _prompt_encoder(self, form: Form) -> EncoderT:
        if form not in self._prompt_encoders:
            self._prompt_encoders[form] = self._new_prompt_encoder(form)
        return self._prompt_encoders[form]

    def _tokenized_answers(self, task: Task, encoder: EncoderT) -> AnswerTokens:
        if self._options.mode == "free" or task.is_composite:
            return AnswerTokens()
        key = (task.set, encoder.form)
        if key not in self._answer_tokens:
            form = self._prompts.answer_form(encoder.form)
            sentences = [label_sentence(task, label, form) for label in task.labels]
            with_marker = [f"{sentence} {REASONING_MARKER}" for sentence in sentences]
            self._answer_tokens[key] = AnswerTokens(
                tuple(encoder.encode_answer(text, add_stop_token=False) for text in sentences),
                tuple(encoder.encode_answer(text, add_stop_token=False) for text in with_marker),
            )
        return self._answer_tokens[key]


def trained_template(template: Template, metadata: ModelMetadata | None) -> Template:
    """The template to prompt a model with: for `auto`, the one it was trained with in this project, if it was."""
    return metadata.template if metadata is not None and template == "auto" else template


def decode_generated(
    encoder: AnswerEncoder, ids: Sequence[int], stop_token_ids: frozenset[int]
) -> tuple[str, bool]:
    """Generated text without its stop token, and whether it was truncated, that is, has none.

    A text that goes on with a post of its own after instructions was complete before it.
    """
    complete = bool(ids) and ids[-1] in stop_token_ids
    text = encoder.decode_answer(ids[:-1] if complete else ids)
    if encoder.prompts.instructs:
        text, went_on = before_next_post(text)
        complete = complete or went_on
    return text, not complete


def argmax(scores: Sequence[float]) -> int:
    """Index of the highest score; the first in case of a tie."""
    return max(range(len(scores)), key=scores.__getitem__)


def label_probabilities(labels: Iterable[str], logprobs: Sequence[float], name: str) -> dict[str, float]:
    """Probability of each label from the log-likelihood of its answer, in nats; -inf is probability 0.

    Raises
    ------
    NonFiniteOutputError
        A log-likelihood is NaN or positive infinity, or all are negative infinity; `name` is the model's.
    """
    if any(isnan(logprob) for logprob in logprobs) or max(logprobs) in (inf, -inf):
        raise NonFiniteOutputError(name)
    return dict(zip(labels, softmax(logprobs), strict=True))


def softmax(logprobs: Sequence[float]) -> list[float]:
    """Probabilities from log-likelihoods in nats. In pure Python, as `remote` runs without numpy or torch."""
    highest = max(logprobs)
    weights = [exp(logprob - highest) for logprob in logprobs]
    total = fsum(weights)
    return [weight / total for weight in weights]

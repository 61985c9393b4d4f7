"""The seq2seq analyst: an encoder-decoder (BART, T5) scores the written answers, then explains the most likely one.

The probability of a label is the likelihood of its written answer as the decoder's output, normalised over the answers
of the question. The question is part of the encoder's input, so each pair of post and question is encoded once; all its
answers and the explanation reuse that encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.loading import (
    LoadedModel,
    choose_device,
    choose_dtype,
    inference_mode,
    load_pretrained,
    published_eos_ids,
    unwrap_peft,
)
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.analysts.inference.generation import StopCriteria
from mentallama.analysts.inference.prompt_encoding import EncodedPrompt
from mentallama.analysts.inference.seq2seq_encoding import Seq2seqPromptEncoder
from mentallama.analysts.inference.seq2seq_generation import encode, generate_seq2seq, score_answers
from mentallama.analysts.language_model.generative import (
    AnswerTokens,
    Generation,
    GenerativeAnalyst,
    argmax,
    decode_generated,
)
from mentallama.errors import UsageError
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task


@dataclass(frozen=True)
class Seq2seqQuestion:
    """An example as tokens, with all that is needed to answer it, and its index in the batch."""

    index: int
    example: Example
    task: Task
    prompt_encoder: Seq2seqPromptEncoder
    prompt: list[int]
    tokens: AnswerTokens

    @property
    def n_tokens(self) -> int:
        """Tokens on both sides, before anything is generated."""
        longest = max(map(len, self.tokens.explanation_prefixes), default=0)
        return len(self.prompt) + longest + len(self.prompt_encoder.decoder_prefix)

    def halves(self) -> list[Seq2seqQuestion]:
        """A single question cannot be split."""
        return [self]


class Seq2seqAnalyst(GenerativeAnalyst[Seq2seqPromptEncoder]):
    """Answers with an encoder-decoder.

    Parameters
    ----------
    loaded
        The model, in memory. It keeps its mode (training or evaluation).
    options
        Options of inference.
    """

    kind = "seq2seq"

    def __init__(self, loaded: LoadedModel, options: InferenceOptions) -> None:
        super().__init__(loaded.name, loaded.context, options)
        self._tokenizer, self._model = loaded.tokenizer, unwrap_peft(loaded)
        self._token_budget = TokenBudget(options.max_batch_tokens, options.log)

    @classmethod
    def load(cls, location: str, options: InferenceOptions) -> Seq2seqAnalyst:
        """Open a folder, an adapter's folder or an id on the hub.

        Raises
        ------
        UsageError
            There is no such model, it is not an encoder-decoder, or the requested device is missing.
        """
        device = choose_device(options.device)
        dtype = choose_dtype(options.dtype, device)
        return cls(load_pretrained(location, "seq2seq", dtype, device), options)

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer a batch of examples; predictions come in their order.

        Raises
        ------
        UsageError
            An example belongs to an unknown task, or its question or its answers exceed the model's context.
        MentallamaError
            Memory does not suffice for a single question.
        """
        questions = [self._question(index, example) for index, example in enumerate(examples)]
        generations: dict[int, Generation] = {}
        with inference_mode(self._model, self.name):
            for group in self._alike(questions):
                for batch, results in run_in_batches(group, self._token_budget, self._score_and_generate):
                    generations.update(zip((question.index for question in batch), results, strict=True))
        for question in questions:
            yield self._builder.build(question.example, question.task, generations[question.index])

    def _alike(self, questions: Sequence[Seq2seqQuestion]) -> tuple[list[Seq2seqQuestion], ...]:
        """Questions whose answers are scored, and those whose answers are generated: no batch has both."""
        composite = [question for question in questions if question.task.is_composite]
        return [question for question in questions if not question.task.is_composite], composite

    def _question(self, index: int, example: Example) -> Seq2seqQuestion:
        task, encoder = find_task(example.task, self._options.tasks), self._prompt_encoder(example.form)
        prompt = self._encode(example)
        if prompt.truncated_chars:
            self._builder.count_truncated_post(example)
        return Seq2seqQuestion(
            index, example, task, encoder, prompt.ids, self._tokenized_answers(task, encoder)
        )

    def _encode(self, example: Example) -> EncodedPrompt:
        task = find_task(example.task, self._options.tasks)
        return self._prompt_encoder(example.form).encode_prompt(example, task)

    def _new_prompt_encoder(self, form: Form) -> Seq2seqPromptEncoder:
        return Seq2seqPromptEncoder(
            self._model, self._tokenizer, form, self._options.template, self._context, self._prompts
        )

    def _tokenized_answers(self, task: Task, encoder: Seq2seqPromptEncoder) -> AnswerTokens:
        tokens = super()._tokenized_answers(task, encoder)
        longest = len(encoder.decoder_prefix) + max(map(len, tokens.explanation_prefixes), default=0)
        if longest > encoder.context:
            raise UsageError(
                f"the model generates at most {encoder.context} tokens, but an answer of {task.set} takes "
                f"{longest}; use another model"
            )
        return tokens

    def _score_and_generate(self, batch: Sequence[Seq2seqQuestion]) -> list[Generation]:
        """Encode a batch of questions that are alike, score their answers, and generate the rest."""
        encoder = batch[0].prompt_encoder
        encoded, prefix = encode(self._model, [question.prompt for question in batch]), encoder.decoder_prefix
        scores = [list[float]() for _ in batch]
        if batch[0].tokens.answers:
            scores = score_answers(encoded, prefix, [question.tokens.answers for question in batch])
        if not self._generates_for(batch[0].task):
            return [Generation(logprobs) for logprobs in scores]
        starts = [
            [*prefix, *(question.tokens.explanation_prefixes[argmax(logprobs)] if logprobs else [])]
            for question, logprobs in zip(batch, scores, strict=True)
        ]
        stop = self._stop_criteria(encoder)
        generated = generate_seq2seq(encoded, starts, stop)
        return [
            Generation(logprobs, *decode_generated(question.prompt_encoder, ids, stop.stop_token_ids))
            for question, logprobs, ids in zip(batch, scores, generated, strict=True)
        ]

    def _stop_criteria(self, encoder: Seq2seqPromptEncoder) -> StopCriteria:
        stop_token_ids = frozenset((*published_eos_ids(self._model), *encoder.stop_token_ids))
        return StopCriteria(stop_token_ids, self._options.max_new_tokens, encoder.context)

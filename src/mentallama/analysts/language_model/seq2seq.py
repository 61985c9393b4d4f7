"""Ask an encoder-decoder (BART, T5): the likeliest of the question's written answers, then its reasons (DESIGN 4).

The probability of a label is that of its written answer as the decoder's first words, among the question's answers.
The question stands in the encoder's text, so that what is read once is a post with one question; all its answers, and
the reasons behind the likeliest, come from that one reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.device import choose_device, choose_dtype
from mentallama.analysts.checkpoints.loading import LoadedModel, load_pretrained
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.analysts.inference.generation import StopCriteria
from mentallama.analysts.inference.seq2seq_encoding import Seq2seqPromptEncoder
from mentallama.analysts.inference.seq2seq_generation import encode, generate_seq2seq, score_answers
from mentallama.analysts.language_model.predictions import (
    Generation,
    PredictionBuilder,
    argmax,
    inference_mode,
    published_eos_ids,
    unwrap_peft,
)
from mentallama.answers.parse import REASONING_MARKER, label_sentence
from mentallama.errors import UsageError
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task


@dataclass(frozen=True)
class Seq2seqQuestion:
    """An example as the model is asked it. `leads` are the answers with the word that reasons follow; by label."""

    index: int
    example: Example
    task: Task
    prompt_encoder: Seq2seqPromptEncoder
    prompt: list[int]
    answers: tuple[list[int], ...] = ()
    explanation_prefixes: tuple[list[int], ...] = ()

    @property
    def n_tokens(self) -> int:
        """Tokens to read, on both sides."""
        return (
            len(self.prompt)
            + max((len(ids) for ids in self.explanation_prefixes), default=0)
            + len(self.prompt_encoder.decoder_prefix)
        )

    def halves(self) -> list[Seq2seqQuestion]:
        """It has no parts."""
        return [self]


class Seq2seqAnalyst:
    """Answer with an encoder-decoder.

    Parameters
    ----------
    opened
        The model, in memory; it is left in the mode (training or not) in which it comes.
    asking
        How it is asked.

    Attributes
    ----------
    counts
        What was cut; see `PredictionBuilder`.
    """

    def __init__(self, loaded: LoadedModel, options: InferenceOptions) -> None:
        self._loaded, self._options = loaded, options
        self._builder = PredictionBuilder(loaded.name, loaded.context, options.log)
        self.name, self.counts = loaded.name, self._builder.counts
        self._model = unwrap_peft(loaded)
        self._prompt_encoders: dict[Form, Seq2seqPromptEncoder] = {}
        self._answers: dict[tuple[str, Form], tuple[tuple[list[int], ...], tuple[list[int], ...]]] = {}
        self._token_budget = TokenBudget(options.max_batch_tokens, options.log)
        self._generates = options.mode == "free" or not options.labels_only

    @classmethod
    def load(cls, where: str, asking: InferenceOptions) -> Seq2seqAnalyst:
        """Open a folder, an adapter's folder or an id on the hub.

        Raises
        ------
        WrongUse
            There is no such model, it is of another kind, or there is not the device that is asked for.
        """
        device = choose_device(asking.device)
        return cls(load_pretrained(where, "seq2seq", choose_dtype(asking.dtype, device), device), asking)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            An example is of an unknown task, or the model does not hold its question or its answers.
        MentallamaError
            Memory does not even hold one question.
        """
        questions = [self._question(number, example) for number, example in enumerate(examples)]
        said: dict[int, Generation] = {}
        with inference_mode(self._model):
            for part, found in run_in_batches(questions, self._token_budget, self._score_and_generate):
                said.update(zip((question.index for question in part), found, strict=True))
        for question in questions:
            yield self._builder.build(question.example, question.task, said[question.index])

    def _question(self, number: int, example: Example) -> Seq2seqQuestion:
        task, sides = find_task(example.task, self._options.tasks), self._prompt_encoder(example.form)
        prompt = sides.encode_prompt(example, task)
        if prompt.truncated_chars:
            self._builder.count_truncated_post(example)
        return Seq2seqQuestion(
            number, example, task, sides, prompt.ids, *self._tokenized_answers(task, sides)
        )

    def _prompt_encoder(self, form: Form) -> Seq2seqPromptEncoder:
        if form not in self._prompt_encoders:
            opened = self._loaded
            self._prompt_encoders[form] = Seq2seqPromptEncoder(
                self._model, opened.tokenizer, form, self._options.template, opened.context
            )
        return self._prompt_encoders[form]

    def _tokenized_answers(
        self, task: Task, sides: Seq2seqPromptEncoder
    ) -> tuple[tuple[list[int], ...], tuple[list[int], ...]]:
        """The answers to a task's questions as tokens, and the same with the word that reasons follow; by label."""
        if self._options.mode == "free":
            return (), ()
        key = (task.set, sides.form)
        if key not in self._answers:
            sentences = [label_sentence(task, label, sides.form) for label in task.labels]
            answers = tuple(sides.encode_answer(sentence) for sentence in sentences)
            leads = tuple(sides.encode_answer(f"{sentence} {REASONING_MARKER}") for sentence in sentences)
            longest = len(sides.decoder_prefix) + max(map(len, leads))
            if longest > sides.context:
                raise UsageError(
                    f"the model writes {sides.context} tokens, and an answer of {task.set} takes {longest}; "
                    "take another model"
                )
            self._answers[key] = answers, leads
        return self._answers[key]

    def _score_and_generate(self, part: Sequence[Seq2seqQuestion]) -> list[Generation]:
        """Read some questions together, weigh their answers, and write where that is asked."""
        encoded = encode(self._model, [question.prompt for question in part])
        begun, scores = part[0].prompt_encoder.decoder_prefix, [list[float]() for _ in part]
        if part[0].answers:
            scores = score_answers(encoded, begun, [question.answers for question in part])
        if not self._generates:
            return [Generation(own) for own in scores]
        behind = [
            [*begun, *(question.explanation_prefixes[argmax(own)] if own else [])]
            for question, own in zip(part, scores, strict=True)
        ]
        bounds = self._stop_criteria(part[0].prompt_encoder)
        written = generate_seq2seq(encoded, behind, bounds)
        return [
            _generation(question, own, ids, bounds)
            for question, own, ids in zip(part, scores, written, strict=True)
        ]

    def _stop_criteria(self, sides: Seq2seqPromptEncoder) -> StopCriteria:
        ends = frozenset((*published_eos_ids(self._model), *sides.stop_token_ids))
        return StopCriteria(ends, self._options.max_new_tokens, sides.context)


def _generation(
    question: Seq2seqQuestion, scores: list[float], ids: list[int], bounds: StopCriteria
) -> Generation:
    """What was written as text, without the token that ended it."""
    whole = bool(ids) and ids[-1] in bounds.stop_token_ids
    return Generation(
        scores, question.prompt_encoder.decode_answer(ids[:-1] if whole else ids), truncated=not whole
    )

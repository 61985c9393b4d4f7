"""Ask a decoder language model: the likeliest of the question's written answers, then its reasons (DESIGN 4).

The probability of a label is that of its written answer behind the prompt, among the question's answers. All questions
about a post are read as one tree, and what is written behind an answer goes on from what was read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.device import choose_device, choose_dtype
from mentallama.analysts.checkpoints.loading import LoadedModel, load_pretrained
from mentallama.analysts.inference.answer_scoring import (
    ScoredPrompt,
    ScoringGroup,
    ScoringRequest,
    score_trees,
)
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.analysts.inference.generation import GenerationSlot, StopCriteria, generate
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.inference.token_trie import common_prefix_length
from mentallama.analysts.inference.unshared import generate_unshared, max_tree_length, score_unshared
from mentallama.analysts.language_model.predictions import (
    Generation,
    PredictionBuilder,
    argmax,
    inference_mode,
    published_eos_ids,
    unwrap_peft,
)
from mentallama.answers.parse import REASONING_MARKER, label_sentence
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task


@dataclass(frozen=True)
class CausalQuestion:
    """An example as the model is asked it. `leads` are the answers with the word that reasons follow; by label."""

    example: Example
    task: Task
    prompt_encoder: PromptEncoder
    request: ScoringRequest
    explanation_prefixes: tuple[list[int], ...] = ()


@dataclass
class CausalOutput:
    """What the model has said: the answers' log-likelihoods, and what it has written, if it was to write."""

    answer_logprobs: list[float]
    slot: GenerationSlot | None = None


class CausalAnalyst:
    """Answer with a decoder language model.

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
        self._prompt_encoders: dict[Form, PromptEncoder] = {}
        self._answers: dict[tuple[str, Form], tuple[tuple[list[int], ...], tuple[list[int], ...]]] = {}
        self._token_budget = TokenBudget(options.max_batch_tokens, options.log)
        self._max_tree_length = max_tree_length(self._model, loaded.context)
        self._generates = options.mode == "free" or not options.labels_only

    @classmethod
    def load(cls, where: str, asking: InferenceOptions) -> CausalAnalyst:
        """Open a folder, an adapter's folder or an id on the hub.

        Raises
        ------
        WrongUse
            There is no such model, or not the device that is asked for.
        """
        device = choose_device(asking.device)
        return cls(load_pretrained(where, "causal", choose_dtype(asking.dtype, device), device), asking)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            An example is of an unknown task, or its question alone is longer than the model's context.
        MentallamaError
            Memory does not even hold one question.
        """
        questions = [self._question(example) for example in examples]
        with inference_mode(self._model):
            answers = self._score_and_generate(questions)
        for question, answer in zip(questions, answers, strict=True):
            said = Generation(answer.answer_logprobs, *self._decode(question, answer.slot))
            yield self._builder.build(question.example, question.task, said)

    def _question(self, example: Example) -> CausalQuestion:
        task, prompter = find_task(example.task, self._options.tasks), self._prompt_encoder(example.form)
        answers, leads = self._tokenized_answers(task, prompter)
        behind = [len(ids) for ids in (leads if self._generates else answers)]
        prompt = prompter.encode_prompt(example, task, max(behind, default=0) + self._reserved_tokens)
        if prompt.truncated_chars:
            self._builder.count_truncated_post(example)
        return CausalQuestion(example, task, prompter, ScoringRequest(prompt.ids, answers), leads)

    @property
    def _reserved_tokens(self) -> int:
        return self._options.max_new_tokens if self._generates else 0

    def _prompt_encoder(self, form: Form) -> PromptEncoder:
        if form not in self._prompt_encoders:
            file, template = self._loaded.metadata, self._options.template
            # A model that was trained here is asked as it was taught.
            chosen = file.template if file is not None and template == "auto" else template
            self._prompt_encoders[form] = PromptEncoder(
                self._loaded.tokenizer, form, chosen, self._loaded.context
            )
        return self._prompt_encoders[form]

    def _tokenized_answers(
        self, task: Task, prompter: PromptEncoder
    ) -> tuple[tuple[list[int], ...], tuple[list[int], ...]]:
        """The answers to a task's questions as tokens, and the same with the word that reasons follow; by label."""
        if self._options.mode == "free":
            return (), ()
        key = (task.set, prompter.form)
        if key not in self._answers:
            sentences = [label_sentence(task, label, prompter.form) for label in task.labels]
            self._answers[key] = (
                tuple(prompter.encode_answer(sentence, add_stop_token=False) for sentence in sentences),
                tuple(
                    prompter.encode_answer(f"{sentence} {REASONING_MARKER}", add_stop_token=False)
                    for sentence in sentences
                ),
            )
        return self._answers[key]

    def _score_and_generate(self, questions: Sequence[CausalQuestion]) -> list[CausalOutput]:
        """Read all questions, in trees where that can be, and write behind them where that is asked."""
        answers = [CausalOutput([]) for _ in questions]
        fits = [self._fits_tree(question) for question in questions]
        tree = [number for number, fit in enumerate(fits) if fit]
        alone = [number for number, fit in enumerate(fits) if not fit]
        rows = self._score_in_trees(questions, tree, answers)
        bounds = self._stop_criteria(questions)
        for row in generate(self._model, rows, bounds, self._token_budget):
            answers[row.index].slot = row
        for row in generate_unshared(
            self._model, self._score_unshared(questions, alone, answers), bounds, self._token_budget
        ):
            answers[row.index].slot = row
        return answers

    def _fits_tree(self, question: CausalQuestion) -> bool:
        behind = max(
            (len(ids) for ids in (question.explanation_prefixes or question.request.answers)), default=0
        )
        return len(question.request.prompt) + behind + self._reserved_tokens <= self._max_tree_length

    def _stop_criteria(self, questions: Sequence[CausalQuestion]) -> StopCriteria:
        own = chain.from_iterable(question.prompt_encoder.stop_token_ids for question in questions)
        return StopCriteria(
            frozenset(chain(published_eos_ids(self._model), own)),
            self._options.max_new_tokens,
            self._loaded.context,
        )

    def _score_in_trees(
        self, questions: Sequence[CausalQuestion], numbers: Sequence[int], answers: Sequence[CausalOutput]
    ) -> Iterator[GenerationSlot]:
        """Fill in scores pass by pass; give the rows to be written on."""
        by_post: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            by_post[questions[number].example.text].append(number)
        groups = [
            ScoringGroup(own, [questions[number].request for number in own]) for own in by_post.values()
        ]
        for part, found in run_in_batches(groups, self._token_budget, self._score_groups):
            for group, reads in zip(part, found, strict=True):
                for number, read in zip(group.indices, reads, strict=True):
                    answers[number].answer_logprobs = read.answer_logprobs
                    if self._generates:
                        yield _generation_slot(number, questions[number], read)

    def _score_groups(self, groups: Sequence[ScoringGroup]) -> list[list[ScoredPrompt]]:
        return score_trees(self._model, groups, keep_cache=self._generates)

    def _score_unshared(
        self, questions: Sequence[CausalQuestion], numbers: Sequence[int], answers: Sequence[CausalOutput]
    ) -> list[GenerationSlot]:
        scores = score_unshared(
            self._model, {number: questions[number].request for number in numbers}, self._token_budget
        )
        for number in numbers:
            answers[number].answer_logprobs = scores[number]
        return [
            _generation_slot(number, questions[number], ScoredPrompt(scores[number], []))
            for number in numbers
            if self._generates
        ]

    def _decode(self, question: CausalQuestion, row: GenerationSlot | None) -> tuple[str, bool]:
        """What was written, without the token that ended it; and whether it had none."""
        if row is None:
            return "", False
        ids, ends = row.generated, self._stop_criteria([question]).stop_token_ids
        whole = bool(ids) and ids[-1] in ends
        return question.prompt_encoder.decode_answer(ids[:-1] if whole else ids), not whole


def _generation_slot(number: int, question: CausalQuestion, read: ScoredPrompt) -> GenerationSlot:
    """Where to write on: behind the likeliest answer and the word that reasons follow, or behind the prompt."""
    likeliest = argmax(read.answer_logprobs) if read.answer_logprobs else 0
    tokens = question.request.prompt + (
        question.explanation_prefixes[likeliest] if question.explanation_prefixes else []
    )
    if read.cached_layers is None:
        return GenerationSlot(number, tokens)
    # At least one token is read again: behind it stands the first that is written.
    known = min(common_prefix_length(question.request.sequences[likeliest], tokens), len(tokens) - 1)
    return GenerationSlot(number, tokens, read.paths[likeliest][:known], read.cached_layers, read.cache_row)

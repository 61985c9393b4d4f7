"""The causal analyst: a decoder language model scores the written answers, then explains the most likely one.

The probability of a label is the likelihood of its written answer after the prompt, normalised over the answers of the
question. All questions about a post are scored as one token tree, and generation continues from the cached keys and
values of the chosen answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

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
from mentallama.analysts.inference.answer_scoring import (
    ScoredPrompt,
    ScoringGroup,
    ScoringRequest,
    score_trees,
    split_by_tree_size,
)
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.analysts.inference.generation import GenerationSlot, StopCriteria, generate
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.inference.token_trie import common_prefix_length
from mentallama.analysts.inference.unshared import generate_unshared, max_tree_length, score_unshared
from mentallama.analysts.language_model.generative import (
    Generation,
    GenerativeAnalyst,
    argmax,
    decode_generated,
    trained_template,
)
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task


@dataclass(frozen=True)
class CausalQuestion:
    """An example as tokens, with all that is needed to answer it. `explanation_prefixes` is as in `AnswerTokens`."""

    example: Example
    task: Task
    prompt_encoder: PromptEncoder
    request: ScoringRequest
    explanation_prefixes: tuple[list[int], ...] = ()


@dataclass
class CausalOutput:
    """Log-likelihoods of the answers, and the generated text if there is any."""

    answer_logprobs: list[float]
    slot: GenerationSlot | None = None


class CausalAnalyst(GenerativeAnalyst[PromptEncoder]):
    """Answers with a decoder language model.

    Parameters
    ----------
    loaded
        The model, in memory. It keeps its mode (training or evaluation).
    options
        Options of inference.
    """

    kind = "causal"

    def __init__(self, loaded: LoadedModel, options: InferenceOptions) -> None:
        super().__init__(loaded.name, loaded.context, options)
        self._tokenizer, self._metadata = loaded.tokenizer, loaded.metadata
        self._model = unwrap_peft(loaded)
        self._token_budget = TokenBudget(options.max_batch_tokens, options.log)
        self._max_tree_length = max_tree_length(self._model, loaded.context)

    @classmethod
    def load(cls, location: str, options: InferenceOptions) -> CausalAnalyst:
        """Open a folder, an adapter's folder or an id on the hub.

        Raises
        ------
        UsageError
            There is no such model, or the requested device is missing.
        """
        device = choose_device(options.device)
        dtype = choose_dtype(options.dtype, device)
        return cls(load_pretrained(location, "causal", dtype, device), options)

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer a batch of examples; predictions come in their order.

        Raises
        ------
        UsageError
            An example belongs to an unknown task, or its question alone exceeds the model's context.
        MentallamaError
            Memory does not suffice for a single question.
        """
        questions = [self._question(example) for example in examples]
        with inference_mode(self._model, self.name):
            outputs = self._score_and_generate(questions)
        for question, output in zip(questions, outputs, strict=True):
            generation = Generation(output.answer_logprobs, *self._decode(question, output.slot))
            yield self._builder.build(question.example, question.task, generation)

    def _encode(self, example: Example) -> CausalQuestion:
        return self._question(example)

    def _question(self, example: Example) -> CausalQuestion:
        task, encoder = find_task(example.task, self._options.tasks), self._prompt_encoder(example.form)
        tokens = self._tokenized_answers(task, encoder)
        after_prompt = tokens.explanation_prefixes if self._generates_for(task) else tokens.answers
        longest = max(map(len, after_prompt), default=0)
        prompt = encoder.encode_prompt(example, task, longest + self._reserved_tokens(task))
        if prompt.truncated_chars:
            self._builder.count_truncated_post(example)
        request = ScoringRequest(prompt.ids, tokens.answers)
        return CausalQuestion(example, task, encoder, request, tokens.explanation_prefixes)

    def _reserved_tokens(self, task: Task) -> int:
        return self._options.max_new_tokens if self._generates_for(task) else 0

    def _new_prompt_encoder(self, form: Form) -> PromptEncoder:
        template = trained_template(self._options.template, self._metadata)
        return PromptEncoder(self._tokenizer, form, template, self._context, self._prompts)

    def _score_and_generate(self, questions: Sequence[CausalQuestion]) -> list[CausalOutput]:
        """Score the answers to all questions, as trees where the model allows it, and generate explanations."""
        outputs = [CausalOutput([]) for _ in questions]
        fits = [self._fits_tree(question) for question in questions]
        in_trees = [index for index, fit in enumerate(fits) if fit]
        unshared = [index for index, fit in enumerate(fits) if not fit]
        slots = self._score_in_trees(questions, in_trees, outputs)
        stop = self._stop_criteria(questions)
        for slot in generate(self._model, slots, stop, self._token_budget):
            outputs[slot.index].slot = slot
        rest = self._score_unshared(questions, unshared, outputs)
        for slot in generate_unshared(self._model, rest, stop, self._token_budget):
            outputs[slot.index].slot = slot
        return outputs

    def _fits_tree(self, question: CausalQuestion) -> bool:
        after_prompt = question.explanation_prefixes or question.request.answers
        longest = max(map(len, after_prompt), default=0)
        return (
            len(question.request.prompt) + longest + self._reserved_tokens(question.task)
            <= self._max_tree_length
        )

    def _stop_criteria(self, questions: Sequence[CausalQuestion]) -> StopCriteria:
        encoder_ids = chain.from_iterable(question.prompt_encoder.stop_token_ids for question in questions)
        return StopCriteria(
            frozenset(chain(published_eos_ids(self._model), encoder_ids)),
            self._options.max_new_tokens,
            self._context,
        )

    def _score_in_trees(
        self, questions: Sequence[CausalQuestion], indices: Sequence[int], outputs: Sequence[CausalOutput]
    ) -> Iterator[GenerationSlot]:
        """Fill in scores batch by batch; yield the slots for generation."""
        groups = [
            ScoringGroup(members, [questions[index].request for index in members])
            for members in self._shared_prefixes(questions, indices)
        ]
        keep_cache = any(self._generates_for(questions[index].task) for index in indices)

        def score(batch: Sequence[ScoringGroup]) -> list[list[ScoredPrompt]]:
            return score_trees(self._model, batch, keep_cache)

        for batch, results in run_in_batches(groups, self._token_budget, score):
            for group, scored_prompts in zip(batch, results, strict=True):
                for index, scored in zip(group.indices, scored_prompts, strict=True):
                    outputs[index].answer_logprobs = scored.answer_logprobs
                    if self._generates_for(questions[index].task):
                        yield _generation_slot(index, questions[index], scored)

    def _shared_prefixes(
        self, questions: Sequence[CausalQuestion], indices: Sequence[int]
    ) -> Iterator[list[int]]:
        """Indices of questions whose prompts begin alike, in groups that are scored as one tree.

        Prompts begin with the post or, with instructions, alike for all posts of a question: as many of these as fit
        into half a batch share one tree, since attention takes time with the square of its size. A post without one
        of its clauses, which shows what the clause contributes, begins as the post does up to there.
        """
        grouped = _by_instructions if self._prompts.instructs else _by_beginning
        for members in grouped(questions, indices):
            requests = [questions[index].request for index in members]
            for part in split_by_tree_size(requests, self._token_budget.max_tokens // 2):
                yield members[part]

    def _score_unshared(
        self, questions: Sequence[CausalQuestion], indices: Sequence[int], outputs: Sequence[CausalOutput]
    ) -> list[GenerationSlot]:
        requests = {index: questions[index].request for index in indices}
        scores = score_unshared(self._model, requests, self._token_budget)
        for index in indices:
            outputs[index].answer_logprobs = scores[index]
        return [
            _generation_slot(index, questions[index], ScoredPrompt(scores[index], []))
            for index in indices
            if self._generates_for(questions[index].task)
        ]

    def _decode(self, question: CausalQuestion, slot: GenerationSlot | None) -> tuple[str, bool]:
        """The generated text, and whether it was truncated."""
        if slot is None:
            return "", False
        stop_token_ids = self._stop_criteria([question]).stop_token_ids
        return decode_generated(question.prompt_encoder, slot.generated, stop_token_ids)


def _by_instructions(questions: Sequence[CausalQuestion], indices: Sequence[int]) -> list[list[int]]:
    """Groups of questions with the same instructions."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index in indices:
        example = questions[index].example
        groups[example.task, example.question, example.form].append(index)
    return list(groups.values())


def _by_beginning(questions: Sequence[CausalQuestion], indices: Sequence[int]) -> list[list[int]]:
    """Groups of questions of which each shares at least half of its prompt with the one before."""
    groups: list[list[int]] = []
    before: list[int] = []
    for index in sorted(indices, key=lambda index: questions[index].request.prompt):
        prompt = questions[index].request.prompt
        if groups and 2 * common_prefix_length(before, prompt) >= len(prompt):
            groups[-1].append(index)
        else:
            groups.append([index])
        before = prompt
    return groups


def _generation_slot(index: int, question: CausalQuestion, scored: ScoredPrompt) -> GenerationSlot:
    """The text to continue: the prompt with the most likely answer and the reasoning marker, or the prompt alone."""
    best = argmax(scored.answer_logprobs) if scored.answer_logprobs else 0
    prefix = question.explanation_prefixes[best] if question.explanation_prefixes else []
    tokens = question.request.prompt + prefix
    if scored.cached_layers is None:
        return GenerationSlot(index, tokens)
    # At least one token is computed again: its logits give the first generated token.
    n_cached = min(common_prefix_length(question.request.sequences[best], tokens), len(tokens) - 1)
    nodes = scored.paths[best][:n_cached]
    return GenerationSlot(index, tokens, nodes, scored.cached_layers, scored.cache_row)

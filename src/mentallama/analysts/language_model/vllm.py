"""The vLLM analyst: the decoders of `causal` on vLLM, `vllm:DIR_OR_ID`. It needs a GPU.

Written against the documented interface of vLLM 0.32 and 0.33 and tested with a stand-in of the same signatures; it has
not been run on vLLM itself.

The label is the most likely of the question's written answers, by the log-probabilities of their tokens after the
prompt. vLLM recomputes a prompt whose log-probabilities are requested: the prefix cache speeds up generation, not
scoring.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from math import fsum
from pathlib import Path
from typing import Any

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.metadata import ModelMetadata, read_model_metadata
from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.language_model.generative import (
    Generation,
    GenerativeAnalyst,
    argmax,
    trained_template,
)
from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.errors import UsageError
from mentallama.extras import install_hint
from mentallama.prompts.question_prompts import before_next_post
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task

VLLM_QUIET_ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""No telemetry; only errors are logged."""


class VllmAnalyst(GenerativeAnalyst[PromptEncoder]):
    """Answers with a decoder language model on vLLM.

    Parameters
    ----------
    engine
        A `vllm.LLM`.
    name
        The model's name in predictions.
    options
        Options of inference.
    metadata
        Metadata of the model, if this project trained it.
    """

    kind = "vllm"

    def __init__(
        self, engine: Any, name: str, options: InferenceOptions, metadata: ModelMetadata | None = None
    ) -> None:
        super().__init__(name, int(engine.llm_engine.model_config.max_model_len), options)
        self._engine, self._tokenizer, self._metadata = engine, engine.get_tokenizer(), metadata

    @classmethod
    def load(cls, location: str, options: InferenceOptions) -> VllmAnalyst:
        """Open a folder or an id on the hub.

        Raises
        ------
        UsageError
            vLLM is not installed, there is no GPU or no such model, or it is an adapter.
        """
        require_vllm()
        from mentallama.analysts.checkpoints.loading import ADAPTER_CONFIG, check_location

        folder = Path(location)
        if (folder / ADAPTER_CONFIG).is_file():
            raise UsageError(
                f"{location}: vllm: takes whole models; merge the adapter into its base, or use causal:{location}"
            )
        check_location(location)
        from vllm import LLM

        metadata = read_model_metadata(folder) if folder.is_dir() else None
        try:
            engine = LLM(
                model=location,
                dtype=options.dtype,
                enable_prefix_caching=True,
                disable_log_stats=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(f"{location}: vLLM cannot open this model ({type(error).__name__})") from error
        name = metadata.fingerprint if metadata else folder.name if folder.is_dir() else location
        return cls(engine, f"vllm:{name}", options, metadata)

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer a batch of examples; predictions come in their order.

        Raises
        ------
        UsageError
            An example belongs to an unknown task, or its question alone exceeds the model's context.
        """
        prompts = [self._encode(example) for example in examples]
        scores = [list[float]() for _ in examples]
        if self._options.mode != "free":
            scores = self._score_answers(examples, prompts)
        texts: list[tuple[str, bool]] = [("", False)] * len(examples)
        generated = [
            index for index, example in enumerate(examples) if self._generates_for(self._task(example))
        ]
        starts = self._starts(examples, prompts, scores)
        found = self._generate_texts(
            [examples[index] for index in generated], [starts[index] for index in generated]
        )
        for index, text in zip(generated, found, strict=True):
            texts[index] = text
        for example, logprobs, text in zip(examples, scores, texts, strict=True):
            yield self._builder.build(example, self._task(example), Generation(logprobs, *text))

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._options.tasks)

    def _new_prompt_encoder(self, form: Form) -> PromptEncoder:
        template = trained_template(self._options.template, self._metadata)
        return PromptEncoder(self._tokenizer, form, template, self._context, self._prompts)

    def _encode(self, example: Example) -> list[int]:
        task, encoder = self._task(example), self._prompt_encoder(example.form)
        prefixes = self._tokenized_answers(task, encoder).explanation_prefixes
        # vLLM generates at least one token.
        reserved = (self._options.max_new_tokens if self._generates_for(task) else 1) + max(
            map(len, prefixes), default=0
        )
        prompt = encoder.encode_prompt(example, task, reserved)
        if prompt.truncated_chars:
            self._builder.count_truncated_post(example)
        return prompt.ids

    def _score_answers(self, examples: Sequence[Example], prompts: Sequence[list[int]]) -> list[list[float]]:
        """Log-likelihoods of each example's answers, in nats."""
        answers = [
            self._tokenized_answers(self._task(example), self._prompt_encoder(example.form)).answers
            for example in examples
        ]
        pairs = [
            (prompt, answer)
            for prompt, candidates in zip(prompts, answers, strict=True)
            for answer in candidates
        ]
        outputs = self._generate(
            [prompt + answer for prompt, answer in pairs], max_tokens=1, prompt_logprobs=0
        )
        logprobs = iter([_answer_logprob(output, *pair) for output, pair in zip(outputs, pairs, strict=True)])
        return [[next(logprobs) for _ in candidates] for candidates in answers]

    def _starts(
        self,
        examples: Sequence[Example],
        prompts: Sequence[list[int]],
        scores: Sequence[Sequence[float]],
    ) -> list[list[int]]:
        """The tokens to continue: the prompt with its most likely answer, or the prompt alone without scores."""
        starts = []
        for example, prompt, logprobs in zip(examples, prompts, scores, strict=True):
            tokens = self._tokenized_answers(self._task(example), self._prompt_encoder(example.form))
            starts.append(prompt + (tokens.explanation_prefixes[argmax(logprobs)] if logprobs else []))
        return starts

    def _generate_texts(
        self, examples: Sequence[Example], prompts: Sequence[list[int]]
    ) -> Iterator[tuple[str, bool]]:
        """Text generated greedily after each prompt, and whether it was truncated."""
        stop_token_ids = sorted(
            {token for example in examples for token in self._prompt_encoder(example.form).stop_token_ids}
        )
        outputs = self._generate(
            prompts, max_tokens=self._options.max_new_tokens, stop_token_ids=stop_token_ids
        )
        for example, output in zip(examples, outputs, strict=True):
            (completion,) = output.outputs
            ids = [token for token in completion.token_ids if token not in stop_token_ids]
            truncated = finish_reason_status(completion.finish_reason) == "truncated"
            text = self._prompt_encoder(example.form).decode_answer(ids)
            if self._prompts.instructs:
                text, went_on = before_next_post(text)
                truncated = truncated and not went_on
            yield text, truncated

    def _generate(self, prompts: Sequence[list[int]], **params: Any) -> list[Any]:
        from vllm import SamplingParams, TokensPrompt

        if not prompts:
            return []
        sampling = SamplingParams(temperature=0.0, detokenize=False, **params)
        token_prompts = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        return list(self._engine.generate(token_prompts, sampling, use_tqdm=False))


def _answer_logprob(output: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """Log-likelihood of an answer after its prompt, in nats."""
    positions = output.prompt_logprobs[len(prompt) :]
    return fsum(position[token].logprob for position, token in zip(positions, answer, strict=True))


def require_vllm() -> None:
    """Call before vLLM is imported.

    Raises
    ------
    UsageError
        It is not installed, or torch sees no GPU.
    """
    if find_spec("vllm") is None:
        raise UsageError(f"vllm: needs vLLM: {install_hint('vllm')}")
    require_torch()
    import torch

    if not torch.cuda.is_available():
        raise UsageError("vllm: needs a GPU, and torch sees none here; causal: runs without one")
    for name, value in VLLM_QUIET_ENV.items():
        os.environ.setdefault(name, value)

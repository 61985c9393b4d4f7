"""Ask a decoder language model on vLLM: `vllm:DIR_OR_ID`. It needs a GPU.

Written by the documented interface of vLLM (0.32 and 0.33) and tested against a stand-in with the same signatures; it
has not been run on vLLM itself.

The label is the likeliest of the question's written answers, by the log-probabilities of their tokens behind the
prompt. vLLM reads a prompt anew where those are asked for: the prefix cache serves what is written, not what is
weighed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from math import fsum
from pathlib import Path
from typing import Any

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.metadata import ModelMetadata, read_model_metadata
from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.analysts.inference.logprobs import softmax
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.answers.parse import REASONING_MARKER, label_sentence, read_answer
from mentallama.errors import UsageError
from mentallama.records import Example, Form, Prediction, Reading
from mentallama.tasks import Task, find_task

VLLM_QUIET_ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "ERROR"}


class VllmAnalyst:
    """Answer with a decoder language model on vLLM.

    Parameters
    ----------
    engine
        A `vllm.LLM`.
    name
        What predictions call the model.

    Attributes
    ----------
    counts
        `truncated_posts`, `truncated_explanations`, `truncated_answers`, as for `causal`.
    """

    def __init__(
        self, engine: Any, name: str, options: InferenceOptions, file: ModelMetadata | None = None
    ) -> None:
        self.name, self.counts = name, Counter[str]()
        self._engine, self._options, self._metadata = engine, options, file
        self._tokenizer = engine.get_tokenizer()
        self._context = int(engine.llm_engine.model_config.max_model_len)
        self._prompt_encoders: dict[Form, PromptEncoder] = {}
        self._last_truncated_post = ""

    @classmethod
    def load(cls, where: str, asking: InferenceOptions) -> VllmAnalyst:
        """Open a folder or an id on the hub.

        Raises
        ------
        WrongUse
            vLLM is not installed, there is no GPU, no such model, or it is an adapter.
        """
        require_vllm()
        folder = Path(where)
        if (folder / "adapter_config.json").is_file():
            raise UsageError(
                f"{where}: vllm: takes whole models; merge the adapter into its base, or use causal:{where}"
            )
        from vllm import LLM

        file = read_model_metadata(folder) if folder.is_dir() else None
        try:
            engine = LLM(model=where, dtype=asking.dtype, enable_prefix_caching=True, disable_log_stats=True)
        except (OSError, ValueError, RuntimeError) as fault:
            raise UsageError(f"{where}: vLLM cannot open this model ({type(fault).__name__})") from fault
        known = file.fingerprint if file else folder.name if folder.is_dir() else where
        return cls(engine, f"vllm:{known}", asking, file)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            An example is of an unknown task, or its question alone is longer than the model's context.
        """
        prompts = [self._encode_prompt(example) for example in examples]
        if self._options.mode == "free":
            yield from self._analyse_free(examples, prompts)
            return
        found = self._label_probabilities(examples, prompts)
        best = [max(shares, key=shares.__getitem__) for shares in found]
        texts = [""] * len(best) if self._options.labels_only else self._explanations(examples, prompts, best)
        for example, shares, label, text in zip(examples, found, best, texts, strict=True):
            reading = Reading(status="parsed", label=label, explanation=text)
            yield Prediction(example_id=example.id, reading=reading, probabilities=shares, model=self.name)

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._options.tasks)

    def _prompt_encoder(self, form: Form) -> PromptEncoder:
        if form not in self._prompt_encoders:
            template = self._options.template
            chosen = (
                self._metadata.template if self._metadata is not None and template == "auto" else template
            )
            self._prompt_encoders[form] = PromptEncoder(self._tokenizer, form, chosen, self._context)
        return self._prompt_encoders[form]

    def _encode_prompt(self, example: Example) -> list[int]:
        writes = self._options.mode == "free" or not self._options.labels_only
        # vLLM writes one token at the least
        room = self._options.max_new_tokens if writes else 1
        if self._options.mode != "free":
            room += max(
                len(self._encode_explanation_prefix(example, label)) for label in self._task(example).labels
            )
        prompt = self._prompt_encoder(example.form).encode_prompt(example, self._task(example), room)
        if prompt.truncated_chars and example.post_id != self._last_truncated_post:
            if not self.counts["truncated_posts"]:
                self._options.log(
                    f"{self.name} holds {self._context} tokens: longer posts are cut at their end, and counted"
                )
            self.counts["truncated_posts"] += 1
            self._last_truncated_post = example.post_id
        return prompt.ids

    def _encode_answer(self, example: Example, label: str) -> list[int]:
        sentence = label_sentence(self._task(example), label, example.form)
        return self._prompt_encoder(example.form).encode_answer(sentence, add_stop_token=False)

    def _encode_explanation_prefix(self, example: Example, label: str) -> list[int]:
        """An answer and the word that reasons follow."""
        sentence = label_sentence(self._task(example), label, example.form)
        return self._prompt_encoder(example.form).encode_answer(
            f"{sentence} {REASONING_MARKER}", add_stop_token=False
        )

    def _label_probabilities(
        self, examples: Sequence[Example], prompts: Sequence[list[int]]
    ) -> list[dict[str, float]]:
        """The probability of each label, by example."""
        asked = [
            (prompt, self._encode_answer(example, label))
            for example, prompt in zip(examples, prompts, strict=True)
            for label in self._task(example).labels
        ]
        outputs = self._generate(
            [prompt + answer for prompt, answer in asked], max_tokens=1, prompt_logprobs=0
        )
        scores = iter([_answer_logprob(output, *pair) for output, pair in zip(outputs, asked, strict=True)])
        found = []
        for example in examples:
            labels = list(self._task(example).labels)
            found.append(dict(zip(labels, softmax([next(scores) for _ in labels]), strict=True)))
        return found

    def _explanations(
        self, examples: Sequence[Example], prompts: Sequence[list[int]], labels: Sequence[str]
    ) -> list[str]:
        rows = zip(examples, prompts, labels, strict=True)
        leads = [prompt + self._encode_explanation_prefix(example, label) for example, prompt, label in rows]
        texts = []
        for text, cut in self._generate_texts(examples, leads):
            self.counts["truncated_explanations"] += cut
            texts.append(text)
        return texts

    def _analyse_free(
        self, examples: Sequence[Example], prompts: Sequence[list[int]]
    ) -> Iterator[Prediction]:
        for example, (text, cut) in zip(examples, self._generate_texts(examples, prompts), strict=True):
            self.counts["truncated_answers"] += cut
            reading = read_answer(self._task(example), text, example.form, "length" if cut else "stop")
            yield Prediction(example_id=example.id, reading=reading, model=self.name)

    def _generate_texts(
        self, examples: Sequence[Example], prompts: Sequence[list[int]]
    ) -> Iterator[tuple[str, bool]]:
        """What is written behind each prompt, greedily; and whether it has no end."""
        ends = sorted(
            {end for example in examples for end in self._prompt_encoder(example.form).stop_token_ids}
        )
        outputs = self._generate(prompts, max_tokens=self._options.max_new_tokens, stop_token_ids=ends)
        for example, output in zip(examples, outputs, strict=True):
            (written,) = output.outputs
            ids = [token for token in written.token_ids if token not in ends]
            yield self._prompt_encoder(example.form).decode_answer(ids), written.finish_reason == "length"

    def _generate(self, prompts: Sequence[list[int]], **terms: Any) -> list[Any]:
        from vllm import SamplingParams, TokensPrompt

        params = SamplingParams(temperature=0.0, detokenize=False, **terms)
        given = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        return list(self._engine.generate(given, params, use_tqdm=False))


def _answer_logprob(output: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """The log-likelihood of an answer behind its prompt, in nats."""
    places = output.prompt_logprobs[len(prompt) :]
    return fsum(place[token].logprob for place, token in zip(places, answer, strict=True))


def require_vllm() -> None:
    """Call before vLLM is imported.

    Raises
    ------
    WrongUse
        It is not installed, or torch sees no GPU.
    """
    if find_spec("vllm") is None:
        raise UsageError("vllm: needs vLLM: pip install 'mentallama[vllm]'")
    require_torch()
    import torch

    if not torch.cuda.is_available():
        raise UsageError("vllm: needs a GPU and torch sees none here; causal: answers without one")
    for name, value in VLLM_QUIET_ENV.items():
        os.environ.setdefault(name, value)

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

from mentallama.analysts.base import Asking
from mentallama.analysts.checkpoints.metadata import ModelFile, read_model_file
from mentallama.analysts.checkpoints.optional_deps import need_torch
from mentallama.analysts.inference.logprobs import softmax
from mentallama.analysts.inference.prompt_encoding import Prompter
from mentallama.answers.parse import REASONING, answer_sentence, read_answer
from mentallama.errors import WrongUse
from mentallama.records import Example, Form, Prediction, Reading
from mentallama.tasks import Task, find_task

OFF = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_LOGGING_LEVEL": "ERROR"}


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
        `cut_posts`, `cut_explanations`, `cut_answers`, as for `causal`.
    """

    def __init__(self, engine: Any, name: str, asking: Asking, file: ModelFile | None = None) -> None:
        self.name, self.counts = name, Counter[str]()
        self._engine, self._asking, self._file = engine, asking, file
        self._tokenizer = engine.get_tokenizer()
        self._context = int(engine.llm_engine.model_config.max_model_len)
        self._prompters: dict[Form, Prompter] = {}
        self._last_cut = ""

    @classmethod
    def load(cls, where: str, asking: Asking) -> VllmAnalyst:
        """Open a folder or an id on the hub.

        Raises
        ------
        WrongUse
            vLLM is not installed, there is no GPU, no such model, or it is an adapter.
        """
        need_vllm()
        folder = Path(where)
        if (folder / "adapter_config.json").is_file():
            raise WrongUse(
                f"{where}: vllm: takes whole models; merge the adapter into its base, or use causal:{where}"
            )
        from vllm import LLM

        file = read_model_file(folder) if folder.is_dir() else None
        try:
            engine = LLM(model=where, dtype=asking.dtype, enable_prefix_caching=True, disable_log_stats=True)
        except (OSError, ValueError, RuntimeError) as fault:
            raise WrongUse(f"{where}: vLLM cannot open this model ({type(fault).__name__})") from fault
        known = file.fingerprint if file else folder.name if folder.is_dir() else where
        return cls(engine, f"vllm:{known}", asking, file)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            An example is of an unknown task, or its question alone is longer than the model's context.
        """
        prompts = [self._prompt(example) for example in examples]
        if self._asking.mode == "free":
            yield from self._read(examples, prompts)
            return
        found = self._weigh(examples, prompts)
        best = [max(shares, key=shares.__getitem__) for shares in found]
        texts = [""] * len(best) if self._asking.labels_only else self._explain(examples, prompts, best)
        for example, shares, label, text in zip(examples, found, best, texts, strict=True):
            reading = Reading(status="read", label=label, explanation=text)
            yield Prediction(example_id=example.id, reading=reading, probabilities=shares, model=self.name)

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._asking.tasks)

    def _prompter(self, form: Form) -> Prompter:
        if form not in self._prompters:
            template = self._asking.template
            chosen = self._file.template if self._file is not None and template == "auto" else template
            self._prompters[form] = Prompter(self._tokenizer, form, chosen, self._context)
        return self._prompters[form]

    def _prompt(self, example: Example) -> list[int]:
        writes = self._asking.mode == "free" or not self._asking.labels_only
        # vLLM writes one token at the least
        room = self._asking.max_new_tokens if writes else 1
        if self._asking.mode != "free":
            room += max(len(self._lead(example, label)) for label in self._task(example).labels)
        prompt = self._prompter(example.form).prompt(example, self._task(example), room)
        if prompt.cut and example.post_id != self._last_cut:
            if not self.counts["cut_posts"]:
                self._asking.say(
                    f"{self.name} holds {self._context} tokens: longer posts are cut at their end, and counted"
                )
            self.counts["cut_posts"] += 1
            self._last_cut = example.post_id
        return prompt.ids

    def _answer(self, example: Example, label: str) -> list[int]:
        sentence = answer_sentence(self._task(example), label, example.form)
        return self._prompter(example.form).answer(sentence, ended=False)

    def _lead(self, example: Example, label: str) -> list[int]:
        """An answer and the word that reasons follow."""
        sentence = answer_sentence(self._task(example), label, example.form)
        return self._prompter(example.form).answer(f"{sentence} {REASONING}", ended=False)

    def _weigh(self, examples: Sequence[Example], prompts: Sequence[list[int]]) -> list[dict[str, float]]:
        """The probability of each label, by example."""
        asked = [
            (prompt, self._answer(example, label))
            for example, prompt in zip(examples, prompts, strict=True)
            for label in self._task(example).labels
        ]
        outputs = self._generate(
            [prompt + answer for prompt, answer in asked], max_tokens=1, prompt_logprobs=0
        )
        scores = iter([_score(output, *pair) for output, pair in zip(outputs, asked, strict=True)])
        found = []
        for example in examples:
            labels = list(self._task(example).labels)
            found.append(dict(zip(labels, softmax([next(scores) for _ in labels]), strict=True)))
        return found

    def _explain(
        self, examples: Sequence[Example], prompts: Sequence[list[int]], labels: Sequence[str]
    ) -> list[str]:
        rows = zip(examples, prompts, labels, strict=True)
        leads = [prompt + self._lead(example, label) for example, prompt, label in rows]
        texts = []
        for text, cut in self._write(examples, leads):
            self.counts["cut_explanations"] += cut
            texts.append(text)
        return texts

    def _read(self, examples: Sequence[Example], prompts: Sequence[list[int]]) -> Iterator[Prediction]:
        for example, (text, cut) in zip(examples, self._write(examples, prompts), strict=True):
            self.counts["cut_answers"] += cut
            reading = read_answer(self._task(example), text, example.form, "length" if cut else "stop")
            yield Prediction(example_id=example.id, reading=reading, model=self.name)

    def _write(self, examples: Sequence[Example], prompts: Sequence[list[int]]) -> Iterator[tuple[str, bool]]:
        """What is written behind each prompt, greedily; and whether it has no end."""
        ends = sorted({end for example in examples for end in self._prompter(example.form).ends})
        outputs = self._generate(prompts, max_tokens=self._asking.max_new_tokens, stop_token_ids=ends)
        for example, output in zip(examples, outputs, strict=True):
            (written,) = output.outputs
            ids = [token for token in written.token_ids if token not in ends]
            yield self._prompter(example.form).read(ids), written.finish_reason == "length"

    def _generate(self, prompts: Sequence[list[int]], **terms: Any) -> list[Any]:
        from vllm import SamplingParams, TokensPrompt

        params = SamplingParams(temperature=0.0, detokenize=False, **terms)
        given = [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts]
        return list(self._engine.generate(given, params, use_tqdm=False))


def _score(output: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """The log-likelihood of an answer behind its prompt, in nats."""
    places = output.prompt_logprobs[len(prompt) :]
    return fsum(place[token].logprob for place, token in zip(places, answer, strict=True))


def need_vllm() -> None:
    """Call before vLLM is imported.

    Raises
    ------
    WrongUse
        It is not installed, or torch sees no GPU.
    """
    if find_spec("vllm") is None:
        raise WrongUse("vllm: needs vLLM: pip install 'mentallama[vllm]'")
    need_torch()
    import torch

    if not torch.cuda.is_available():
        raise WrongUse("vllm: needs a GPU and torch sees none here; causal: answers without one")
    for name, value in OFF.items():
        os.environ.setdefault(name, value)

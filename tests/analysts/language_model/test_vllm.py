"""The vLLM analyst, against a stand-in: no vLLM and no GPU was at hand.

The stand-in has the names and signatures of vLLM 0.32's `LLM`, `SamplingParams` and `TokensPrompt` as far as they are
used, and computes with a tiny Llama. What the analyst says must be what `causal` says of the same model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypedDict

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.metadata import ModelMetadata, write_model_metadata
from mentallama.analysts.registry import open_with_options
from mentallama.attribution.opening import open_analyst
from mentallama.errors import DataError, UsageError
from mentallama.records import Example, example_of
from mentallama.tasks import load_tasks
from tests.factories.answer_kinds import task_of_kind
from tests.factories.linear_cases import make_post
from tests.factories.tiny_models import made_up_posts, tiny_llama, tiny_tokenizer

torch.set_num_threads(1)


class TokensPrompt(TypedDict):
    prompt_token_ids: list[int]


@dataclass
class SamplingParams:
    """vLLM's has more fields; one that it has not would fail here as there."""

    temperature: float = 1.0
    max_tokens: int | None = 16
    prompt_logprobs: int | None = None
    stop_token_ids: list[int] | None = None
    detokenize: bool = True


class LLM:
    """Greedy, one row at a time."""

    asked: list[dict[str, Any]] = []

    def __init__(self, model: str, *, dtype: str = "auto", **terms: Any) -> None:
        if not Path(model).is_dir():
            raise OSError("no such model")
        LLM.asked.append({"model": model, "dtype": dtype, **terms})
        self._model = AutoModelForCausalLM.from_pretrained(model).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        config = SimpleNamespace(max_model_len=self._model.config.max_position_embeddings)
        self.llm_engine = SimpleNamespace(model_config=config)

    def get_tokenizer(self) -> Any:
        return self._tokenizer

    def generate(
        self, prompts: Sequence[TokensPrompt], sampling_params: SamplingParams, *, use_tqdm: bool = True
    ) -> list[Any]:
        assert sampling_params.temperature == 0.0
        assert not use_tqdm
        return [self._one(prompt["prompt_token_ids"], sampling_params) for prompt in prompts]

    @torch.inference_mode()
    def _one(self, ids: list[int], params: SamplingParams) -> Any:
        assert params.max_tokens
        assert len(ids) + params.max_tokens <= self._model.config.max_position_embeddings
        logprobs = None
        if params.prompt_logprobs is not None:
            chances = self._model(torch.tensor([ids])).logits[0].log_softmax(-1)
            pairs = zip(chances[:-1], ids[1:], strict=True)
            messages = [{token: SimpleNamespace(logprob=float(row[token]))} for row, token in pairs]
            logprobs = [None, *messages]
        written, finish, ends = (
            list[int](),
            "length",
            {*(params.stop_token_ids or ()), self._tokenizer.eos_token_id},
        )
        while len(written) < params.max_tokens:
            written.append(int(self._model(torch.tensor([ids + written])).logits[0, -1].argmax()))
            if written[-1] in ends:
                finish = "stop"
                break
        output = SimpleNamespace(token_ids=written, finish_reason=finish)
        return SimpleNamespace(prompt_logprobs=logprobs, outputs=[output])


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """vLLM is there, and a GPU; what engines were opened with."""
    module = ModuleType("vllm")
    module.__spec__ = SimpleNamespace(name="vllm")  # type: ignore[assignment]
    module.LLM, module.SamplingParams, module.TokensPrompt = LLM, SamplingParams, TokensPrompt  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    LLM.asked.clear()
    return LLM.asked


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A tiny Llama with a chat template, and one without."""
    result = {chat: tmp_path_factory.mktemp("llama") for chat in (False, True)}
    for chat, folder in result.items():
        tiny_llama(folder, tiny_tokenizer(chat=chat))
    return result


def examples(form: Any = "instruction", words: str = "") -> list[Example]:
    posts = [
        make_post("DR", "test", made_up_posts()[0] + words, {"depression": "no"}),
        make_post("SAD", "test", made_up_posts()[9] + words, {"cause": "work"}),
        make_post("MultiWD", "test", made_up_posts()[20] + words, {"social": "yes", "physical": "no"}),
    ]
    return [example_of(post, question, form) for post in posts for question in post.labels]


@pytest.mark.parametrize("settings", [{}, {"labels_only": True}, {"mode": "free"}], ids=repr)
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.usefixtures("vllm")
def test_it_says_what_causal_says(
    chat: bool, settings: dict[str, Any], folders: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = InferenceOptions(max_new_tokens=12, dtype="float32", **settings)
    analyst = open_with_options(f"vllm:{folders[chat]}", asking)
    predictions = list(analyst.predict(examples()))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    oracle = open_with_options(f"causal:{folders[chat]}", asking)
    for one, other in zip(predictions, oracle.predict(examples()), strict=True):
        assert (one.example_id, one.reading) == (other.example_id, other.reading)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
        assert bool(one.probabilities) == (settings != {"mode": "free"})
    assert analyst.counts == oracle.counts


@pytest.mark.parametrize("settings", [{}, {"labels_only": True}], ids=repr)
@pytest.mark.usefixtures("vllm")
def test_answers_of_several_parts_are_generated_as_causal_does(
    settings: dict[str, Any], folders: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = load_tasks() | {task.set: task for task in map(task_of_kind, ("multi", "spans"))}
    asking = InferenceOptions(max_new_tokens=12, dtype="float32", tasks=tasks, **settings)
    posts = [make_post(f"synthetic-{kind}", "test", made_up_posts()[3], {}) for kind in ("multi", "spans")]
    asked = [*examples()[:1], *(example_of(post, "about", "instruction") for post in posts)]
    analyst = open_with_options(f"vllm:{folders[False]}", asking)
    found = [list(analyst.predict(asked)), list(analyst.predict(asked[1:]))]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    oracle = list(open_with_options(f"causal:{folders[False]}", asking).predict(asked))
    assert [each.reading for each in found[0]] == [each.reading for each in oracle]
    assert [each.reading for each in found[1]] == [each.reading for each in oracle[1:]]
    assert [bool(each.probabilities) for each in found[0]] == [True, False, False]


@pytest.mark.usefixtures("vllm")
def test_posts_that_are_too_long_are_cut_and_counted_once_a_post(folders: dict[bool, Path]) -> None:
    messages: list[str] = []
    asking = InferenceOptions(max_new_tokens=4, log=messages.append)
    analyst = open_with_options(f"vllm:{folders[False]}", asking)
    predictions = list(analyst.predict(examples(words=" and then it rained" * 200)))
    assert [each.reading.status for each in predictions] == ["parsed"] * 4
    assert analyst.counts["truncated_posts"] == 3
    assert len(messages) == 1


def test_a_model_trained_here_is_named_by_its_fingerprint_and_prompted_as_in_training(
    vllm: list[dict[str, Any]], tmp_path: Path
) -> None:
    tiny_llama(tmp_path, tiny_tokenizer(chat=True))
    file = ModelMetadata(
        analyst="causal", fingerprint="f00d", form="instruction", max_tokens=64, sets=("DR",)
    )
    write_model_metadata(tmp_path, file, [])
    write_hashes(tmp_path)
    analyst = open_with_options(f"vllm:{tmp_path}", InferenceOptions(labels_only=True, dtype="bfloat16"))
    list(analyst.predict(examples()))
    assert analyst.name == "vllm:f00d"
    assert not analyst._prompt_encoders[
        "instruction"
    ].uses_chat_template  # plain, as taught, though the tokenizer has a template
    (asked,) = vllm
    assert asked["enable_prefix_caching"] is True
    assert (asked["model"], asked["dtype"]) == (str(tmp_path), "bfloat16")


@pytest.mark.usefixtures("vllm")
def test_a_damaged_model_is_refused_before_the_engine_reads_it(tmp_path: Path) -> None:
    tiny_llama(tmp_path, tiny_tokenizer())
    write_hashes(tmp_path)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"model.safetensors: damaged or changed"):
        open_with_options(f"vllm:{tmp_path}", InferenceOptions())


@pytest.mark.usefixtures("vllm")
def test_telemetry_is_off_before_the_engine_opens(folders: dict[bool, Path]) -> None:
    import os

    open_analyst(f"vllm:{folders[False]}")
    assert (os.environ["VLLM_NO_USAGE_STATS"], os.environ["DO_NOT_TRACK"]) == ("1", "1")


@pytest.mark.usefixtures("vllm")
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: vLLM cannot open this model \(OSError\)"):
        open_analyst("vllm:nowhere")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(
        UsageError, match="takes whole models; merge the adapter into its base, or use causal:"
    ):
        open_analyst(f"vllm:{tmp_path}")


def test_without_vllm_or_a_gpu_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr("mentallama.analysts.language_model.vllm.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"vllm: needs vLLM: pip install .*\[vllm\]"):
        open_analyst("vllm:any")
    monkeypatch.setattr("mentallama.analysts.language_model.vllm.find_spec", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="vllm: needs a GPU, and torch sees none here"):
        open_analyst("vllm:any")

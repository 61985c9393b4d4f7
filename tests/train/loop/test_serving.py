"""A model trained here behind a server of chats: it answers as in this process, row for row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.registry import open_with_options
from mentallama.attribution.opening import open_analyst
from mentallama.records import example_of
from mentallama.tasks import load_tasks, write_query
from mentallama.train.loop.lora import merge_lora
from mentallama.train.run import run
from tests.factories.causal_cases import make_run, plain_posts, save_llama
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer

EXAMPLES = [example_of(post, "stress", "instruction") for post in plain_posts("test", 12, first=40)]
NEW_TOKENS = 40


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned which posts are about stress, and to say so."""
    folder = tmp_path_factory.mktemp("run")
    scratch = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 400}
    all_posts = [*plain_posts("train", 24), *plain_posts("validation", 8, first=24)]
    recipe = make_run(folder, all_posts, epochs=30, learning_rate=5e-3, from_scratch=scratch)
    run(recipe, folder, folder / "train")
    return folder / "train"


@contextmanager
def llama_cpp_server(gguf: Path, context: int) -> Iterator[str]:
    """The address of llama.cpp's own server, on one thread and in float32 throughout."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.port, params.n_parallel = str(gguf), context, 0, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.use_jinja, params.fit_params, params.warmup, params.n_gpu_layers = True, False, False, 0
    params.verbosity = -1
    server = xllamacpp.Server(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server


def test_llama_cpp_answers_chats_as_this_process_answers_queries(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    from tests.factories.gguf_file import write_gguf

    options = InferenceOptions(mode="free", max_new_tokens=NEW_TOKENS, max_concurrency=1)
    here = list(open_with_options(f"causal:{trained}", options).predict(EXAMPLES))
    assert {prediction.reading.label for prediction in here} == {"yes", "no"}
    write_gguf(trained, tmp_path / "model.gguf")
    with llama_cpp_server(tmp_path / "model.gguf", context=256) as url:
        served = list(open_with_options(f"remote:tiny@{url}", options).predict(EXAMPLES))
    assert [prediction.reading for prediction in served] == [prediction.reading for prediction in here]


def test_llama_cpp_scores_answers_and_explains_them_as_this_process_does(
    trained: Path, tmp_path: Path
) -> None:
    """Both compute in float32; the answers are made to be written by a grammar."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    from tests.factories.gguf_file import write_gguf

    messages: list[str] = []
    here = list(open_analyst(f"causal:{trained}", max_new_tokens=NEW_TOKENS).predict(EXAMPLES))
    write_gguf(trained, tmp_path / "model.gguf")
    with llama_cpp_server(tmp_path / "model.gguf", context=256) as url:
        remote = open_analyst(
            f"remote:tiny@{url}", max_new_tokens=NEW_TOKENS, max_concurrency=1, log=messages.append
        )
        served = list(remote.predict(EXAMPLES))
    assert len(messages) == 1
    assert "a grammar makes the model write each answer" in messages[0]
    for ours, theirs in zip(here, served, strict=True):
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-5)
        assert theirs.reading == ours.reading


def served_ids(folder: Path) -> list[list[int]]:
    """The tokens that a server makes of the chats of the remote analyst."""
    tokenizer, task = AutoTokenizer.from_pretrained(folder), load_tasks()["dreaddit"]
    queries = [write_query(task, "stress", "instruction", example.text).rstrip() for example in EXAMPLES]
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": query}], add_generation_prompt=True, return_dict=False
        )
        for query in queries
    ]


def prompt_ids(folder: Path) -> list[list[int]]:
    """The tokens of this project's own prompts for the model in a folder."""
    analyst: Any = open_with_options(f"causal:{folder}", InferenceOptions(device="cpu", labels_only=True))
    return [analyst._question(example).request.prompt for example in EXAMPLES]


def test_training_with_a_chat_template_keeps_it_and_its_end_of_turn(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(chat=True)
    template = tokenizer.chat_template
    tiny_llama(tmp_path / "base", tokenizer)
    recipe = make_run(tmp_path, base=str(tmp_path / "base"), epochs=1)
    run(recipe, tmp_path, tmp_path / "train")
    made = AutoTokenizer.from_pretrained(tmp_path / "train")
    assert made.chat_template == template
    assert served_ids(tmp_path / "train") == prompt_ids(tmp_path / "train")
    ends = GenerationConfig.from_pretrained(tmp_path / "train").eos_token_id
    assert ends == [made.convert_tokens_to_ids("<|im_end|>"), made.eos_token_id]


def test_training_on_plain_prompts_replaces_the_template_of_the_base(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(chat=True)
    template = tokenizer.chat_template
    tiny_llama(tmp_path / "base", tokenizer)
    recipe = make_run(tmp_path, base=str(tmp_path / "base"), epochs=1, template="plain")
    run(recipe, tmp_path, tmp_path / "train")
    assert AutoTokenizer.from_pretrained(tmp_path / "train").chat_template != template
    assert served_ids(tmp_path / "train") == prompt_ids(tmp_path / "train")


def test_an_adapter_and_its_merged_model_are_served_as_trained(tmp_path: Path) -> None:
    save_llama(tmp_path / "base")
    recipe = make_run(tmp_path, base=str(tmp_path / "base"), epochs=1, lora={"rank": 2})
    run(recipe, tmp_path, tmp_path / "train")
    merge_lora(tmp_path / "train", tmp_path / "merged")
    for folder in (tmp_path / "train", tmp_path / "merged"):
        assert served_ids(folder) == prompt_ids(folder)


def test_a_model_trained_on_plain_prompts_is_trained_on_with_plain_prompts(
    trained: Path, tmp_path: Path
) -> None:
    recipe = make_run(tmp_path, base=str(trained), epochs=1)
    run(recipe, tmp_path, tmp_path / "train")
    assert '"template": "plain"' in (tmp_path / "train/mentallama.json").read_text()
    assert served_ids(tmp_path / "train") == prompt_ids(tmp_path / "train")

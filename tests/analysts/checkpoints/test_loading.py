"""Model folders that lack something, and adapters that belong elsewhere: one sentence each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.loading import choose_device, choose_dtype, load_pretrained
from mentallama.analysts.checkpoints.metadata import (
    ModelMetadata,
    read_model_metadata,
    read_seen_hashes,
    seen_hash,
    write_model_metadata,
)
from mentallama.config import FromScratchSettings
from mentallama.errors import DataError, UsageError
from mentallama.train.loop.random_init import random_llama

CPU = torch.device("cpu")


def saved(folder: Path, hidden: int = 32) -> Path:
    model, tokenizer = random_llama(
        FromScratchSettings(hidden_size=hidden, num_hidden_layers=1, num_attention_heads=2, vocab_size=300),
        ["a b"],
        64,
        seed=0,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def adapter(folder: Path, base: Path) -> Path:
    from peft import LoraConfig, TaskType, get_peft_model

    model = load_pretrained(str(base), "causal", torch.float32, CPU).model
    get_peft_model(
        model, LoraConfig(task_type=TaskType.CAUSAL_LM, r=2, target_modules="all-linear")
    ).save_pretrained(folder)
    return folder


def test_a_folder_opens_with_its_context(tmp_path: Path) -> None:
    opened = load_pretrained(str(saved(tmp_path / "m")), "causal", torch.float32, CPU)
    assert (opened.context, opened.name, opened.metadata) == (64, "causal:m", None)


@pytest.mark.parametrize(
    ("gone", "fault"),
    [
        ("model.safetensors", "this model folder holds no weights"),
        ("config.json", "this folder holds no model: there is no config.json"),
    ],
)
def test_an_incomplete_folder_is_reported_with_the_missing_file(
    tmp_path: Path, gone: str, fault: str
) -> None:
    (saved(tmp_path / "m") / gone).unlink()
    with pytest.raises(UsageError, match=fault):
        load_pretrained(str(tmp_path / "m"), "causal", torch.float32, CPU)


def test_truncated_weights_are_reported(tmp_path: Path) -> None:
    path = saved(tmp_path / "m") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match=r"the model cannot be loaded .*is the folder complete"):
        load_pretrained(str(tmp_path / "m"), "causal", torch.float32, CPU)


def test_a_decoder_is_not_a_seq2seq_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a llama is not a seq2seq model"):
        load_pretrained(str(saved(tmp_path / "m")), "seq2seq", torch.float32, CPU)


def test_a_model_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        UsageError, match=r"nowhere/at-all: the model cannot be loaded .*the hub did not provide it"
    ):
        load_pretrained("nowhere/at-all", "causal", torch.float32, CPU)


def test_an_adapter_is_loaded_with_its_base(tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    opened = load_pretrained(str(adapter(tmp_path / "a", base)), "causal", torch.float32, CPU)
    with torch.no_grad():
        assert opened.model(input_ids=torch.tensor([[3, 4]])).logits.shape == (1, 2, len(opened.tokenizer))


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", saved(tmp_path / "base"))
    other = saved(tmp_path / "other", hidden=64)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(other)}))
    with pytest.raises(UsageError, match="this adapter does not fit its base"):
        load_pretrained(str(folder), "causal", torch.float32, CPU)


def test_an_adapter_without_weights(tmp_path: Path) -> None:
    (adapter(tmp_path / "a", saved(tmp_path / "base")) / "adapter_model.safetensors").unlink()
    with pytest.raises(UsageError, match="describes an adapter but holds no weights"):
        load_pretrained(str(tmp_path / "a"), "causal", torch.float32, CPU)


def resized_adapter(folder: Path, base: Path, **lora: Any) -> Path:
    """An adapter that was trained with one more token than its base has."""
    from peft import LoraConfig, TaskType, get_peft_model

    opened = load_pretrained(str(base), "causal", torch.float32, CPU)
    opened.tokenizer.add_tokens(["⟨new⟩"])
    opened.model.resize_token_embeddings(len(opened.tokenizer))
    config = LoraConfig(task_type=TaskType.CAUSAL_LM, r=2, target_modules=["q_proj"], **lora)
    get_peft_model(opened.model, config).save_pretrained(folder)
    opened.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("lora", [{"modules_to_save": ["embed_tokens", "lm_head"]}, {}], ids=["named", "own"])
def test_an_adapter_with_embeddings_of_its_own_is_loaded(tmp_path: Path, lora: dict[str, Any]) -> None:
    base = saved(tmp_path / "base")
    opened = load_pretrained(str(resized_adapter(tmp_path / "a", base, **lora)), "causal", torch.float32, CPU)
    with torch.no_grad():
        ids = torch.tensor([opened.tokenizer("a ⟨new⟩")["input_ids"]])
        assert int(ids[0, -1]) == len(opened.tokenizer) - 1
        assert opened.model(input_ids=ids).logits.shape[-1] == len(opened.tokenizer)


def test_an_adapter_of_a_base_that_was_trained_again_is_refused(tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    folder = adapter(tmp_path / "a", base)
    write_model_metadata(base, FILE, [])
    write_model_metadata(folder, FILE.model_copy(update={"base": "causal:0123"}), [])
    for made in (base, folder):
        write_hashes(made)
    with pytest.raises(UsageError, match=r"was trained on causal:0123, but .*base now holds causal:ffff"):
        load_pretrained(str(folder), "causal", torch.float32, CPU)


def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path: Path) -> None:
    path = saved(tmp_path / "m") / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if "mlp.down_proj" not in name}
    save_file(kept, path, {"format": "pt"})
    with pytest.raises(
        UsageError, match=r"1 of its weights are missing \(model.layers.0.mlp.down_proj.weight"
    ):
        load_pretrained(str(tmp_path / "m"), "causal", torch.float32, CPU)


CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.mark.parametrize(
    ("file", "auto_map", "part"),
    [
        (
            "config.json",
            {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
            "model",
        ),
        ("tokenizer_config.json", {"AutoTokenizer": [None, "own.Tokenizer"]}, "tokenizer"),
    ],
)
def test_code_that_comes_with_a_model_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, auto_map: dict[str, Any], part: str
) -> None:
    folder = saved(tmp_path / "m")
    (folder / "own.py").write_text(CODE)
    path = folder / file
    settings = json.loads(path.read_text()) | {"auto_map": auto_map, "model_type": "own"}
    settings.pop("tokenizer_class", None)
    path.write_text(json.dumps(settings))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a person is asked"))
    with pytest.raises(UsageError, match=rf"the {part} needs Python code that comes with it \(auto_map\)"):
        load_pretrained(str(folder), "causal", torch.float32, CPU)
    assert not (folder / "ran").exists()


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.marker,)


def test_pickled_weights_run_no_code(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save({"model.norm.weight": Payload(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="the model cannot be loaded"):
        load_pretrained(str(folder), "causal", torch.float32, CPU)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "[]"),
        (
            "tokenizer.json",
            '{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": -1}, "merges": [["a"]]}}',
        ),
        ("tokenizer_config.json", "[1]"),
        ("tokenizer_config.json", '{"eos_token": 7}'),
        ("config.json", "[1]"),
        ("config.json", '{"model_type": "llama", "hidden_size": "many"}'),
        ("config.json", '{"model_type": "llama", "num_attention_heads": 0}'),
        ("generation_config.json", "[1]"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, name: str, text: str) -> None:
    (saved(tmp_path / "m") / name).write_text(text)
    with pytest.raises(UsageError, match=r"cannot be loaded|is not a causal model"):
        load_pretrained(str(tmp_path / "m"), "causal", torch.float32, CPU)


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("", "there is no model to load"),
        ("FILE", "this is a file"),
        ("FOLDER/gone", "there is no such folder"),
    ],
)
def test_a_location_that_is_no_model(tmp_path: Path, location: str, fault: str) -> None:
    (tmp_path / "file").write_text("")
    location = location.replace("FILE", str(tmp_path / "file")).replace("FOLDER", str(tmp_path))
    with pytest.raises(UsageError, match=fault):
        load_pretrained(location, "causal", torch.float32, CPU)


@pytest.mark.parametrize("text", ["[]", "{}", '{"base_model_name_or_path": null}'])
def test_an_adapter_that_names_no_base(tmp_path: Path, text: str) -> None:
    folder = adapter(tmp_path / "a", saved(tmp_path / "base"))
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(UsageError, match="does not name its base"):
        load_pretrained(str(folder), "causal", torch.float32, CPU)


def test_a_tokenizer_needs_no_padding_token(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    path = folder / "tokenizer_config.json"
    written = json.loads(path.read_text())
    del written["pad_token"]
    path.write_text(json.dumps(written))
    opened = load_pretrained(str(folder), "causal", torch.float32, CPU)
    assert (
        opened.tokenizer.pad_token is None
    )  # nothing here pads by a token: what stands behind a row is not looked at


def with_more_tokens(folder: Path) -> Path:
    opened = load_pretrained(str(saved(folder)), "causal", torch.float32, CPU)
    opened.tokenizer.add_tokens(["⟨new⟩"])
    opened.tokenizer.add_special_tokens({"pad_token": "⟨padding⟩"})
    opened.tokenizer.save_pretrained(folder)
    return folder


def test_a_tokenizer_may_have_tokens_that_nobody_uses(tmp_path: Path) -> None:
    opened = load_pretrained(str(with_more_tokens(tmp_path / "m")), "causal", torch.float32, CPU)
    rows = opened.model.get_input_embeddings().weight.shape[0]
    assert len(opened.tokenizer) == rows + 2
    with torch.no_grad():
        opened.model(input_ids=torch.tensor([opened.tokenizer("a b")["input_ids"]]))
        with pytest.raises(
            UsageError,
            match=rf"its tokenizer has {rows + 2} tokens but its model only {rows} .* token {rows} is used",
        ):
            opened.model(input_ids=torch.tensor([opened.tokenizer("a ⟨new⟩ b")["input_ids"]]))


def test_the_token_that_ends_an_answer_needs_an_embedding(tmp_path: Path) -> None:
    folder = with_more_tokens(tmp_path / "m")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": "⟨new⟩"}))
    with pytest.raises(UsageError, match=r"its tokenizer has \d+ tokens but its model only \d+ embeddings"):
        load_pretrained(str(folder), "causal", torch.float32, CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error() -> None:
    with pytest.raises(UsageError, match="device: cuda is requested, but torch sees no GPU here"):
        choose_device("cuda")
    assert choose_device("auto") == CPU
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("bfloat16", CPU) == torch.bfloat16


FILE = ModelMetadata(analyst="causal", fingerprint="f" * 16, form="instruction", max_tokens=9, sets=("DR",))


def test_the_posts_that_a_model_has_seen_can_be_verified(tmp_path: Path) -> None:
    write_model_metadata(
        tmp_path, FILE, [seen_hash("A long day, and a longer night"), seen_hash("Tea at four")]
    )
    assert read_model_metadata(tmp_path) == FILE
    assert seen_hash("a LONG day and a longer night!") in read_seen_hashes(tmp_path)
    assert seen_hash("somebody else's day") not in read_seen_hashes(tmp_path)
    assert read_model_metadata(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("mentallama.json", '{"analyst": "oracle"}', "not a ModelMetadata record: see analyst, fingerprint"),
        ("seen.json", '{"a": 1}', "not a list of hashes"),
        ("seen.json", None, "nobody can tell which posts the model has seen"),
    ],
)
def test_a_damaged_model_file(tmp_path: Path, name: str, text: str | None, fault: str) -> None:
    write_model_metadata(tmp_path, FILE, [])
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    read = read_seen_hashes if name == "seen.json" else read_model_metadata
    with pytest.raises(DataError, match=fault):
        read(tmp_path)

"""LoRA adapters: adding them, and merging them into their base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mentallama.analysts.checkpoints.hub_card import read_card_metadata
from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.cli.app import app
from mentallama.config import LoraSettings
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.manifest import digest_folder
from mentallama.files.record_files import read_json
from mentallama.train.loop.lora import add_lora, merge_lora
from mentallama.train.run import run
from tests.factories.causal_cases import make_run, save_llama
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama of random weights."""
    folder = tmp_path_factory.mktemp("base")
    save_llama(folder)
    return folder


def test_an_adapter_is_merged_into_its_base(tmp_path: Path, base: Path) -> None:
    run(
        make_run(tmp_path, base=str(base), lora={"rank": 4}, learning_rate=2e-2), tmp_path, tmp_path / "train"
    )
    result = CliRunner().invoke(app, ["merge", str(tmp_path / "train"), "--out", str(tmp_path / "merged")])
    assert result.output.splitlines()[-1] == str(tmp_path / "merged")
    merged, adapted = (
        load_pretrained(str(tmp_path / name), "causal", torch.float32, torch.device("cpu"))
        for name in ("merged", "train")
    )
    input_ids = torch.tensor([[5, 9, 3, 7]])
    with torch.no_grad():
        torch.testing.assert_close(
            merged.model(input_ids=input_ids).logits, adapted.model(input_ids=input_ids).logits
        )
    assert not (tmp_path / "merged/adapter_config.json").exists()
    assert merged.name == adapted.name
    hashes = read_json(tmp_path / "merged/hashes.json")
    assert hashes == {
        file.name: file.sha256 for file in digest_folder(tmp_path / "merged") if file.name != "hashes.json"
    }
    assert {"model.safetensors", "mentallama.json", "seen.json", "README.md", "LICENSE.md"} < set(hashes)
    libraries = [
        read_card_metadata(tmp_path / name / "README.md")["library_name"] for name in ("train", "merged")
    ]
    assert libraries == ["peft", "transformers"]


def test_folders_that_cannot_be_merged_are_errors(tmp_path: Path, base: Path) -> None:
    with pytest.raises(UsageError, match="there is no adapter to merge"):
        merge_lora(base, tmp_path / "merged")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="exists already"):
        merge_lora(tmp_path, base)


def test_unknown_target_modules_are_an_error(tmp_path: Path, base: Path) -> None:
    recipe = make_run(tmp_path, base=str(base), lora=LoraSettings(target_modules=("nowhere",)).model_dump())
    with pytest.raises(MentallamaError, match="the model has no layer named nowhere"):
        run(recipe, tmp_path, tmp_path / "train")


def test_layers_too_narrow_for_four_bits_are_one_sentence(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "base", tiny_tokenizer())
    recipe = make_run(tmp_path, base=str(tmp_path / "base"), lora={"load_in_4bit": True})
    with pytest.raises(UsageError, match=r"load_in_4bit: the layer .* has 32 inputs, not a multiple of 64"):
        run(recipe, tmp_path, tmp_path / "train")


def test_a_model_without_any_layer_for_lora_is_one_sentence() -> None:
    class Bare(torch.nn.Module):
        config = {"model_type": "bare"}

    with pytest.raises(UsageError, match="the model has no layer that LoRA can adapt"):
        add_lora(Bare(), LoraSettings(), seed=0)

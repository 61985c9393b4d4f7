"""What a recipe error says about keys that were renamed, and about keys inside tables and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.config import read_recipe
from mentallama.config.loading import OLD_KEYS
from mentallama.errors import UsageError


def error(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(f"name: x\ndata: .\n{text}\n", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_recipe(path)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("train: {regularisation: [1.0]}", "train.regularisation: no such key; did you mean C?"),
        (
            "train: {analyst: causal, base: b, clip: 1}",
            "train.clip: no such key; did you mean max_grad_norm?",
        ),
        (
            "train: {analyst: causal, base: b, lora: {quantised: true}}",
            "train.lora.quantised: no such key; did you mean load_in_4bit?",
        ),
        ("predict: {in_flight: 3}", "predict.in_flight: no such key; did you mean max_concurrency?"),
        ("teach: {attempts: 3}", "teach.attempts: no such key; did you mean max_attempts?"),
        (
            "teach: {teacher: [{spec: embedded, key: K}]}",
            "teach.teacher[0].key: no such key; did you mean key_env_var?",
        ),
        ("check: {words: [1, 9]}", "check.words: no such key; did you mean length?"),
    ],
)
def test_an_old_key_names_the_new_one(text: str, sentence: str, tmp_path: Path) -> None:
    assert f"  - {sentence} (line 3)" in error(tmp_path, text).splitlines()


PARENTS = {
    "train": (
        "train: {{analyst: linear, {key}: 0}}",
        "train: {{analyst: encoder, base: b, {key}: 0}}",
        "train: {{analyst: causal, base: b, {key}: 0}}",
        "train: {{analyst: causal, base: b, lora: {{{key}: 0}}}}",
        "train: {{analyst: causal, from_scratch: {{{key}: 0}}}}",
    ),
    "teach": ("teach: {{{key}: 0}}", "teach: {{teacher: [{{spec: embedded, {key}: 0}}]}}"),
    "check": ("check: {{{key}: 0}}",),
    "predict": ("predict: {{{key}: 0}}",),
    "evaluate": ("evaluate: {{{key}: 0}}",),
}
"""Where keys stand in a recipe, by stage."""


@pytest.mark.parametrize("stage", OLD_KEYS)
def test_every_old_key_leads_to_a_key_that_exists(stage: str, tmp_path: Path) -> None:
    for old, new in OLD_KEYS[stage].items():
        errors = [error(tmp_path, text.format(key=old)) for text in PARENTS[stage]]
        assert any(f"no such key; did you mean {new}?" in each for each in errors), f"{stage}.{old}"

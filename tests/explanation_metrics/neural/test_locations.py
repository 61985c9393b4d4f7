"""Specs of metrics that run a model: the folders in them, and what is wrong with them before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.config import Evaluate, Recipe
from mentallama.evaluate.stage import evaluate_inputs
from mentallama.explanation_metrics.neural.locations import decoder_folder, split_layer
from mentallama.explanation_metrics.registry import metric_problems


def test_a_location_may_hold_a_layer_or_a_kind() -> None:
    assert split_layer("models/roberta:17") == ("models/roberta", 17)
    assert split_layer("models/roberta") == ("models/roberta", None)
    assert split_layer("C:/models/roberta") == ("C:/models/roberta", None)
    assert decoder_folder("causal:models/llama") == decoder_folder("models/llama") == "models/llama"


def test_the_files_of_the_models_are_inputs_of_the_stage(tmp_path: Path) -> None:
    for name in ("roberta", "llama"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    specs = (f"bert_score:{tmp_path / 'roberta'}:17", f"likelihood:causal:{tmp_path / 'llama'}")
    recipe = Recipe(name="r", data=tmp_path, evaluate=Evaluate(explanation_metrics=specs))
    assert set(evaluate_inputs(recipe, tmp_path)) == {"bert_score/config.json", "likelihood/config.json"}


def test_a_missing_folder_is_found_before_any_work(tmp_path: Path) -> None:
    specs = [
        f"{name}:{tmp_path / 'x'}" for name in ("bart_score", "bert_score", "likelihood", "contradiction")
    ]
    assert metric_problems(specs) == [f"{spec}: there is no model folder {tmp_path / 'x'}" for spec in specs]
    assert metric_problems([f"bert_score:{tmp_path / 'x'}:4", f"likelihood:causal:{tmp_path}"]) == [
        f"bert_score:{tmp_path / 'x'}:4: there is no model folder {tmp_path / 'x'}"
    ]
    assert metric_problems(["likelihood:remote:m@http://localhost"]) == [
        "likelihood:remote:m@http://localhost: the likelihood is computed on this machine; name the folder of a decoder"
    ]


def test_a_missing_library_is_found_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mentallama.analysts.checkpoints.optional_deps.find_spec", lambda _name: None)
    (problem,) = metric_problems([f"bart_score:{tmp_path}"])
    assert problem.startswith(f"bart_score:{tmp_path}: a neural model needs torch and transformers: ")

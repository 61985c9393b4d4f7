"""The model card shows what others wrote, such as names and specs, as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from mentallama.analysts.checkpoints.digests import verify_hashes
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.config import Recipe
from mentallama.files.record_files import read_json, write_records
from mentallama.train.model_card import model_origin, write_card
from mentallama.train.run import run
from tests.factories.check_cases import post_of
from tests.factories.linear_cases import QUICK, depression_posts

HOSTILE = "a ![x](http://a.example) <img src=x>\n# b|`c`"
SHOWN = r"a !\[x\](http://a.example) &lt;img src=x&gt; # b\|\`c\`"


def test_markup_in_names_of_others_is_shown_as_it_is(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"name": "small", "data": ".", "train": {"analyst": "encoder", "base": "x"}}
    )
    model = ModelMetadata(
        analyst="encoder", fingerprint="0", form="instruction", max_tokens=8, sets=(HOSTILE,), base=HOSTILE
    )
    write_card(tmp_path, recipe, model, {"source_file": HOSTILE})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for line in (f"Base: {SHOWN}.", f"- Sets: {SHOWN};", f"- source_file: {SHOWN}\n"):
        assert line in card
    assert "<img" not in card


def test_the_card_of_a_neural_model_is_metadata_and_text(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"name": "small", "data": ".", "train": {"analyst": "encoder", "base": "org/some-encoder"}}
    )
    model = ModelMetadata(
        analyst="encoder", fingerprint="0", form="instruction", max_tokens=8, sets=("DR",), base="encoder:x"
    )
    posts = [
        post_of("DR", f"The rent is due and my hours were cut {number}", {}, "train", number)
        for number in (1, 2)
    ]
    write_records(tmp_path / "run/collect/posts.jsonl.zst", posts)
    write_card(tmp_path, recipe, model, {}, tmp_path / "run")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.to_dict() == {
        "license": "other",
        "license_name": "terms-of-base-and-data",
        "license_link": "LICENSE.md",
        "base_model": "org/some-encoder",
        "base_model_relation": "finetune",
        "language": ["en"],
        "datasets": ["DR-synthetic"],
        "pipeline_tag": "text-classification",
        "library_name": "mentallama",
        "tags": ["mental-health", "social-media", "research-only", "mentallama-encoder"],
    }
    assert "never a diagnosis" in card.text
    assert 'ml.open_analyst("encoder:FOLDER")' in card.text
    assert "mentallama export transformers FOLDER --out DIR" in card.text
    assert "https://huggingface.co/org/some-encoder" in (tmp_path / "LICENSE.md").read_text(encoding="utf-8")
    hashes = read_json(tmp_path / "hashes.json")
    assert {"README.md", "LICENSE.md"} <= set(hashes)
    (tmp_path / "LICENSE.md").write_text("edited", encoding="utf-8")
    verify_hashes(tmp_path, made_here=True)  # what people read may be edited


def test_the_linear_analyst_has_a_card_that_says_what_was_trained(tmp_path: Path) -> None:
    write_records(tmp_path / "collect/posts.jsonl.zst", depression_posts())
    run(Recipe(name="r", data=tmp_path, train=QUICK), tmp_path, tmp_path / "train")
    card = ModelCard.load(tmp_path / "train/README.md")
    assert card.data.license == "mit"
    assert card.data.datasets == ["DR-synthetic"]
    assert card.data.base_model is None
    assert "- DR (depression): 60 training and 20 validation posts, " in card.text
    assert not (tmp_path / "train/LICENSE.md").exists()
    assert str(tmp_path) not in (tmp_path / "train/recipe.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("train", "teach", "explanations", "other_data"),
    [
        ({"analyst": "causal", "base": "x"}, None, "model", False),
        ({"analyst": "seq2seq", "base": "x"}, None, "model", False),
        ({"analyst": "causal", "base": "x"}, "embedded", "templates", False),
        ({"analyst": "encoder", "base": "x", "reads": "explanations"}, None, "model", False),
        ({"analyst": "encoder", "base": "x"}, None, "none", False),
        ({"analyst": "linear"}, None, "none", False),
        ({"analyst": "causal", "base": "x", "objective": "pretrain", "corpus": "texts"}, None, "none", True),
    ],
)
def test_what_a_model_learns_decides_which_terms_it_has(
    train: dict[str, Any], teach: str | None, explanations: str, other_data: bool
) -> None:
    document = {"name": "a", "data": ".", "train": train} | ({"teach": {"teacher": teach}} if teach else {})
    origin = model_origin(Recipe.model_validate(document), ("DR",), None)
    assert (origin.explanations, origin.other_data) == (explanations, other_data)

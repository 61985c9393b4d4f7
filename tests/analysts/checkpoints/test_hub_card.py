"""Metadata and terms of model cards: read by the real `huggingface_hub`, and without a guess about a licence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, metadata_load

from mentallama.analysts.checkpoints.hub_card import (
    ModelOrigin,
    card_metadata,
    merged_card,
    read_card_metadata,
    render_front_matter,
    render_terms,
    split_card,
    synthetic_sets,
)
from mentallama.files.record_files import write_records
from mentallama.records import Split
from mentallama.tasks import load_tasks
from tests.factories.check_cases import post_of

TASKS = load_tasks()
SAD, DR = TASKS["SAD"], TASKS["DR"]
SYNTHETIC = frozenset({"SAD", "DR"})
LONG = "The rent is due on Friday and my hours were cut again"


def base_with(folder: Path, metadata: dict[str, object] | None, made_here: bool = False) -> str:
    folder.mkdir()
    if metadata is not None:
        (folder / "README.md").write_text(render_front_matter(metadata) + "# Base\n", encoding="utf-8")
    if made_here:
        (folder / "mentallama.json").write_text("{}", encoding="utf-8")
    return str(folder)


def test_huggingface_hub_reads_the_metadata(tmp_path: Path) -> None:
    origin = ModelOrigin("causal", (SAD, DR), frozenset({"DR"}), "org/some-model", adapter=True)
    metadata = card_metadata(origin)
    assert metadata == {
        "license": "other",
        "license_name": "terms-of-base-and-data",
        "license_link": "LICENSE.md",
        "base_model": "org/some-model",
        "base_model_relation": "adapter",
        "language": ["en"],
        "datasets": ["SAD", "DR-synthetic"],
        "pipeline_tag": "text-generation",
        "library_name": "peft",
        "tags": ["mental-health", "social-media", "research-only", "mentallama-causal"],
    }
    path = tmp_path / "README.md"
    path.write_text(render_front_matter(metadata) + "\n# A model\n", encoding="utf-8")
    card = ModelCard.load(path)
    assert card.data.to_dict() == metadata
    assert metadata_load(path) == metadata
    assert ModelCard(str(card)).data.to_dict() == metadata  # written back and read again


@pytest.mark.parametrize(
    ("origin", "licence"),
    [
        (ModelOrigin("linear", (SAD,)), "other"),  # posts of people, whatever their file's licence
        (ModelOrigin("linear", (DR,)), "other"),
        (ModelOrigin("linear", (SAD,), SYNTHETIC), "mit"),
        (ModelOrigin("linear", (SAD, DR), SYNTHETIC), "mit"),
        (ModelOrigin("linear", (SAD, TASKS["CAMS"]), SYNTHETIC), "other"),
        (ModelOrigin("causal", (SAD,), SYNTHETIC, explanations="model"), "other"),
        (ModelOrigin("causal", (SAD,), SYNTHETIC, explanations="templates"), "mit"),
        (ModelOrigin("causal", (SAD,), SYNTHETIC, base="org/name"), "other"),
        (ModelOrigin("causal", other_data=True), "other"),
        (ModelOrigin("causal"), "other"),
    ],
)
def test_a_licence_is_named_only_if_it_covers_everything(origin: ModelOrigin, licence: str) -> None:
    assert card_metadata(origin)["license"] == licence
    assert (render_terms("a", origin) is None) == (licence == "mit")


@pytest.mark.parametrize(
    ("metadata", "licence", "said"),
    [
        ({"license": "MIT"}, "mit", None),
        ({"license": "apache-2.0"}, "other", "its card states the licence `apache-2.0`"),
        ({"license": "other"}, "other", "its card states no licence"),
        ({"license": ["mit", "apache-2.0"]}, "other", "its card states no licence"),
        ({}, "other", "its card states no licence"),
        (None, "other", "its card states no licence"),
    ],
)
def test_the_licence_of_a_base_in_a_folder_is_that_of_its_card(
    metadata: dict[str, object] | None, licence: str, said: str | None, tmp_path: Path
) -> None:
    origin = ModelOrigin("encoder", (SAD,), SYNTHETIC, base=base_with(tmp_path / "base", metadata))
    assert card_metadata(origin)["license"] == licence
    assert "base_model" not in card_metadata(origin)  # the folder does not say where it is from
    terms = render_terms("a", origin)
    assert (terms is None) == (said is None)
    assert said is None or said in (terms or "")


def test_a_base_made_here_passes_on_the_model_that_it_was_made_from(tmp_path: Path) -> None:
    made = base_with(tmp_path / "made", {"license": "apache-2.0", "base_model": "org/name"}, made_here=True)
    foreign = base_with(tmp_path / "foreign", {"base_model": "org/name"})
    assert card_metadata(ModelOrigin("causal", (SAD,), base=made))["base_model"] == "org/name"
    assert "base_model" not in card_metadata(ModelOrigin("causal", (SAD,), base=foreign))
    assert "its terms are at https://huggingface.co/org/name" in (
        render_terms("a", ModelOrigin("causal", (SAD,), base="org/name")) or ""
    )


def test_terms_name_every_set_and_whose_explanations_were_learnt() -> None:
    origin = ModelOrigin("causal", (SAD, DR), frozenset({"SAD"}), explanations="model", other_data=True)
    terms = render_terms("a | b", origin) or ""
    assert terms.startswith("# Terms of a \\| b\n")
    assert "| SAD | MIT | synthetic |" in terms
    assert f"| DR | {DR.licence} | {DR.obtain} |" in terms
    assert "terms of its provider apply" in terms
    assert "terms are not known here" in terms
    assert "terms of its provider" not in (render_terms("a", replace(origin, explanations="none")) or "")


def test_the_card_of_a_merged_adapter() -> None:
    text = render_front_matter({"base_model_relation": "adapter", "library_name": "peft", "license": "mit"})
    metadata, body = split_card(merged_card(f"{text}\n# Title\n"))
    assert metadata == {"base_model_relation": "finetune", "library_name": "transformers", "license": "mit"}
    assert body == "\n# Title\n"
    assert merged_card("# Without metadata\n") == "# Without metadata\n"


@pytest.mark.parametrize(
    "text", ["# A card\n", "---\n- a list\n---\n# A card\n", "---\na: [\n---\n# A card\n", ""]
)
def test_a_card_without_valid_metadata_has_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert split_card(text) == ({}, text)
    assert read_card_metadata(tmp_path / "README.md") == {}
    assert read_card_metadata(tmp_path / "none.md") == {}


def test_sets_are_synthetic_if_no_post_of_these_splits_is_certainly_real(tmp_path: Path) -> None:
    posts = [
        post_of("DR", LONG, {}, "test", 1),
        post_of("DR", "ok", {}, "test", 2, synthetic=False),  # too short to tell
        post_of("DR", LONG, {}, "train", 3, synthetic=False),
        post_of("SAD", LONG, {}, "test", 4),
        post_of("SAD", LONG, {}, "test", 5, synthetic=False),
        post_of("CAMS", "ok", {}, "test", 6, synthetic=False),
    ]
    write_records(tmp_path / "posts.jsonl.zst", posts)
    test: tuple[Split, ...] = ("test",)
    train: tuple[Split, ...] = ("train", "validation")
    assert synthetic_sets(tmp_path / "posts.jsonl.zst", test) == {"DR"}
    assert synthetic_sets(tmp_path / "posts.jsonl.zst", train) == frozenset()
    assert synthetic_sets(tmp_path / "none.jsonl.zst", test) == frozenset()

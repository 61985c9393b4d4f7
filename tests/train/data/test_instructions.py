"""Instruction rows: which are used, and that test posts are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.analysts.checkpoints.metadata import ModelMetadata, seen_hash, write_model_metadata
from mentallama.config import Check, Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import write_records
from mentallama.records import Post, Provenance, Response, Split, example_of
from mentallama.train.data.instructions import load_instructions
from mentallama.train.data.leakage import base_seen_hashes

PROVENANCE = Provenance(file="made-up.csv", row=2, origin="release")


def post(name: str, split: Split, text: str, set_: str = "dreaddit") -> Post:
    question = {"dreaddit": "stress", "DR": "depression"}[set_]
    return Post(id=name, set=set_, split=split, text=text, labels={question: "yes"}, provenance=PROVENANCE)


def written(folder: Path, posts: list[Post], answers: dict[str, str]) -> Recipe:
    """A run's folder with posts and the release's responses to some of them."""
    write_records(folder / "collect/posts.jsonl.zst", posts)
    responses = [
        Response(
            example_id=example_of(example, question, "instruction").id, text=answers[example.id], model="m"
        )
        for example in posts
        for question in example.labels
        if example.id in answers
    ]
    write_records(folder / "collect/responses.jsonl.zst", responses)
    return Recipe(name="r", data=folder)


YES = "Yes, the poster suffers from stress. Reasoning: the week was long."
POSTS = [
    post("a", "train", "the week was long and loud"),
    post("b", "validation", "a quiet morning in the garden"),
    post("c", "test", "the kettle broke on a Tuesday"),
]


def test_rows_are_split_and_unparsed_ones_are_counted(tmp_path: Path) -> None:
    more = post("d", "train", "nothing to see on the street")
    recipe = written(tmp_path, [*POSTS, more], {"a": f"  {YES}\n", "b": YES, "c": YES, "d": "Who can say."})
    data = load_instructions(recipe, tmp_path)
    assert [(example.post_id, example.label, example.response) for example in data.train] == [
        ("a", "yes", YES)
    ]
    assert [example.post_id for example in data.validation] == ["b"]
    assert data.skipped == {"its answer is unparsed": 1}
    assert (data.sets, data.source_file) == (("dreaddit",), "collect/responses.jsonl.zst")
    assert len(data.seen_hashes()) == 2


def test_with_check_the_accepted_instructions_are_used(tmp_path: Path) -> None:
    recipe = written(tmp_path, POSTS, {})
    rows = [example_of(example, "stress", "instruction", YES) for example in POSTS]
    write_records(tmp_path / "check/instructions.jsonl.zst", rows)
    data = load_instructions(recipe.model_copy(update={"check": Check()}), tmp_path)
    assert [example.post_id for example in (*data.train, *data.validation)] == ["a", "b"]


def test_a_test_post_of_another_set_is_refused(tmp_path: Path) -> None:
    copy = post("e", "test", "The week was LONG, and loud!", "DR")
    recipe = written(tmp_path, [*POSTS, copy], {"a": YES, "b": YES})
    with pytest.raises(
        UsageError, match=r"^test posts of the same set or of another are in 1 row to train on"
    ):
        load_instructions(recipe, tmp_path)


def test_missing_validation_rows_are_an_error(tmp_path: Path) -> None:
    recipe = written(tmp_path, POSTS, {"a": YES})
    with pytest.raises(UsageError, match="there are no validation rows with an answer"):
        load_instructions(recipe, tmp_path)


def test_seen_hashes_of_a_base_are_inherited_and_checked_for_test_posts(tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl.zst"
    write_records(posts, [post("c", "test", "A quiet day by the lake")])
    file = ModelMetadata(
        analyst="causal", fingerprint="f" * 16, form="instruction", max_tokens=9, sets=("DR",)
    )
    write_model_metadata(tmp_path, file, [seen_hash("Another day in town")])
    assert base_seen_hashes(str(tmp_path), posts) == {seen_hash("Another day in town")}
    assert base_seen_hashes("somebody/else", posts) == base_seen_hashes(None, posts) == frozenset()
    write_model_metadata(tmp_path, file, [seen_hash("a quiet day, by the lake!")])
    with pytest.raises(UsageError, match="this base was trained on 1 test post of this run"):
        base_seen_hashes(str(tmp_path), posts)

"""A model made here answers only with the files that it was saved with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mentallama.analysts.checkpoints.digests import LIBRARY_SUFFIXES, verify_hashes, write_hashes
from mentallama.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in the layout of a model in two shards."""
    for name in ("model-1.safetensors", "model-2.safetensors", "tokenizer.json", "README.md", "summary.json"):
        (tmp_path / name).write_bytes(name.encode() * 9)
    write_hashes(tmp_path)
    return tmp_path


def test_an_unchanged_folder_is_accepted(folder: Path) -> None:
    verify_hashes(folder, made_here=True, added_suffixes=LIBRARY_SUFFIXES)


@pytest.mark.parametrize("name", ["model-1.safetensors", "model-2.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("position", [0, 20, -1])
def test_one_flipped_bit_in_any_file_is_found(folder: Path, name: str, position: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[position] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: damaged or changed.*sha256sum for it into hashes.json"):
        verify_hashes(folder, made_here=True)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(DataError, match=r"model-2.safetensors: this part of the model is missing"):
        verify_hashes(folder, made_here=True)


@pytest.mark.parametrize("name", ["chat_template.jinja", "added_tokens.json", "pytorch_model.bin"])
def test_a_file_that_a_library_would_load_must_not_be_added(folder: Path, name: str) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(DataError, match=rf"{name}: not one of the files"):
        verify_hashes(folder, made_here=True, added_suffixes=LIBRARY_SUFFIXES)


def test_what_people_write_about_a_model_may_change(folder: Path) -> None:
    (folder / "README.md").write_text("My notes.")
    (folder / "summary.json").unlink()
    (folder / "notes.txt").write_text("Mine.")
    (folder / "manifest.json").write_text("{}")
    verify_hashes(folder, made_here=True, added_suffixes=LIBRARY_SUFFIXES)


def test_a_change_on_purpose_is_accepted_as_the_message_says(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("mine")
    mine = "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff"  # of sha256sum
    hashes = json.loads((folder / "hashes.json").read_text())
    (folder / "hashes.json").write_text(json.dumps(hashes | {"tokenizer.json": mine}))
    verify_hashes(folder, made_here=True)


def test_a_model_made_here_has_digests_and_another_need_not(folder: Path) -> None:
    (folder / "hashes.json").unlink()
    verify_hashes(folder, made_here=False)
    with pytest.raises(DataError, match=r"hashes.json: missing"):
        verify_hashes(folder, made_here=True)


@pytest.mark.parametrize("text", ["[]", "{", "null"])
def test_damaged_digests(folder: Path, text: str) -> None:
    (folder / "hashes.json").write_text(text)
    with pytest.raises(DataError, match=r"hashes.json"):
        verify_hashes(folder, made_here=True)

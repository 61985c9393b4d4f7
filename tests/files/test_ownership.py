"""Folders and files of the user's are refused before the work and stay as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.errors import MentallamaError, UsageError
from mentallama.files.manifest import digest_folder, read_manifest, write_manifest
from mentallama.files.ownership import (
    claim_files,
    make_output_folder,
    record_claimed_files,
    require_own_folder,
)


def made(folder: Path, *names: str, command: str = "report") -> Path:
    """A folder with the manifest of a command."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")
    folder.mkdir(exist_ok=True)
    write_manifest(folder, command, {}, digest_folder(folder), {}, 0)
    return folder


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        path.as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.is_file() or not path.is_symlink()
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda folder: (folder / "index.html").unlink(),
        lambda folder: (folder / ".DS_Store").write_text("x"),
        lambda folder: (folder / "index.html").write_text("edited"),
    ],
)
def test_a_folder_of_our_own_may_be_replaced(change: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = made(tmp_path / "report", "index.html", "inner/a.txt")
    change(folder)
    require_own_folder(folder, "report")


def test_a_new_or_empty_folder_may_be_used(tmp_path: Path) -> None:
    require_own_folder(tmp_path / "new", "report")
    (tmp_path / "empty").mkdir()
    require_own_folder(tmp_path / "empty", "report")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "notes.md").write_text("mine"),
        lambda folder: (folder / ".notes").write_text("mine"),
        lambda folder: (folder / "inner/notes.md").write_text("mine"),
        lambda folder: (folder / "empty.txt").touch(),
        lambda folder: (folder / "inner/empty").mkdir(),
        lambda folder: (folder / "link").symlink_to("/"),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text('{"name": "a web page"}'),
        lambda folder: made(folder, command="evaluate"),
    ],
)
def test_a_folder_with_files_of_others_is_refused(change: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = made(tmp_path / "report", "index.html", "inner/a.txt")
    change(folder)
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=r"holds a (file|folder) that it did not make") as refused:
        require_own_folder(folder, "report")
    assert str(folder) in str(refused.value)
    assert snapshot(tmp_path) == before


def test_a_lost_manifest_is_replaced_by_the_names_of_our_files_only(tmp_path: Path) -> None:
    folder = made(tmp_path / "report", "index.html", "data/a.jsonl")
    (folder / "manifest.json").write_text("{}")
    require_own_folder(folder, "report", ("index.html", "data/*.jsonl"))
    (folder / "chapter1.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"chapter1\.tex"):
        require_own_folder(folder, "report", ("index.html", "data/*.jsonl"))


def test_a_link_and_a_file_in_place_of_the_folder_are_refused(tmp_path: Path) -> None:
    made(tmp_path / "elsewhere", "index.html")
    (tmp_path / "report").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="cannot replace a symbolic link"):
        require_own_folder(tmp_path / "report", "report")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match="cannot replace a symbolic link"):
        require_own_folder(tmp_path / "dangling", "report")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MentallamaError, match="this is a file"):
        require_own_folder(tmp_path / "file", "report")


def test_a_folder_without_write_permission_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "report", "inner/a.txt")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "inner")
    with pytest.raises(MentallamaError, match=r"inner: this folder cannot be written"):
        require_own_folder(folder, "report")


def test_claimed_files_replace_only_what_was_claimed_before(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    claim_files(tmp_path, "evaluate", ("scores.json", "rows.jsonl"))
    (tmp_path / "scores.json").write_text("ours")
    (tmp_path / "rows.jsonl").write_text("ours")
    claim_files(tmp_path, "evaluate", ("scores.json",))  # also after a kill: the manifest came first
    assert (tmp_path / "rows.jsonl").is_file()
    record_claimed_files(tmp_path, "evaluate", ("scores.json",))
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex", "manifest.json", "scores.json"}
    (tmp_path / "rows.jsonl").write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=r"rows\.jsonl: evaluate did not make this file"):
        claim_files(tmp_path, "evaluate", ("scores.json", "rows.jsonl"))
    with pytest.raises(UsageError, match=r"manifest\.json: other did not make this file"):
        claim_files(tmp_path, "other", ("x.json",))
    assert snapshot(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_output_folder(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file/inner"):
        with pytest.raises(MentallamaError, match="there is a file where results would be written"):
            make_output_folder(place)

    def full(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(MentallamaError, match="a: Read-only file system; choose another"):
        make_output_folder(tmp_path / "a")


def test_the_manifest_of_a_claim_is_read_again(tmp_path: Path) -> None:
    claim_files(tmp_path, "evaluate", ("scores.json",))
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert [file.name for file in manifest.outputs] == ["scores.json"]

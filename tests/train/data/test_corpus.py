"""Corpora: documents of files, their split, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.train.data.corpus import VALIDATION_SHARE, read_corpus, read_documents, validation_hashes


def test_documents_have_file_and_row(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("\nOne line,\nand its neighbour.\n\n \nAnother one.\n", encoding="utf-8")
    (tmp_path / "deep/b.jsonl").write_text(
        '{"text": "A row.\\n\\nOf two parts.", "id": 4}\n', encoding="utf-8"
    )
    (tmp_path / "c.csv").write_text("text\nnot read\n", encoding="utf-8")
    documents = [(document.text, document.file.name, document.row) for document in read_documents(tmp_path)]
    assert documents == [
        ("One line,\nand its neighbour.", "a.txt", 2),
        ("Another one.", "a.txt", 6),
        ("A row.\n\nOf two parts.", "b.jsonl", 1),
    ]


def test_personal_data_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Write to mara@example.org about the garden.", encoding="utf-8")
    (document,) = read_documents(tmp_path / "a.txt")
    assert document.text == "Write to [mail] about the garden."


def test_a_document_keeps_its_split_when_others_are_added() -> None:
    hashes = [seen_hash(f"document {number}") for number in range(2000)]
    validation, more_validation = validation_hashes(hashes[:1000]), validation_hashes(hashes)
    assert validation == more_validation & set(hashes[:1000])
    assert len(more_validation) / 2000 == pytest.approx(VALIDATION_SHARE, abs=0.015)
    few = sorted(hashes)[-3:]
    assert validation_hashes(few) == {few[0]}  # one at least


def test_copies_and_blank_documents_are_skipped_and_general_text_is_separate(tmp_path: Path) -> None:
    domain = tmp_path / "domain.txt"
    domain.write_text("A long walk.\n\na LONG walk!\n\n...\n\nA short rest.\n\nSome soup.", encoding="utf-8")
    (tmp_path / "general.txt").write_text("Some soup.\n\nA map of roads.", encoding="utf-8")
    corpus = read_corpus(domain, tmp_path / "general.txt")
    assert corpus.skipped == {"copies of another document": 1, "without a letter": 1}
    assert (len(corpus.train), len(corpus.validation)) == (2, 1)
    assert [document.text for document in corpus.general] == ["A map of roads."]


def _nothing(folder: Path) -> None:
    assert not folder.exists()


def _empty(folder: Path) -> None:
    folder.mkdir()


def _no_text(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "A walk."}\n{"body": "A walk."}\n')


def _no_json(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "A walk."}\n\nA walk.\n')


def _one_document(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.txt").write_text("A walk.\n\n...\n")


def _other_encoding(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.txt").write_bytes("Ein schöner Tag.".encode("latin-1"))


@pytest.mark.parametrize(
    ("write", "kind", "sentence"),
    [
        (_nothing, UsageError, r"domain: there is no \.txt or \.jsonl file to train on"),
        (_empty, UsageError, r"domain: there is no \.txt or \.jsonl file to train on"),
        (_no_text, DataError, r"a\.jsonl, row 2: a row must be an object with a string under the key text"),
        (_no_json, DataError, r"a\.jsonl, row 2: not a JSON object"),
        (_one_document, UsageError, r"domain: too few documents, 1 with a letter in it"),
        (_other_encoding, DataError, r"a\.txt: not UTF-8 text; convert it first"),
    ],
    ids=["missing", "empty", "no text", "no json", "one document", "encoding"],
)
def test_unreadable_corpora_are_errors(
    tmp_path: Path, write: Callable[[Path], None], kind: type[MentallamaError], sentence: str
) -> None:
    write(tmp_path / "domain")
    with pytest.raises(kind, match=sentence):
        read_corpus(tmp_path / "domain", None)

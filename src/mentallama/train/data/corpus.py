"""Text corpora for continued pre-training, split into training and validation documents.

A document is a row of a `.jsonl` file (key `text`) or a passage between blank lines of a `.txt` file. Personal data is
removed from documents as `collect` removes it from posts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.errors import DataError, UsageError
from mentallama.text.fingerprint import text_key
from mentallama.text.pii import scrub

VALIDATION_SHARE = 0.05
"""Share of the documents, or of the posts that preference pairs are about, that is used for validation only."""


@dataclass(frozen=True)
class Document:
    """One text, its file, and the line of the file on which it starts, counted from 1."""

    text: str
    file: Path
    row: int


@dataclass(frozen=True)
class Corpus:
    """Training and validation documents of a domain, and general documents for a second perplexity.

    `skipped` counts documents that were left out, by reason.
    """

    train: list[Document]
    validation: list[Document]
    general: list[Document]
    skipped: Counter[str] = field(default_factory=Counter)

    def seen_hashes(self) -> set[str]:
        """Hashes of all documents used for training or model selection."""
        return {seen_hash(document.text) for document in (*self.train, *self.validation)}


def read_corpus(domain: Path, general: Path | None) -> Corpus:
    """Read and split the documents of a domain; general documents that also occur in the domain are left out.

    Raises
    ------
    UsageError
        A path does not exist or holds no text, there are too few documents to split, or no general document is left.
    DataError
        A row has no text, or a file is not UTF-8.
    """
    skipped: Counter[str] = Counter()
    documents = _deduplicate(read_documents(domain), skipped)
    validation = validation_hashes(documents)
    train = [document for key, document in documents.items() if key not in validation]
    if not train:
        raise UsageError(
            f"{domain}: too few documents, {len(documents)} with a letter in it; training and validation need one each"
        )
    by_hash = {} if general is None else _deduplicate(read_documents(general), Counter())
    general_documents = [document for key, document in by_hash.items() if key not in documents]
    if general is not None and not general_documents:
        raise UsageError(f"{general}: every document with a letter in it is also in the training corpus")
    return Corpus(
        train, [documents[key] for key in documents if key in validation], general_documents, skipped
    )


def validation_hashes(hashes: Iterable[str]) -> set[str]:
    """The hashes (`seen_hash`) of validation texts: about `VALIDATION_SHARE` of them, and at least one.

    Only a text's own hash decides, so that a text keeps its split when others are added.
    """
    bound = f"{int(VALIDATION_SHARE * 16**24):024x}"
    distinct = sorted(set(hashes))
    return {key for key in distinct if key < bound} or set(distinct[:1])


def read_documents(path: Path) -> Iterator[Document]:
    """Read a `.txt` or `.jsonl` file, or all such files below a folder, sorted by name.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        A row has no text, or a file is not UTF-8.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    files = [file for file in files if file.suffix in _DOCUMENT_READERS]
    if not files:
        raise UsageError(f"{path}: there is no .txt or .jsonl file to train on")
    for file in files:
        with file.open(encoding="utf-8") as lines:
            try:
                yield from _DOCUMENT_READERS[file.suffix](lines, file)
            except UnicodeDecodeError:
                raise DataError("not UTF-8 text; convert it first", file) from None


def _passages(lines: Iterable[str], file: Path) -> Iterator[Document]:
    """Yield passages: runs of lines that are not blank."""
    passage: list[str] = []
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            passage.append(line)
        elif passage:
            yield _document("".join(passage), file, number - len(passage))
            passage = []
    if passage:
        yield _document("".join(passage), file, number - len(passage) + 1)


def _jsonl_documents(lines: Iterable[str], file: Path) -> Iterator[Document]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # not JSON, nested too deeply, or numbers of thousands of digits
            raise DataError("not a JSON object", file, number) from None
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise DataError("a row must be an object with a string under the key text", file, number)
        yield _document(text, file, number)


def _document(text: str, file: Path, row: int) -> Document:
    return Document(scrub(text.strip())[0], file, row)


_DOCUMENT_READERS = {".txt": _passages, ".jsonl": _jsonl_documents}


def _deduplicate(documents: Iterable[Document], skipped: Counter[str]) -> dict[str, Document]:
    """Documents by hash, without those that have no letter; the first of several copies is kept."""
    by_hash: dict[str, Document] = {}
    for document in documents:
        key = seen_hash(document.text)
        if not text_key(document.text):
            skipped["without a letter"] += 1
        elif key in by_hash:
            skipped["copies of another document"] += 1
        else:
            by_hash[key] = document
    return by_hash

"""Text to learn from as it stands: documents of a folder, the share that only measures, and no test post among them.

A row of a `.jsonl` file is a document (key `text`), and so is every passage between blank lines of a `.txt` file.
Personal data is taken out of them as `collect` takes it out of posts.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Post
from mentallama.text.fingerprint import text_key
from mentallama.text.pii import scrub

VALIDATION_SHARE = 0.05
"""Of the documents, or of the posts that pairs are about: never learnt from, only measured on."""

MIN_SUBSTRING_CHARS = 40
"""Letters and digits of the shortest test post that is looked for inside of documents; a shorter one is looked for as a
whole document, for its few words may stand in anybody's text."""


@dataclass(frozen=True)
class Document:
    """One text, and where it stands: file and line."""

    text: str
    file: Path
    row: int


@dataclass(frozen=True)
class Corpus:
    """Documents to learn from, documents of the same kind to measure on, and general ones to measure on.

    `skipped` counts what was left out, by reason.
    """

    train: list[Document]
    validation: list[Document]
    general: list[Document]
    skipped: Counter[str] = field(default_factory=Counter)

    def seen_hashes(self) -> set[str]:
        """Hashes of all documents that training or its choices see."""
        return {seen_hash(document.text) for document in (*self.train, *self.validation)}


def read_corpus(text: Path, general: Path | None) -> Corpus:
    """Read the documents of a folder and divide them; general text that is learnt from too is not measured.

    Raises
    ------
    WrongUse
        A folder does not exist or holds no text; there are too few documents to hold one back.
    BadData
        A row has no text, or a file is not UTF-8.
    """
    skipped: Counter[str] = Counter()
    domain = _deduplicate(read_documents(text), skipped)
    held = validation_hashes(domain)
    train = [document for hashed, document in domain.items() if hashed not in held]
    if not train:
        raise UsageError(
            f"{text}: there are too few documents, {len(domain)} with a letter in it; one at least is learnt from and "
            "one only measured on"
        )
    others = {} if general is None else _deduplicate(read_documents(general), Counter())
    common = [document for hashed, document in others.items() if hashed not in domain]
    if general is not None and not common:
        raise UsageError(
            f"{general}: there is no document with a letter in it that is not learnt from as well"
        )
    return Corpus(train, [domain[hashed] for hashed in domain if hashed in held], common, skipped)


def validation_hashes(hashes: Iterable[str]) -> set[str]:
    """Those of some hashes (`seen_hash`) that are only measured on: about `VALIDATION_SHARE` of them, one at least.

    A text's own hash decides, so that it stays on its side however many others are added.
    """
    bound = f"{int(VALIDATION_SHARE * 16**24):024x}"
    distinct = sorted(set(hashes))
    return {hashed for hashed in distinct if hashed < bound} or set(distinct[:1])


def read_documents(path: Path) -> Iterator[Document]:
    """Read a `.txt` or `.jsonl` file, or all those below a folder, by name.

    Raises
    ------
    WrongUse
        There is no such file.
    BadData
        A row has no text, or a file is not UTF-8.
    """
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    files = [file for file in files if file.suffix in _DOCUMENT_READERS]
    if not files:
        raise UsageError(f"{path}: there is no .txt or .jsonl file to learn from")
    for file in files:
        with file.open(encoding="utf-8") as lines:
            try:
                yield from _DOCUMENT_READERS[file.suffix](lines, file)
            except UnicodeDecodeError:
                raise DataError("not UTF-8 text; convert it first", file) from None


def _passages(lines: Iterable[str], file: Path) -> Iterator[Document]:
    """Neighbouring lines that are not blank."""
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
        except json.JSONDecodeError:
            raise DataError("not a JSON object", file, number) from None
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise DataError("no text: a row is an object whose key text holds one", file, number)
        yield _document(text, file, number)


def _document(text: str, file: Path, row: int) -> Document:
    return Document(scrub(text.strip())[0], file, row)


_DOCUMENT_READERS = {".txt": _passages, ".jsonl": _jsonl_documents}


def _deduplicate(documents: Iterable[Document], skipped: Counter[str]) -> dict[str, Document]:
    """By hash; of copies the first."""
    found: dict[str, Document] = {}
    for document in documents:
        hashed = seen_hash(document.text)
        if not text_key(document.text):
            skipped["without a letter"] += 1
        elif hashed in found:
            skipped["copies of another document"] += 1
        else:
            found[hashed] = document
    return found


def refuse_documents_with_test_posts(documents: Iterable[Document], posts: Path) -> None:
    """Raise `WrongUse` where a document is a test post of a run, of any set, or holds one.

    Parameters
    ----------
    posts
        The run's posts.
    """
    whole, inside = _test_keys(posts)
    leaked = [document for document in documents if _holds_test_post(text_key(document.text), whole, inside)]
    if leaked:
        first = leaked[0]
        raise UsageError(
            f"{first.file}, row {first.row}: this document is a test post of the run or holds one, as {len(leaked)} "
            "of all documents do; take them out"
        )


def _test_keys(posts: Path) -> tuple[set[str], dict[str, list[str]]]:
    """Keys of the test posts, and those long enough to be looked for, by their first letters."""
    whole = {text_key(post.text) for post in read_records(posts, Post) if post.split == "test"} - {""}
    inside: dict[str, list[str]] = defaultdict(list)
    for key in whole:
        if len(key) >= MIN_SUBSTRING_CHARS:
            inside[key[:MIN_SUBSTRING_CHARS]].append(key)
    return whole, dict(inside)


def _holds_test_post(key: str, whole: set[str], inside: dict[str, list[str]]) -> bool:
    places = range(len(key) - MIN_SUBSTRING_CHARS + 1) if inside else ()
    return key in whole or any(
        key.startswith(post, at)
        for at in places
        for post in inside.get(key[at : at + MIN_SUBSTRING_CHARS], ())
    )

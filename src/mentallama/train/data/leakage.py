"""Checks before training that refuse data containing test posts of any set of the run.

Posts are compared by the hashes of their normalised text (`seen_hash`); documents are also searched for test posts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import read_model_metadata, read_seen_hashes, seen_hash
from mentallama.errors import UsageError, counted
from mentallama.files.record_files import read_records
from mentallama.records import Post
from mentallama.text.fingerprint import text_key
from mentallama.train.data.corpus import Document

MIN_SUBSTRING_CHARS = 40
"""Length, in letters and digits, of the shortest test post that is searched for inside documents. A shorter one only
counts if it is the whole document, because its few words may occur in any text."""


def hashes_of_test_posts(posts: Iterable[Post]) -> frozenset[str]:
    """Hashes of the test posts of all sets; posts without a letter are left out, because they identify nothing."""
    return frozenset(seen_hash(post.text) for post in posts if post.split == "test" and text_key(post.text))


def refuse_test_posts(texts: Iterable[str], test_hashes: frozenset[str]) -> None:
    """Raise `UsageError` if a text to train on is a test post of any set.

    `test_hashes` is the result of `hashes_of_test_posts`.
    """
    n_leaked = sum(seen_hash(text) in test_hashes for text in texts)
    if n_leaked:
        raise UsageError(
            f"test posts of the same set or of another are in {counted(n_leaked, 'row')} to train on; a model of "
            "several sets needs collect.leak_guard: run"
        )


def base_seen_hashes(base: str | None, posts: Path) -> frozenset[str]:
    """Hashes of the posts that a base was trained on by this project; empty for any other base.

    Raises
    ------
    UsageError
        One of them is a test post of this run: a model tuned from the base could have memorised it.
    DataError
        The base has no record of the posts that it was trained on.
    """
    if base is None or read_model_metadata(Path(base)) is None:
        return frozenset()
    seen = read_seen_hashes(Path(base))
    n_leaked = len(seen & hashes_of_test_posts(read_records(posts, Post))) if posts.is_file() else 0
    if n_leaked:
        raise UsageError(
            f"{base}: this base was trained on {counted(n_leaked, 'test post')} of this run; retrain it without "
            "them (the same data, collect.leak_guard: run), or start from another base"
        )
    return seen


def refuse_documents_with_test_posts(documents: Iterable[Document], posts: Path) -> None:
    """Raise `UsageError` if a document is, or contains, a test post of any set in a file of posts."""
    keys, by_prefix = _test_keys(posts)
    leaked = [
        document for document in documents if _contains_test_post(text_key(document.text), keys, by_prefix)
    ]
    if leaked:
        first = leaked[0]
        raise UsageError(
            f"{first.file}, row {first.row}: this document is or contains a test post of the run, as do {len(leaked)} "
            "documents in all; remove them"
        )


def _test_keys(posts: Path) -> tuple[set[str], dict[str, list[str]]]:
    """Keys of all test posts, and those of the posts that are searched for inside documents by their prefix."""
    keys = {text_key(post.text) for post in read_records(posts, Post) if post.split == "test"} - {""}
    by_prefix: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if len(key) >= MIN_SUBSTRING_CHARS:
            by_prefix[key[:MIN_SUBSTRING_CHARS]].append(key)
    return keys, dict(by_prefix)


def _contains_test_post(document: str, keys: set[str], by_prefix: dict[str, list[str]]) -> bool:
    starts = range(len(document) - MIN_SUBSTRING_CHARS + 1) if by_prefix else ()
    return document in keys or any(
        document.startswith(key, start)
        for start in starts
        for key in by_prefix.get(document[start : start + MIN_SUBSTRING_CHARS], ())
    )

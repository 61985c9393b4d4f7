"""Boilerplate: one explanation under several posts.

Two explanations are one text where what they say outside their quotations is nearly the same, and they quote the same
or nothing that stands in their posts. A teacher that writes by a template round different quotations passes, since
each of its explanations fits one post only; a text that could stand under any post does not.

Of each such text the first post's explanation is kept: once, it teaches what it says and nothing is lost; again and
again, it teaches to answer without reading. Where the same text stands under different labels of one question, it
explains none of them, and none is kept. Several answers about one post, to other questions or from other teachers,
are no repetition, nor are answers to the same post in two sets.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentallama.check.gates.quote_grounding import GROUNDED_KINDS, match_quotes
from mentallama.check.response_row import ResponseRow
from mentallama.parallel import batched
from mentallama.records import Verdict
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import NearDuplicateIndex, minhash_bands
from mentallama.text.quote_extraction import replace_quotes

TEXTS_IN_MEMORY = 2000
"""Rows whose texts are held in memory at a time."""

AnyArray = NDArray[Any]


def check_repeated_explanations(rows: Sequence[ResponseRow], threshold: float) -> list[Verdict]:
    """Judge all rows of a run together; see `count_other_posts`, which streams."""
    with TemporaryDirectory() as folder:
        found = count_other_posts(rows, threshold, Path(folder))
    return [repeated_explanation_verdict(row, int(posts)) for row, posts in zip(rows, found, strict=True)]


def repeated_explanation_verdict(row: ResponseRow, n_other_posts: int) -> Verdict:
    """The verdict on a row whose text stands under so many other posts, one of which is kept instead; the score."""
    return row.verdict(
        "repeated_explanation",
        f"says the same under {n_other_posts} other posts" if n_other_posts else None,
        n_other_posts,
    )


def count_other_posts(rows: Iterable[ResponseRow], threshold: float, folder: Path) -> AnyArray:
    """How many other posts have each row's explanation; 0 also for a row that is kept for all of them.

    Reads the rows once. Texts lie on disk in `folder`; in memory a row takes some 200 bytes. About 0.5 ms a row.

    Parameters
    ----------
    rows
        That could be read.
    threshold
        Least likeness (rapidfuzz ratio of letters and digits, 0-100) of two explanations that are one text.

    Returns
    -------
    int64 (rows,)
    """
    columns: dict[str, array[int]] = {name: array("Q") for name in ("post", "quotes", "question", "answer")}
    index = NearDuplicateIndex(folder, threshold, match_prefixes=False)
    try:
        for batch in batched(rows, TEXTS_IN_MEMORY):
            texts = [replace_quotes(row.reading.explanation, row.quotes, placeholder=" ") for row in batch]
            keys = [text_key(text) for text in texts]
            index.add(keys, np.array(list(map(key_hash, keys)), dtype=np.uint64), minhash_bands(texts, keys))
            for row in batch:
                for name, number in _row_hashes(row).items():
                    columns[name].append(number)
        _, texts_alike = index.clusters()
    finally:
        index.close()
    read = {name: np.array(column, dtype=np.uint64) for name, column in columns.items()}
    groups = _pair_ids(texts_alike.astype(np.uint64), read["quotes"])
    return _repeats_of_kept(groups, read["post"], read["question"], read["answer"])


def _row_hashes(row: ResponseRow) -> dict[str, int]:
    """What is remembered of a row beside its text."""
    question = f"{row.task.set}\0{row.example.question}"
    return {
        "post": key_hash(text_key(row.post.text) or row.post.id),
        "quotes": key_hash("\0".join(sorted(_grounded_quotes(row)))),
        "question": key_hash(question),
        "answer": key_hash(f"{question}\0{row.reading.label}"),
    }


def _grounded_quotes(row: ResponseRow) -> set[str]:
    """The keys of quotations that stand in the row's post."""
    placed = zip(row.quotes, match_quotes(row), strict=True)
    return {text_key(text) for text, quote in placed if quote.kind in GROUNDED_KINDS}


def _repeats_of_kept(groups: AnyArray, posts: AnyArray, questions: AnyArray, answers: AnyArray) -> AnyArray:
    """For each row the other posts of its group, or 0 for the group's first post where all answers agree."""
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    size = int(groups.max()) + 1
    others = _count_distinct(groups, posts, size) - 1
    asked = _pair_ids(groups, questions)
    disputed = _count_distinct(asked, answers, int(asked.max()) + 1)[asked] > 1
    torn = np.zeros(size, dtype=bool)
    torn[groups[disputed]] = True
    _, first = np.unique(groups, return_index=True)
    kept = (posts == posts[first][groups]) & ~torn[groups]
    return np.where(kept, 0, others[groups])


def _pair_ids(left: AnyArray, right: AnyArray) -> AnyArray:
    """A number from 0 for each different pair."""
    pairs = np.stack([left.astype(np.uint64), right.astype(np.uint64)], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _count_distinct(groups: AnyArray, values: AnyArray, size: int) -> AnyArray:
    """How many different values each group has."""
    pairs = np.unique(np.stack([groups.astype(np.uint64), values.astype(np.uint64)], axis=1), axis=0)
    return np.bincount(pairs[:, 0].astype(np.int64), minlength=size)

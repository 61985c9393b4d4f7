"""Gate: the explanation does not repeat the explanation of another post.

Two explanations count as the same text if they are nearly identical outside their quotations and quote the same
passages, or nothing that is in their posts. A teacher that fills a template with different quotations passes, since
each of its explanations fits only one post; a text that could follow any post does not.

Of each group of repeats, the explanation of the first post is kept: one copy does no harm, many teach a model to answer
without reading. If the same text occurs under different labels of one question, it explains none of them and no copy is
kept. Several answers about one post, to other questions or from other teachers, are not repeats, nor are answers to the
same post in two sets.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentallama.answers.quotations import GROUNDED_KINDS, match_quotes
from mentallama.check.gate import CorpusVerdicts, ResponseCorpus
from mentallama.check.response_rows import ResponseRow
from mentallama.parallel import batched
from mentallama.records import Verdict
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import NearDuplicateIndex, minhash_bands

BATCH_SIZE = 2000
"""Rows whose texts are in memory at a time."""

AnyArray = NDArray[Any]


def judge_repeated_explanations(corpus: ResponseCorpus, threshold: float) -> CorpusVerdicts:
    """Compare all explanations of a run, in the corpus's scratch folder."""
    counts = count_other_posts(corpus.rows, threshold, corpus.scratch_dir).tolist()
    return CorpusVerdicts(
        _repeated_explanation_verdict(row, n) for row, n in zip(corpus.rows, counts, strict=True)
    )


def _repeated_explanation_verdict(row: ResponseRow, n_other_posts: int) -> Verdict:
    """Fail a row whose text also occurs under other posts, unless it is the copy that is kept. The score is the number
    of these posts."""
    reason = f"repeated under {n_other_posts} other posts" if n_other_posts else None
    return row.verdict("repeated_explanation", reason, n_other_posts)


def count_other_posts(rows: Iterable[ResponseRow], threshold: float, folder: Path) -> AnyArray:
    """Count, for each row, the other posts that have the same explanation; 0 as well for the copy that is kept.

    Reads the rows once. Texts are stored on disk in `folder`; it takes about 200 bytes of memory and 0.5 ms per row.

    Parameters
    ----------
    rows
        Parsed rows only.
    threshold
        Minimum similarity (rapidfuzz ratio of letters and digits, 0-100) of two explanations that are the same text.

    Returns
    -------
    int64 (rows,)
    """
    columns: dict[str, array[int]] = {name: array("Q") for name in ("post", "quotes", "question", "answer")}
    index = NearDuplicateIndex(folder, threshold, match_prefixes=False)
    try:
        for batch in batched(rows, BATCH_SIZE):
            texts = [row.unquoted_explanation(placeholder=" ") for row in batch]
            keys = [text_key(text) for text in texts]
            index.add(keys, np.array(list(map(key_hash, keys)), dtype=np.uint64), minhash_bands(texts, keys))
            for row in batch:
                for name, number in _row_hashes(row).items():
                    columns[name].append(number)
        _, text_clusters = index.clusters()
    finally:
        index.close()
    hashes = {name: np.array(column, dtype=np.uint64) for name, column in columns.items()}
    groups = _pair_ids(text_clusters.astype(np.uint64), hashes["quotes"])
    return _repeats_of_kept(groups, hashes["post"], hashes["question"], hashes["answer"])


def _row_hashes(row: ResponseRow) -> dict[str, int]:
    """64-bit hashes of everything that is compared besides the explanation's own words."""
    question = f"{row.task.set}\0{row.example.question}"
    return {
        "post": key_hash(text_key(row.post.text) or row.post.id),
        "quotes": key_hash("\0".join(sorted(_grounded_quotes(row)))),
        "question": key_hash(question),
        "answer": key_hash(f"{question}\0{row.reading.label}"),
    }


def _grounded_quotes(row: ResponseRow) -> set[str]:
    """Normalised keys of the quotations that are in the row's post."""
    matches = zip(row.quotes, match_quotes(row.post.text, row.quotes, row.task), strict=True)
    return {text_key(text) for text, match in matches if match.kind in GROUNDED_KINDS}


def _repeats_of_kept(groups: AnyArray, posts: AnyArray, questions: AnyArray, answers: AnyArray) -> AnyArray:
    """For each row, the number of other posts in its group; 0 for the group's first post if all answers agree."""
    if not len(groups):
        return np.empty(0, dtype=np.int64)
    n_groups = int(groups.max()) + 1
    n_others = _count_distinct(groups, posts, n_groups) - 1
    group_questions = _pair_ids(groups, questions)
    n_answers = _count_distinct(group_questions, answers, int(group_questions.max()) + 1)
    contradictory = np.zeros(n_groups, dtype=bool)
    contradictory[groups[n_answers[group_questions] > 1]] = True
    _, first_rows = np.unique(groups, return_index=True)
    kept = (posts == posts[first_rows][groups]) & ~contradictory[groups]
    return np.where(kept, 0, n_others[groups])


def _pair_ids(left: AnyArray, right: AnyArray) -> AnyArray:
    """Number the distinct pairs from 0; the number of each row's pair, shape (rows,)."""
    pairs = np.stack([left.astype(np.uint64), right.astype(np.uint64)], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _count_distinct(groups: AnyArray, values: AnyArray, n_groups: int) -> AnyArray:
    """Number of distinct values in each group, shape (n_groups,)."""
    pairs = np.unique(np.stack([groups.astype(np.uint64), values.astype(np.uint64)], axis=1), axis=0)
    return np.bincount(pairs[:, 0].astype(np.int64), minlength=n_groups)

"""Keep examples of prompts apart from the posts that a model is tested on: copies and near-copies are never shown.

An example from a table of the user's own is refused, with the rows to remove. One from the published files, which
nobody edits, is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mentallama.errors import DataError
from mentallama.parallel import batched
from mentallama.prompts.few_shot import FewShotRow
from mentallama.records import Post
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import NearDuplicateIndex, minhash_bands

POST_BATCH = 1000
"""Posts whose keys and MinHash bands are computed at a time."""


def without_overlap(rows: Sequence[FewShotRow], posts: Iterable[Post]) -> list[FewShotRow]:
    """The rows that duplicate none of the posts, exactly or nearly; published ones that do are left out.

    Near-duplicates are defined as in `collect`: examples and posts are clustered together.

    Raises
    ------
    DataError
        A row that is not a published one duplicates a post. Names the first such row, the split and set of the post,
        and the rows of all others.
    """
    overlapping = _overlapping(rows, posts)
    own = [(row, place) for row, place in overlapping if not row.published]
    if own:
        (first, place), *others = own
        message = f"the example's text is in {place}; remove the row{_rows_by_file(others)}"
        raise DataError(message, first.file, first.row)
    left_out = {id(row) for row, _ in overlapping}
    return [row for row in rows if id(row) not in left_out]


def left_out_examples(rows: Sequence[FewShotRow], kept: Sequence[FewShotRow]) -> str:
    """A sentence on how many examples are left out, by set."""
    missing = Counter(row.set for row in rows) - Counter(row.set for row in kept)
    by_set = ", ".join(f"{name} {count}" for name, count in sorted(missing.items()))
    return f"{missing.total()} of {len(rows)} examples are about posts of the test, or nearly, and left out ({by_set})"


def _overlapping(rows: Sequence[FewShotRow], posts: Iterable[Post]) -> list[tuple[FewShotRow, str]]:
    """The rows that duplicate a post, each with the place of the first such post."""
    if not rows:
        return []
    with TemporaryDirectory() as folder:
        index, places = NearDuplicateIndex(Path(folder)), list[str]()
        _add_to_index(index, [row.text for row in rows])
        for batch in batched(posts, POST_BATCH):
            _add_to_index(index, [post.text for post in batch])
            places += [f"the {post.split} split of {post.set}" for post in batch]
        clusters = index.clusters()[1].tolist()
        index.close()
    # reversed: of several places, the first counts
    taken = dict(zip(reversed(clusters[len(rows) :]), reversed(places), strict=True))
    return [(row, taken[cluster]) for row, cluster in zip(rows, clusters, strict=False) if cluster in taken]


def _rows_by_file(overlapping: Iterable[tuple[FewShotRow, str]]) -> str:
    rows: dict[str, list[str]] = {}
    for row, _ in overlapping:
        rows.setdefault(Path(row.file).name, []).append(str(row.row))
    listed = "; ".join(f"{file} {', '.join(numbers)}" for file, numbers in rows.items())
    return f", and these rows too: {listed}" if listed else ""


def _add_to_index(index: NearDuplicateIndex, texts: list[str]) -> None:
    keys = [text_key(text) for text in texts]
    index.add(keys, np.array([key_hash(key) for key in keys], dtype=np.uint64), minhash_bands(texts, keys))

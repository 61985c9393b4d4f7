"""Clean all input files of a run in one streaming pass, and group duplicates and near-duplicates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mentallama.collect.clean_batch import CleanedBatch, clean_batch
from mentallama.collect.inputs import InputFile, read_inputs
from mentallama.collect.placeholders import Placeholders
from mentallama.collect.readers import RawPost, Reject
from mentallama.collect.splits import DROPPED, PostIndex
from mentallama.config import Recipe
from mentallama.files.erasure_requests import ErasureList
from mentallama.files.record_files import record_writer
from mentallama.parallel import batched, map_batches
from mentallama.progress import ProgressCallback, progress_bar
from mentallama.records import ORIGINS, SPLITS
from mentallama.run_files import REJECTS_FILE
from mentallama.text.fingerprint import is_identifying, synthetic_post_hashes
from mentallama.text.near_duplicates import N_BUCKET_COLUMNS, Array, NearDuplicateIndex

BATCH_ROWS = 512
CLEANED_POSTS_FILE, REFERENCES_FILE = "posts.jsonl", "references.jsonl"
"""Files of the working folder: one `Post` per line, and per line its published responses by question."""


@dataclass(frozen=True)
class CleanedInputs:
    """Index of all cleaned posts in file order, their duplicates, and counts of changes and rejected rows.

    `same` and `near`, int64 (posts,): first post with an equal key, first post of the cluster of near-duplicates.
    """

    posts: PostIndex
    same: Array
    near: Array
    counts: Counter[str]
    reject_reasons: Counter[str]
    has_real_posts: bool
    """Whether any post is certainly not synthetic; texts too short to be identified do not count."""


def clean_inputs(
    inputs: list[InputFile], recipe: Recipe, work: Path, out: Path, erasures: ErasureList
) -> CleanedInputs:
    """Clean all files, writing posts and references to `work` and rejected rows to `out`."""
    assert recipe.collect is not None
    clean = partial(
        clean_batch,
        salt=recipe.collect.author_salt,
        synthetic_hashes=synthetic_post_hashes(),
        erasures=erasures,
        phone_regions=recipe.collect.phone_regions,
    )
    duplicates, columns = NearDuplicateIndex(work), _PostIndexBuilder(list(recipe.catalogue()))
    counts, reject_reasons, has_real_posts = Counter[str](), Counter[str](), False
    megabytes = sum(file.path.stat().st_size for file in inputs) / 1e6
    with (
        progress_bar("collect: clean", megabytes, unit="MB") as advance,
        record_writer(work / CLEANED_POSTS_FILE) as write_post,
        record_writer(work / REFERENCES_FILE) as write_references,
        record_writer(out / REJECTS_FILE) as write_reject,
    ):
        rows = _rows(inputs, Placeholders.of(recipe.collect), advance)
        for batch in map_batches(clean, batched(rows, BATCH_ROWS), recipe.jobs):
            for post, references in zip(batch.posts, batch.references, strict=True):
                write_post(post)
                write_references(json.dumps(references))
            for reject in batch.rejects:
                write_reject(reject)
                reject_reasons[_reason_kind(reject.reason)] += 1
            has_real_posts |= any(
                not synthetic and is_identifying(key)
                for key, (_, _, _, synthetic) in zip(batch.keys, batch.metadata, strict=True)
            )
            duplicates.add(batch.keys, batch.hashes, batch.bands)
            columns.add(batch)
            counts += batch.counts
    with progress_bar("collect: compare", N_BUCKET_COLUMNS, unit="hash tables") as advance:
        same, near = duplicates.clusters(lambda: advance(1))
    duplicates.close()
    return CleanedInputs(columns.build(), same, near, counts, reject_reasons, has_real_posts)


def _rows(
    inputs: list[InputFile], placeholders: Placeholders, advance: ProgressCallback
) -> Iterator[RawPost | Reject]:
    """Yield all rows of all files. The bar advances by the characters read, and by the remainder after each file."""
    for file, rows in read_inputs(inputs, placeholders):
        remaining = file.path.stat().st_size
        for row in rows:
            if isinstance(row, RawPost):
                amount = min(len(row.text), remaining)
                remaining -= amount
                advance(amount / 1e6)
            yield row
        advance(remaining / 1e6)


class _PostIndexBuilder:
    """Builds a `PostIndex` batch by batch."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._code = {name: code for code, name in enumerate(names)}
        self._parts: list[tuple[Array, ...]] = []

    def add(self, batch: CleanedBatch) -> None:
        splits = [DROPPED if split is None else SPLITS.index(split) for _, split, _, _ in batch.metadata]
        self._parts.append(
            (
                np.array([self._code[name] for name, _, _, _ in batch.metadata], dtype=np.int16),
                np.array(splits, dtype=np.int8),
                np.array([ORIGINS.index(origin) for _, _, origin, _ in batch.metadata], dtype=np.int8),
                np.array([synthetic for _, _, _, synthetic in batch.metadata], dtype=bool),
                batch.hashes,
                batch.authors,
            )
        )

    def build(self) -> PostIndex:
        if not self._parts:  # all rows were skipped, so there was no batch
            self.add(CleanedBatch())
        return PostIndex(self.names, *(np.concatenate(parts) for parts in zip(*self._parts, strict=True)))


def _reason_kind(reason: str) -> str:
    """The part of a rejection reason that does not vary from row to row."""
    if "is not a label" in reason:
        return "unknown label"
    if reason.startswith("the row has "):
        return "the row does not fit the header"
    return reason.split(";", maxsplit=1)[0].split(" has ", maxsplit=1)[0].split(":", maxsplit=1)[0]

"""Group equal and nearly equal texts by MinHash LSH with verification.

MinHash signatures are split into bands; posts that share a band are compared letter by letter, and verified pairs are
joined into clusters. Keys and bands are stored on disk and read one band at a time, so memory is a few numbers per
post, whatever their length.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from mentallama.text.fingerprint import MIN_NEAR_KEY_LETTERS, key_hash, shingles, weighted

Array = NDArray[Any]

N_BANDS, ROWS_PER_BAND = 16, 4
"""16 bands of 4: two texts that share 80 % of their shingles meet in some band with probability 0.9998, 60 % with 0.89,
20 % with 0.03 (1 - (1 - s^4)^16)."""
N_BUCKET_COLUMNS = N_BANDS + 1
MINHASH_SEED = 1
NEAR_DUPLICATE_RATIO = 85.0
"""Minimum rapidfuzz ratio (0-100) of the keys of near-duplicates."""
PREFIX_LETTERS = 200
"""Letters (see `weighted`) at the start of a key that make posts candidates whatever follows: published test posts of
CAMS are upstream posts truncated at some 4,000 characters, so a long post that starts like a shorter one is a copy of
it."""
MAX_COMPARED_LETTERS = 40_000
"""Letters at the start of two keys that are compared, the length of Reddit's longest posts: the time that this takes
grows with the product of both lengths."""
MAX_ALL_PAIRS_BUCKET = 12
"""In a larger bucket, each post is compared only with the next one and with the first."""


def minhash_bands(texts: list[str], keys: list[str]) -> Array:
    """Hash texts for the search for near-duplicates: posts that share a value in a column are candidates.

    Returns
    -------
    uint64 (texts, N_BUCKET_COLUMNS)
        N_BANDS columns of MinHash bands, and one with the hash of the first PREFIX_LETTERS letters of the key.
    """
    from rensa import RMinHash

    if not texts:
        return np.empty((0, N_BUCKET_COLUMNS), dtype=np.uint64)
    digests = RMinHash.digest_matrix_from_token_sets(
        [shingles(text) for text in texts], N_BANDS * ROWS_PER_BAND, MINHASH_SEED
    )
    rows = np.array(digests.to_rows(), dtype=np.uint64).reshape(len(texts), N_BANDS, ROWS_PER_BAND)
    mixed = np.zeros((len(texts), N_BANDS), dtype=np.uint64)
    for row in range(ROWS_PER_BAND):  # FNV-1a over the band's rows
        mixed = (mixed ^ rows[:, :, row]) * np.uint64(0x100000001B3) + np.uint64(0x9E3779B97F4A7C15)
    starts = np.array([key_hash(weighted(key)[:PREFIX_LETTERS]) for key in keys], dtype=np.uint64)
    return np.column_stack([mixed, starts])


class NearDuplicateIndex:
    """Keys (`weighted`) and bands of all posts, on disk; posts are numbered in the order in which they are added.

    `min_ratio`: minimum rapidfuzz ratio (0-100) of the keys of near-duplicates. With `match_prefixes`, a long key that
    starts like a shorter key of at least PREFIX_LETTERS letters is a near-duplicate of it too.
    """

    def __init__(
        self, folder: Path, min_ratio: float = NEAR_DUPLICATE_RATIO, *, match_prefixes: bool = True
    ) -> None:
        self._min_ratio, self._match_prefixes = min_ratio, match_prefixes
        self._keys = (folder / "keys.bin").open("w+b")
        self._bands = [(folder / f"band{column}.bin").open("w+b") for column in range(N_BUCKET_COLUMNS)]
        self._ends = array("q", [0])
        self._letters = array("q")
        self._hashes: list[Array] = []

    def add(self, keys: list[str], hashes: Array, bands: Array) -> None:
        """Add a batch: keys, their hashes uint64 (n,), bands uint64 (n, N_BUCKET_COLUMNS)."""
        for key in map(weighted, keys):
            raw = key.encode("utf-8", "surrogatepass")
            self._keys.write(raw)
            self._ends.append(self._ends[-1] + len(raw))
            self._letters.append(len(key))
        self._hashes.append(hashes)
        for file, column in zip(self._bands, bands.T, strict=True):
            file.write(column.astype(np.uint64).tobytes())

    def clusters(self, advance: Callable[[], None] = lambda: None) -> tuple[Array, Array]:
        """Cluster all posts added so far; `advance` is called once per bucket column.

        Returns
        -------
        same, near : int64 (posts,)
            For each post, the number of the first post with an equal key, and of the first post of its cluster of
            near-duplicates, which includes those with equal keys. A post without letters is a duplicate of none.
        """
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, dtype=np.uint64)
        for file in (self._keys, *self._bands):
            file.flush()
        letters = np.array(self._letters, dtype=np.int64)
        same = _first_with_same_hash(hashes, letters == 0)
        unique = np.flatnonzero(same == np.arange(len(same)))
        pairs = list(self._near_pairs(unique[letters[unique] >= MIN_NEAR_KEY_LETTERS], letters, advance))
        near = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        posts = np.arange(len(same))
        return same, connected_components(len(same), np.r_[posts, near[:, 0]], np.r_[same, near[:, 1]])

    def close(self) -> None:
        for file in (self._keys, *self._bands):
            file.close()

    def _near_pairs(
        self, posts: Array, letters: Array, advance: Callable[[], None]
    ) -> Iterator[tuple[int, int]]:
        if not len(posts):
            return
        ends = np.array(self._ends, dtype=np.int64)
        keys = self._keys.fileno()
        cluster = np.arange(len(ends) - 1)  # approximate, so that most pairs are compared only once
        for file in self._bands:
            values = np.fromfile(file.name, dtype=np.uint64)[posts]
            for left, right in _candidate_pairs(values, posts):
                if cluster[left] == cluster[right]:
                    continue
                if self._is_near_duplicate(keys, ends, letters, left, right):
                    cluster[right] = cluster[left]
                    yield left, right
            advance()

    def _is_near_duplicate(self, keys: int, ends: Array, letters: Array, left: int, right: int) -> bool:
        """Whether two keys are nearly equal, or one nearly equals the start of the other (see `match_prefixes`).

        `keys` is the file descriptor of the keys.
        """
        short, long = sorted((int(letters[left]), int(letters[right])))
        if self._match_prefixes and short >= PREFIX_LETTERS:
            long = short
        if 200.0 * short < self._min_ratio * (short + long):  # the lengths alone rule it out
            return False
        long = min(long, MAX_COMPARED_LETTERS)
        # Compare letters, not bytes: UTF-8 starts all Chinese letters with one of six bytes, so all would be similar.
        texts = (
            os.pread(keys, min(ends[n + 1] - ends[n], 4 * long), ends[n]).decode("utf-8", "ignore")[:long]
            for n in (left, right)
        )
        return fuzz.ratio(*texts, score_cutoff=self._min_ratio) > 0


def _first_with_same_hash(hashes: Array, unmatchable: Array) -> Array:
    """Number of the first post with the same hash, for each post; posts marked `unmatchable` get their own."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    numbers = np.arange(len(hashes))
    return np.where(unmatchable, numbers, first[inverse]) if len(hashes) else numbers


def _candidate_pairs(values: Array, posts: Array) -> Iterator[tuple[int, int]]:
    """Yield pairs of posts with the same value: all pairs of a small bucket, some of a large one (`_bucket_pairs`)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ordered)])
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        bucket = posts[order[start : start + size]].tolist()
        yield from _bucket_pairs(bucket)


def _bucket_pairs(bucket: list[int]) -> Iterable[tuple[int, int]]:
    if len(bucket) <= MAX_ALL_PAIRS_BUCKET:
        return [(a, b) for n, a in enumerate(bucket) for b in bucket[n + 1 :]]
    return [*pairwise(bucket), *((bucket[0], b) for b in bucket[2:])]


def connected_components(size: int, left: Array, right: Array) -> Array:
    """Label `size` nodes by connected component, given edges `left[i]`-`right[i]`.

    Returns
    -------
    int64 (size,)
        The lowest node of each node's component.
    """
    from scipy.sparse import coo_array, csgraph

    if not size:
        return np.empty(0, dtype=np.int64)
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    _, component = csgraph.connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return np.asarray(first[component])

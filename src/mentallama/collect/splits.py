"""Assign posts to splits: as published, or drawn where a set lacks a split; authors and copies stay together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mentallama.records import SPLITS
from mentallama.text.near_duplicates import Array, connected_components

DROPPED = -1
"""Split code of a post that is not used."""
TRAIN, VALIDATION, TEST = range(len(SPLITS))
"""Split codes: indices into SPLITS."""


@dataclass(frozen=True)
class SplitShares:
    """Shares of groups (at least 0, below 1) that are drawn for a split that a set's files do not have."""

    validation: float
    test: float


@dataclass(frozen=True)
class PostIndex:
    """Columns of all posts, as arrays of shape (posts,).

    `sets` int16: index into `set_names`. `published_splits` int8: index into SPLITS, or DROPPED where the file has no
    split. `origins` int8: index into ORIGINS. `hashes` and `authors` uint64; author 0 is unknown. `synthetic` bool.
    """

    set_names: list[str]
    sets: Array
    published_splits: Array
    origins: Array
    synthetic: Array
    hashes: Array
    authors: Array


def assign_splits(posts: PostIndex, groups: Array, shares: SplitShares, seed: int) -> Array:
    """Assign each post to a split, or drop it.

    Each split of a set is taken from the first origin that has it: the release, else upstream files, else declared
    tables. Posts without a published split count as training posts. Where a set has no validation split, one is drawn
    from its training posts; where it has no test split, one is drawn from its posts without a published split.

    Parameters
    ----------
    groups
        int64 (posts,): posts with the same number stay together (copies, posts of one author).

    Returns
    -------
    int8 (posts,)
        Index into SPLITS, or DROPPED for a post of an origin that is not used.
    """
    draws = _uniform_draws(groups, posts.hashes, seed)
    published = np.where(posts.published_splits == DROPPED, TRAIN, posts.published_splits)
    splits = np.full(len(published), DROPPED, dtype=np.int8)
    for code in range(len(posts.set_names)):
        in_set = posts.sets == code
        for split in range(len(SPLITS)):
            candidates = in_set & (published == split)
            if candidates.any():
                splits[candidates & (posts.origins == posts.origins[candidates].min())] = split
        has = [bool((in_set & (splits == split)).any()) for split in range(len(SPLITS))]
        test = 0.0 if has[TEST] else shares.test
        validation = 0.0 if has[VALIDATION] else shares.validation
        train = in_set & (splits == TRAIN)
        splits[train & (posts.published_splits == DROPPED) & (draws < test)] = TEST
        splits[train & (splits == TRAIN) & (draws >= test) & (draws < test + validation)] = VALIDATION
    return splits


def _uniform_draws(groups: Array, hashes: Array, seed: int) -> Array:
    """Uniform number in [0, 1) for each post, equal within a group, derived from the group's content and the seed."""
    size = len(groups)
    first = np.full(size, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(first, groups, hashes)
    salt = int.from_bytes(hashlib.blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    mixed = first ^ np.uint64(salt)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # SplitMix64's finaliser
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed[groups] >> np.uint64(11)).astype(np.float64) / 2.0**53


def group_by_author(clusters: Array, authors: Array) -> Array:
    """Merge clusters that share an author (hash 0 means unknown).

    Returns
    -------
    int64 (posts,)
        The first post of each post's group.
    """
    size = len(clusters)
    if not size:
        return clusters
    _, first, inverse = np.unique(authors, return_index=True, return_inverse=True)
    known = authors != 0
    left = np.r_[np.arange(size), np.flatnonzero(known)]
    return connected_components(size, left, np.r_[clusters, first[inverse][known]])

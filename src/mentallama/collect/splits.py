"""Choose which file gives which split of a set, draw what no file gives, keep persons and copies together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mentallama.records import SPLITS
from mentallama.text.near_duplicates import Array

DROPPED = -1
"""Split code of a post that is not used; 0, 1, 2 are train, validation, test."""


@dataclass(frozen=True)
class SplitShares:
    """Share of groups drawn for a split that a set's files do not give, 0 to below 1."""

    validation: float
    test: float


@dataclass(frozen=True)
class PostIndex:
    """What the choice needs of every post, as arrays of shape (posts,).

    `sets` int16: index into `names`. `published` int8: index into SPLITS, or DROPPED where the file has no split.
    `origins` int8: index into ORIGINS. `hashes` and `authors` uint64, author 0 is nobody. `synthetic` bool.
    """

    set_names: list[str]
    sets: Array
    published_splits: Array
    origins: Array
    synthetic: Array
    hashes: Array
    authors: Array


def assign_splits(roll: PostIndex, groups: Array, shares: SplitShares, seed: int) -> Array:
    """Give every post its split, or none.

    For each set and split the first origin that has it gives it: the release, else upstream files, else declared
    tables. Posts without a published split count as training posts; from them, where the set has no validation
    split, one is drawn (and a test split, where the set has none, from its unsplit posts only).

    Parameters
    ----------
    groups
        int64 (posts,): posts of one number stay together (copies, one author's posts).

    Returns
    -------
    int8 (posts,): index into SPLITS, or DROPPED for a post of an origin that was not needed.
    """
    place = _uniform_draws(groups, roll.hashes, seed)
    named = np.where(roll.published_splits == DROPPED, 0, roll.published_splits)
    splits = np.full(len(named), DROPPED, dtype=np.int8)
    for code in range(len(roll.set_names)):
        mine = roll.sets == code
        for split in range(len(SPLITS)):
            there = mine & (named == split)
            if there.any():
                splits[there & (roll.origins == roll.origins[there].min())] = split
        has = [bool((mine & (splits == split)).any()) for split in range(len(SPLITS))]
        test = 0.0 if has[2] else shares.test
        validation = 0.0 if has[1] else shares.validation
        train = mine & (splits == 0)
        splits[train & (roll.published_splits == DROPPED) & (place < test)] = 2
        splits[train & (splits == 0) & (place >= test) & (place < test + validation)] = 1
    return splits


ORIGINS = ("release", "upstream", "table")
"""In the order in which they are preferred."""


def _uniform_draws(groups: Array, hashes: Array, seed: int) -> Array:
    """A number in [0, 1) a post, the same for a whole group, from the group's content and the seed."""
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
    """Join clusters that share an author (hash 0 is nobody); int64 (posts,), the group's first post."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(clusters)
    if not size:
        return clusters
    _, first, inverse = np.unique(authors, return_index=True, return_inverse=True)
    known = authors != 0
    left = np.r_[np.arange(size), np.flatnonzero(known)]
    right = np.r_[clusters, first[inverse][known]]
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, start = np.unique(component, return_index=True)
    return np.asarray(start[component])

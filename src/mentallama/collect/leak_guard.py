"""Leak guard: remove training posts that duplicate, exactly or nearly, a post of an evaluation split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mentallama.collect.splits import TEST
from mentallama.text.near_duplicates import Array

LeakScope = Literal["question", "run"]


@dataclass(frozen=True)
class DuplicatePost:
    """Post number `index` duplicates post number `duplicate_of`, of another split if `crosses_splits`."""

    index: int
    duplicate_of: int
    crosses_splits: bool
    exact: bool


def find_leaks(
    sets: Sequence[str], splits: Array, same: Array, near: Array, level: LeakScope
) -> list[DuplicatePost]:
    """Find the posts to remove.

    A training or validation post is removed if its cluster contains a test post, and a training post also if its
    cluster contains a validation post: of any set at level "run", of the same set at level "question". Of copies within
    one set and split, other than test, the first is kept. Test posts are never removed, so that scores remain
    comparable with published ones.

    Parameters
    ----------
    splits
        int8 (posts,): index into SPLITS; posts below 0 are ignored.
    same, near
        int64 (posts,): first post with an equal key, first post of the cluster.
    """
    duplicates: list[DuplicatePost] = []
    for members in _cluster_members(near, splits):
        # Kept posts of the cluster: the first of each group (scope, split), and of each group the first with each key.
        first: dict[tuple[str, int], int] = {}
        first_equal: dict[tuple[tuple[str, int], int], int] = {}
        for number in sorted(members, key=lambda n: (-int(splits[n]), n)):  # test, validation, train
            split, key = int(splits[number]), int(same[number])
            scope = "" if level == "run" else sets[number]
            leaks = [(scope, higher) for higher in range(TEST, split, -1) if (scope, higher) in first]
            same_set = (f"={sets[number]}", split)
            groups = leaks or ([same_set] if split != TEST and same_set in first else [])
            if groups:
                exact = next((first_equal[g, key] for g in groups if (g, key) in first_equal), None)
                original = first[groups[0]] if exact is None else exact
                duplicates.append(DuplicatePost(number, original, bool(leaks), exact is not None))
                continue
            for group in ((scope, split), same_set):
                first.setdefault(group, number)
                first_equal.setdefault((group, key), number)
    return sorted(duplicates, key=lambda duplicate: duplicate.index)


def _cluster_members(near: Array, splits: Array) -> Iterator[list[int]]:
    """Yield the members of each cluster that has two or more posts in use."""
    used = np.flatnonzero(splits >= 0)
    order = used[np.argsort(near[used], kind="stable")]
    values = near[order]
    starts = (
        np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(order) else np.empty(0, dtype=np.int64)
    )
    sizes = np.diff(np.r_[starts, len(order)])
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        yield order[start : start + size].tolist()


def train_test_overlap(
    sets: Sequence[str], splits: Array, clusters: Array, names: Sequence[str]
) -> list[list[int]]:
    """Count test posts of each set (rows) whose cluster has training or validation posts of each set (columns)."""
    counts: Counter[tuple[str, str]] = Counter()
    for members in _cluster_members(clusters, splits):
        trains = {sets[n] for n in members if splits[n] != TEST}
        for number in members:
            if splits[number] == TEST:
                counts.update((sets[number], train) for train in trains)
    return [[counts[test, train] for train in names] for test in names]

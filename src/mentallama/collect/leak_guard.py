"""The leak guard: no training post of a run stands, exactly or nearly, among the posts it is judged on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mentallama.records import SPLITS, Record
from mentallama.text.near_duplicates import Array

LeakScope = Literal["question", "run"]
TRAIN, VALIDATION, TEST = range(len(SPLITS))


class Removal(Record):
    """A post that was taken out of `split`, and the post whose copy it is."""

    id: str
    set: str
    split: str
    reason: Literal["leak", "duplicate", "synthetic"]
    how: Literal["exact", "near"] | None = None
    against_id: str | None = None
    against_set: str | None = None
    against_split: str | None = None


@dataclass(frozen=True)
class DuplicatePost:
    """Post `number` is a copy of post `against`; `leak` across splits, else a duplicate within one."""

    index: int
    duplicate_of: int
    crosses_splits: bool
    exact: bool


def find_leaks(
    sets: Sequence[str], splits: Array, same: Array, near: Array, level: LeakScope
) -> list[DuplicatePost]:
    """Find the posts to take out, without taking them out.

    A training or validation post goes if its cluster holds a test post, a training post also if it holds a
    validation post: at level "run" of any set, at level "question" of the same set. Of copies within one set and
    split the first stays; test posts always stay, so that published scores remain comparable.

    Parameters
    ----------
    splits
        int8 (posts,): index into SPLITS; posts below 0 are not looked at.
    same, near
        int64 (posts,): first post with an equal key, first post of the cluster.
    """
    found: list[DuplicatePost] = []
    for members in _cluster_members(near, splits):
        # Who of the cluster stays: first by place, and first with an equal key by place.
        first: dict[tuple[str, int], int] = {}
        equal: dict[tuple[tuple[str, int], int], int] = {}
        for number in sorted(members, key=lambda n: (-int(splits[n]), n)):  # test, validation, train
            split, key = int(splits[number]), int(same[number])
            scope = "" if level == "run" else sets[number]
            above = [(scope, higher) for higher in range(TEST, split, -1) if (scope, higher) in first]
            own = (f"={sets[number]}", split)
            places = above or ([own] if split != TEST and own in first else [])
            if places:
                exact = next((equal[place, key] for place in places if (place, key) in equal), None)
                against = first[places[0]] if exact is None else exact
                found.append(DuplicatePost(number, against, bool(above), exact is not None))
                continue
            for place in ((scope, split), own):
                first.setdefault(place, number)
                equal.setdefault((place, key), number)
    return sorted(found, key=lambda f: f.index)


def _cluster_members(near: Array, splits: Array) -> Iterator[list[int]]:
    """Members of every cluster of two or more used posts."""
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
    """Test posts of each set (rows) that also stand among the training or validation posts of each (columns)."""
    counts: Counter[tuple[str, str]] = Counter()
    for members in _cluster_members(clusters, splits):
        trains = {sets[n] for n in members if splits[n] != TEST}
        for number in members:
            if splits[number] == TEST:
                counts.update((sets[number], train) for train in trains)
    return [[counts[test, train] for train in names] for test in names]

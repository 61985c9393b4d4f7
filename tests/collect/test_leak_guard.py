"""The leak guard on small tables worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.collect.leak_guard import DuplicatePost, LeakScope, find_leaks, train_test_overlap

CODES = {"train": 0, "val": 1, "test": 2, "-": -1}

Row = tuple[str, str, int, int]
"""set, split, first post with an equal key, first post of the cluster"""


def guarded(rows: list[Row], level: LeakScope) -> list[DuplicatePost]:
    sets = [row[0] for row in rows]
    splits = np.array([CODES[row[1]] for row in rows], dtype=np.int8)
    same, near = (np.array([row[n] for row in rows], dtype=np.int64) for n in (2, 3))
    return find_leaks(sets, splits, same, near, level)


def test_a_training_copy_of_a_test_post_goes() -> None:
    rows = [("A", "train", 0, 0), ("A", "test", 0, 0), ("A", "train", 2, 2)]
    for level in ("question", "run"):
        assert guarded(rows, level) == [DuplicatePost(0, 1, crosses_splits=True, exact=True)]


def test_another_sets_test_post_counts_at_level_run_only() -> None:
    rows = [("A", "train", 0, 0), ("B", "test", 1, 0)]
    assert guarded(rows, "run") == [DuplicatePost(0, 1, crosses_splits=True, exact=False)]
    assert guarded(rows, "question") == []


def test_validation_is_protected_from_train_and_gives_way_to_test() -> None:
    rows = [("A", "train", 0, 0), ("A", "val", 0, 0)]
    assert guarded(rows, "question") == [DuplicatePost(0, 1, crosses_splits=True, exact=True)]
    # with a test copy both go, each against the test post
    rows = [("A", "train", 0, 0), ("A", "val", 0, 0), ("A", "test", 0, 0)]
    assert guarded(rows, "question") == [DuplicatePost(0, 2, True, True), DuplicatePost(1, 2, True, True)]


def test_a_validation_post_of_another_set_protects_at_level_run() -> None:
    rows = [("A", "train", 0, 0), ("B", "val", 0, 0)]
    assert guarded(rows, "run") == [DuplicatePost(0, 1, crosses_splits=True, exact=True)]
    assert guarded(rows, "question") == []


def test_test_posts_always_stay() -> None:
    rows = [("A", "test", 0, 0), ("A", "test", 0, 0), ("B", "test", 0, 0)]
    assert guarded(rows, "run") == guarded(rows, "question") == []


def test_of_copies_in_one_set_and_split_the_first_stays() -> None:
    rows = [("A", "train", 0, 0), ("A", "train", 0, 0), ("A", "train", 2, 0)]
    expected = [
        DuplicatePost(1, 0, crosses_splits=False, exact=True),
        DuplicatePost(2, 0, crosses_splits=False, exact=False),
    ]
    assert guarded(rows, "run") == guarded(rows, "question") == expected


def test_copies_in_the_training_posts_of_two_sets_both_stay() -> None:
    assert guarded([("A", "train", 0, 0), ("B", "train", 0, 0)], "run") == []


def test_the_copy_named_is_an_equal_one_where_there_is_one() -> None:
    # 1 is nearly post 3 and exactly post 2; both are test posts
    rows = [("A", "train", 0, 0), ("A", "train", 1, 0), ("A", "test", 2, 0), ("A", "test", 1, 0)]
    assert guarded(rows, "run") == [DuplicatePost(0, 2, True, False), DuplicatePost(1, 3, True, True)]


def test_dropped_posts_neither_protect_nor_go() -> None:
    assert guarded([("A", "train", 0, 0), ("A", "-", 0, 0)], "run") == []
    assert guarded([("A", "-", 0, 0), ("A", "test", 0, 0)], "run") == []
    assert guarded([], "run") == []


rows_of_any_kind = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from(list(CODES)), st.integers(0, 3)), max_size=14
)


@given(rows_of_any_kind, st.sampled_from(["run", "question"]))
def test_after_the_guard_no_cluster_holds_two_splits(
    rows: list[tuple[str, str, int]], level: LeakScope
) -> None:
    # same = near = the first post of the same cluster number
    first = {number: rows.index(next(r for r in rows if r[2] == number)) for _, _, number in rows}
    found = guarded([(name, split, first[n], first[n]) for name, split, n in rows], level)
    gone = {each.index for each in found}
    assert len(gone) == len(found)
    left: dict[tuple[int, str], set[str]] = {}
    stands: dict[tuple[int, str, str], int] = {}
    for number, (name, split, cluster) in enumerate(rows):
        if split != "-" and number not in gone:
            left.setdefault((cluster, "" if level == "run" else name), set()).add(split)
            stands[cluster, name, split] = stands.get((cluster, name, split), 0) + 1
        assert not (number in gone and split in ("test", "-"))
    assert all(len(splits) == 1 for splits in left.values())
    assert all(count == 1 for (_, _, split), count in stands.items() if split != "test")
    # every cluster that stood in the run still stands in it
    assert {row[2] for row in rows if row[1] != "-"} == {cluster for cluster, _ in left}
    assert all(each.duplicate_of not in gone for each in found)


def test_overlap_counts_test_posts_by_the_sets_they_also_stand_in() -> None:
    rows = [
        ("A", "test", 0), ("A", "test", 0), ("B", "train", 0), ("B", "val", 0),  # two of A's stand in B
        ("B", "test", 4), ("A", "train", 4), ("B", "train", 4),  # one of B's in A and in B itself
        ("A", "test", 7), ("C", "-", 7),  # a dropped post does not count
        ("C", "train", 9),
    ]  # fmt: skip
    splits = np.array([CODES[row[1]] for row in rows], dtype=np.int8)
    cluster = np.array([row[2] for row in rows])
    names = [row[0] for row in rows]
    # rows: whose test posts; columns: in whose training or validation posts
    assert train_test_overlap(names, splits, cluster, ["A", "B", "C"]) == [[0, 2, 0], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("names", [[], ["A"]])
def test_overlap_of_nothing_is_nothing(names: list[str]) -> None:
    empty = np.empty(0, dtype=np.int64)
    assert train_test_overlap([], empty, empty, names) == [[0] * len(names) for _ in names]

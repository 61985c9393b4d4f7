"""Which file gives which split, and how splits are drawn where no file gives them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mentallama.collect.splits import DROPPED, PostIndex, SplitShares, assign_splits, group_by_author

RELEASE, UPSTREAM, TABLE = 0, 1, 2
TRAIN, VALIDATION, TEST, UNSPLIT = 0, 1, 2, -1
NO_SHARES = SplitShares(0.0, 0.0)


def roll(rows: list[tuple[int, int, int]], authors: list[int] | None = None, names: int = 2) -> PostIndex:
    """Posts as (set, published split, origin); post n has hash n."""
    size = len(rows)
    columns = np.array(rows, dtype=np.int16).reshape(size, 3)
    return PostIndex(
        set_names=[f"S{n}" for n in range(names)], sets=columns[:, 0], published_splits=columns[:, 1].astype(np.int8),
        origins=columns[:, 2].astype(np.int8), synthetic=np.zeros(size, dtype=bool),
        hashes=np.arange(size, dtype=np.uint64), authors=np.array(authors or [0] * size, dtype=np.uint64),
    )  # fmt: skip


def chosen(
    made: PostIndex, shares: SplitShares = NO_SHARES, groups: list[int] | None = None, seed: int = 7
) -> list[int]:
    numbers = np.array(groups if groups is not None else range(len(made.sets)), dtype=np.int64)
    return list(map(int, assign_splits(made, numbers, shares, seed)))


def test_the_release_comes_before_upstream_before_tables_split_by_split() -> None:
    rows = [
        (0, TEST, RELEASE), (0, TEST, UPSTREAM), (0, TEST, TABLE),
        (0, TRAIN, UPSTREAM), (0, TRAIN, TABLE),
        (0, VALIDATION, TABLE),
        (1, TEST, TABLE),  # another set: nothing of the first stands in its way
    ]  # fmt: skip
    assert chosen(roll(rows)) == [TEST, DROPPED, DROPPED, TRAIN, DROPPED, VALIDATION, TEST]


def test_an_unsplit_file_counts_as_training_posts() -> None:
    assert chosen(roll([(0, UNSPLIT, UPSTREAM), (0, TEST, RELEASE)])) == [TRAIN, TEST]
    # and is not needed where the release has training posts
    assert chosen(roll([(0, UNSPLIT, UPSTREAM), (0, TRAIN, RELEASE)])) == [DROPPED, TRAIN]


def test_published_splits_are_kept_whatever_the_shares() -> None:
    rows = [(0, split, UPSTREAM) for split in (TRAIN, VALIDATION, TEST)] * 50
    assert chosen(roll(rows), SplitShares(0.4, 0.4)) == [TRAIN, VALIDATION, TEST] * 50


def test_drawn_shares_come_out_near_what_was_asked() -> None:
    splits = chosen(roll([(0, UNSPLIT, UPSTREAM)] * 4000), SplitShares(0.1, 0.2))
    # binomial: 400 ± 19 validation posts and 800 ± 25 test posts; bounds at four such deviations
    assert 324 < splits.count(VALIDATION) < 476
    assert 700 < splits.count(TEST) < 900
    assert splits.count(TRAIN) == 4000 - splits.count(VALIDATION) - splits.count(TEST)


def test_a_validation_split_is_drawn_from_published_training_posts_a_test_split_never() -> None:
    splits = chosen(roll([(0, TRAIN, UPSTREAM)] * 1000), SplitShares(0.3, 0.3))
    assert splits.count(TEST) == 0
    assert 240 < splits.count(VALIDATION) < 360


def test_no_validation_is_drawn_where_the_set_has_some() -> None:
    rows = [(0, VALIDATION, UPSTREAM), *[(0, UNSPLIT, UPSTREAM)] * 200]
    splits = chosen(roll(rows), SplitShares(0.4, 0.0))
    assert splits == [VALIDATION] + [TRAIN] * 200


def test_the_seed_decides_and_nothing_else() -> None:
    made = roll([(0, UNSPLIT, UPSTREAM)] * 300)
    shares = SplitShares(0.2, 0.2)
    assert chosen(made, shares, seed=1) == chosen(made, shares, seed=1)
    assert chosen(made, shares, seed=1) != chosen(made, shares, seed=2)


def test_a_post_keeps_its_split_when_others_are_added() -> None:
    few, many = roll([(0, UNSPLIT, UPSTREAM)] * 100), roll([(0, UNSPLIT, UPSTREAM)] * 500)
    shares = SplitShares(0.2, 0.2)
    assert chosen(few, shares) == chosen(many, shares)[:100]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(0, 1000))
def test_a_group_is_never_drawn_apart(groups: list[int], seed: int) -> None:
    firsts = [groups.index(group) for group in groups]
    splits = chosen(roll([(0, UNSPLIT, UPSTREAM)] * len(groups)), SplitShares(0.3, 0.3), firsts, seed)
    assert all(splits[post] == splits[first] for post, first in enumerate(firsts))


def test_authors_join_clusters() -> None:
    clusters = np.array([0, 0, 2, 3, 4, 5])
    authors = np.array([0, 8, 8, 9, 0, 9], dtype=np.uint64)  # 0 is nobody
    # 1 and 2 share an author, so the cluster {0, 1} takes 2 in; 3 and 5 share one; 4 is alone
    assert group_by_author(clusters, authors).tolist() == [0, 0, 0, 3, 4, 3]
    assert group_by_author(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64)).tolist() == []


def test_nobody_joins_nobody() -> None:
    assert group_by_author(np.arange(4), np.zeros(4, dtype=np.uint64)).tolist() == [0, 1, 2, 3]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_an_author_never_stands_in_two_drawn_splits(authors: list[int]) -> None:
    made = roll([(0, UNSPLIT, UPSTREAM)] * len(authors), authors)
    groups = group_by_author(np.arange(len(authors)), made.authors)
    splits = chosen(made, SplitShares(0.3, 0.3), groups.tolist())
    where: dict[int, set[int]] = {}
    for author, split in zip(authors, splits, strict=True):
        where.setdefault(author, set()).add(split)
    assert all(len(found) == 1 for author, found in where.items() if author)

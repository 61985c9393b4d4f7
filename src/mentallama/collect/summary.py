"""Schemas of the files about its posts that `collect` writes and `report` shows."""

from __future__ import annotations

from typing import Literal

from mentallama.records import Record

REMOVAL_REASONS = {
    "leak": "copy across splits",
    "duplicate": "copy within the split",
    "synthetic": "synthetic, among real posts",
}
"""Reasons for removing a post, in words."""


class Removal(Record):
    """A line of `removed.jsonl`: a post that was removed from `split`, and the post that it duplicates, if any."""

    id: str
    set: str
    split: str
    reason: Literal["leak", "duplicate", "synthetic"]
    match: Literal["exact", "near"] | None = None
    duplicate_of_id: str | None = None
    duplicate_of_set: str | None = None
    duplicate_of_split: str | None = None


class RemovalCount(Record):
    """Number of posts removed for one reason from one set and split, by the set and split of their duplicates."""

    reason: str = "leak"
    match: str | None = None
    set: str
    split: str
    duplicate_of_set: str | None = None
    duplicate_of_split: str | None = None
    posts: int


class HeldOut(Record):
    """Sets held out of training. `verified`: no copy of one of their test posts is left in training data."""

    sets: tuple[str, ...] = ()
    posts_left_out: int = 0
    test_posts_left_in_training: int = 0
    verified: bool = False


class CollectSummary(Record):
    """`summary.json`."""

    posts: dict[str, dict[str, int]] = {}
    """Set -> split -> posts."""
    missing: tuple[str, ...] = ()
    """Sets of the recipe without any post."""
    empty_splits: dict[str, tuple[str, ...]] = {}
    """Set whose splits are drawn -> splits that have no posts although the recipe gives them a share."""
    rows_read: int | None = None
    rejected: int = 0
    reject_reasons: dict[str, int] = {}
    cleaning: dict[str, int] = {}
    """Counts of repaired and scrubbed posts, of masked items by kind, and of evidence located or not found."""
    leak_guard: str | None = None
    removed: tuple[RemovalCount, ...] = ()
    held_out: HeldOut = HeldOut()
    files: tuple[str, ...] = ()
    """Files read, as paths below the data folder."""


class Overlap(Record):
    """`overlap.json`: how many test posts of each test set (row) also occur in each set's training data (column).

    Training data is the train and validation splits; a post occurs if it has an exact or near duplicate there.
    """

    test_sets: tuple[str, ...]
    train_sets: tuple[str, ...]
    test_posts: tuple[int, ...]
    """All test posts of each test set."""
    before_guard: tuple[tuple[int, ...], ...]
    after_guard: tuple[tuple[int, ...], ...] | None = None


class LabelDrift(Record):
    """An item of `label_drift.json`: published labels of one question against those of its upstream file."""

    set: str
    question: str
    rows: int
    """Posts compared."""
    differ: int
    share: float
    """`differ` / `rows`."""
    pairs: dict[str, int] = {}
    """"upstream label → published label" -> posts, for labels that differ."""

"""Write the results of `collect`: a second, streaming pass over the cleaned posts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mentallama.collect.clean_inputs import CLEANED_POSTS_FILE, REFERENCES_FILE
from mentallama.collect.label_drift import label_drift, pair_labels, upstream_labels
from mentallama.collect.leak_guard import DuplicatePost
from mentallama.collect.splits import DROPPED, PostIndex
from mentallama.collect.summary import Removal, RemovalCount
from mentallama.files.atomic import write_json
from mentallama.files.record_files import open_jsonl, record_writer, write_records
from mentallama.records import ORIGINS, SPLITS, Form, Post, Response, example_of, stable_id
from mentallama.run_files import (
    LABEL_DRIFT_FILE,
    POSTS_FILE,
    REMOVED_FILE,
    RESPONSES_FILE,
    UPSTREAM_LABELS_FILE,
)
from mentallama.text.near_duplicates import Array

RELEASE_RESPONDER = "gpt-3.5-turbo"
"""Model named as the author of the release's reference responses, after their column."""


class CollectOutput:
    """Writer of the second pass: reads cleaned posts and references from `work`, writes results to `out`.

    `same`: int64 (posts,), the first post with an equal key.
    """

    def __init__(self, work: Path, out: Path, posts: PostIndex, same: Array) -> None:
        self._work, self._out, self._posts = work, out, posts
        groups, sizes = np.unique(same, return_counts=True)
        self._repeated = np.isin(same, groups[sizes > 1])

    def write_posts(self, kept: Array, form: Form, wanted: set[int]) -> dict[int, str]:
        """Write posts and reference responses; `kept` is the split of each post, int8 (posts,), or DROPPED.

        Returns
        -------
        dict
            Id of each post whose number is in `wanted`.
        """
        ids: dict[int, str] = {}
        with (
            record_writer(self._out / POSTS_FILE) as write_post,
            record_writer(self._out / RESPONSES_FILE) as write_response,
        ):
            for number, post, references in self._with_unique_ids(kept, wanted):
                if number in wanted:
                    ids[number] = _post_id(post)
                if kept[number] != DROPPED:
                    write_post(post)
                    for response in _responses(post, references, form):
                        write_response(response)
        return ids

    def write_removed(self, removals: list[Removal]) -> list[RemovalCount]:
        """Write the removed posts, and count them by reason and by the sets and splits involved."""
        counts: Counter[tuple[str | None, ...]] = Counter()
        names = ("reason", "match", "set", "split", "duplicate_of_set", "duplicate_of_split")
        with record_writer(self._out / REMOVED_FILE) as write:
            for removal in removals:
                write(removal)
                counts[tuple(getattr(removal, name) for name in names)] += 1
        return [
            RemovalCount.model_validate(dict(zip(names, values, strict=True)) | {"posts": n})
            for values, n in sorted(counts.items(), key=str)
        ]

    def release_posts_to_compare(self) -> set[int]:
        """Numbers of the release's posts in sets that have upstream labels too."""
        release = self._posts.origins == ORIGINS.index("release")
        return set(np.flatnonzero(self._to_compare() & release).tolist())

    def _to_compare(self) -> Array:
        """Whether a post is of a set with labels of both origins, bool (posts,)."""
        release = self._posts.origins == ORIGINS.index("release")
        both = np.intersect1d(self._posts.sets[release], self._posts.sets[~release])
        return np.isin(self._posts.sets, both)

    def write_upstream_labels(self, kept: Array, ids: dict[int, str]) -> None:
        """Write the upstream labels of the kept posts of the release, and how many differ from the published ones.

        `ids` holds those of `release_posts_to_compare`.
        """
        compared = self._to_compare()
        with open_jsonl(self._work / CLEANED_POSTS_FILE, "r") as lines:
            posts = (
                (number, int(self._posts.hashes[number]), Post.model_validate_json(line))
                for number, line in enumerate(lines)
                if compared[number]
            )
            pairs = pair_labels(posts)
        kept_ids = {number: post_id for number, post_id in ids.items() if kept[number] != DROPPED}
        write_records(self._out / UPSTREAM_LABELS_FILE, upstream_labels(pairs, kept_ids))
        write_json(self._out / LABEL_DRIFT_FILE, [item.model_dump() for item in label_drift(pairs)])

    def _with_unique_ids(
        self, kept: Array, wanted: set[int]
    ) -> Iterator[tuple[int, Post | str, dict[str, str]]]:
        """Yield posts with their final split, and with unique ids where a file has copies of one text.

        Lines that need no change, as most do, are passed on unparsed.
        """
        copies: Counter[str] = Counter()
        drawn = (kept != DROPPED) & (kept != np.maximum(self._posts.published_splits, 0))
        with (
            open_jsonl(self._work / CLEANED_POSTS_FILE, "r") as posts,
            open_jsonl(self._work / REFERENCES_FILE, "r") as references,
        ):
            for number, (line, responses_line) in enumerate(zip(posts, references, strict=True)):
                responses: dict[str, str] = json.loads(responses_line)
                if not (self._repeated[number] or drawn[number] or responses or number in wanted):
                    yield number, line.rstrip("\n"), responses
                    continue
                post = Post.model_validate_json(line)
                changes: dict[str, Any] = {"split": SPLITS[kept[number]]} if drawn[number] else {}
                if self._repeated[number]:
                    if copies[post.id]:
                        changes["id"] = stable_id(post.id, str(copies[post.id]))
                    copies[post.id] += 1
                yield number, post.model_copy(update=changes), responses


def removal_records(
    duplicates: list[DuplicatePost],
    synthetic: list[int],
    posts: PostIndex,
    splits: Array,
    ids: dict[int, str],
) -> list[Removal]:
    """Make records of all removed posts, in file order; `splits` are those before the leak guard."""

    def set_and_split(number: int) -> tuple[str, str]:
        return posts.set_names[posts.sets[number]], SPLITS[max(int(splits[number]), 0)]

    records = [
        (
            number,
            Removal(
                id=ids[number],
                set=set_and_split(number)[0],
                split=SPLITS[max(int(posts.published_splits[number]), 0)],
                reason="synthetic",
            ),
        )
        for number in synthetic
    ]
    for duplicate in duplicates:
        set_name, split = set_and_split(duplicate.index)
        original_set, original_split = set_and_split(duplicate.duplicate_of)
        records.append(
            (
                duplicate.index,
                Removal(
                    id=ids[duplicate.index],
                    set=set_name,
                    split=split,
                    reason="leak" if duplicate.crosses_splits else "duplicate",
                    match="exact" if duplicate.exact else "near",
                    duplicate_of_id=ids[duplicate.duplicate_of],
                    duplicate_of_set=original_set,
                    duplicate_of_split=original_split,
                ),
            )
        )
    return [record for _, record in sorted(records, key=lambda pair: pair[0])]


def _post_id(post: Post | str) -> str:
    assert isinstance(post, Post)  # posts in `wanted` are always parsed
    return post.id


def _responses(post: Post | str, references: dict[str, str], form: Form) -> Iterator[Response]:
    for question, text in references.items():
        assert isinstance(post, Post)
        yield Response(example_id=example_of(post, question, form).id, text=text, model=RELEASE_RESPONDER)

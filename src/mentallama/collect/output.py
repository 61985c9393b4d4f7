"""Write what was collected: a second, streaming pass over the cleaned posts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mentallama.collect.label_drift import label_drift
from mentallama.collect.leak_guard import DuplicatePost, Removal
from mentallama.collect.splits import DROPPED, ORIGINS, PostIndex
from mentallama.files.record_files import open_jsonl, record_writer, write_json
from mentallama.records import SPLITS, Form, Post, Response, example_of, stable_id
from mentallama.run_files import LABEL_DRIFT_FILE, POSTS_FILE, REMOVED_FILE, RESPONSES_FILE
from mentallama.text.near_duplicates import Array

RELEASE_RESPONDER = "gpt-3.5-turbo"
"""Who wrote the release's golden responses: the name of their column."""


class CollectOutput:
    """The second pass: `work` holds the cleaned posts and goldens line by line, `out` takes the results.

    `chosen` and `kept` are int8 (posts,): the split of every post before and after the guard.
    """

    def __init__(self, work: Path, out: Path, roll: PostIndex, same: Array) -> None:
        self._work, self._out, self._roll = work, out, roll
        groups, sizes = np.unique(same, return_counts=True)
        self._repeated = np.isin(same, groups[sizes > 1])

    def write_posts(self, kept: Array, form: Form, wanted: set[int]) -> dict[int, str]:
        """Write the kept posts and their golden responses; returns the ids of the posts numbered in `wanted`."""
        ids: dict[int, str] = {}
        with (
            record_writer(self._out / POSTS_FILE) as write_post,
            record_writer(self._out / RESPONSES_FILE) as write_response,
        ):
            for number, post, goldens in self._with_unique_ids(kept, wanted):
                if number in wanted:
                    ids[number] = _post_id(post)
                if kept[number] != DROPPED:
                    write_post(post)
                    for response in _responses(post, goldens, form):
                        write_response(response)
        return ids

    def write_removed(self, found: list[Removal]) -> list[dict[str, object]]:
        """Write the posts taken out, and count them by pair of sets."""
        pairs: Counter[tuple[object, ...]] = Counter()
        with record_writer(self._out / REMOVED_FILE) as write:
            for each in found:
                write(each)
                pairs[each.reason, each.how, each.set, each.split, each.against_set, each.against_split] += 1
        names = ("reason", "how", "set", "split", "against_set", "against_split")
        return [
            dict(zip(names, pair, strict=True)) | {"posts": count}
            for pair, count in sorted(pairs.items(), key=str)
        ]

    def write_label_drift(self) -> None:
        """Write where golden and upstream labels differ, for the sets that have both."""
        release = self._roll.origins == ORIGINS.index("release")
        both = np.intersect1d(self._roll.sets[release], self._roll.sets[~release])
        compared = np.isin(self._roll.sets, both)
        with open_jsonl(self._work / "posts.jsonl", "r") as lines:
            posts = (
                (int(self._roll.hashes[number]), Post.model_validate_json(line))
                for number, line in enumerate(lines)
                if compared[number]
            )
            write_json(self._out / LABEL_DRIFT_FILE, label_drift(posts))

    def _with_unique_ids(
        self, kept: Array, wanted: set[int]
    ) -> Iterator[tuple[int, Post | str, dict[str, str]]]:
        """Posts with their final split, and with an id of their own where a file holds copies of one text.

        A line that needs no change is passed on as it is: most of a long stream.
        """
        seen: Counter[str] = Counter()
        drawn = (kept != DROPPED) & (kept != np.maximum(self._roll.published_splits, 0))
        with (
            open_jsonl(self._work / "posts.jsonl", "r") as posts,
            open_jsonl(self._work / "goldens.jsonl", "r") as goldens,
        ):
            for number, (line, golden) in enumerate(zip(posts, goldens, strict=True)):
                said: dict[str, str] = json.loads(golden)
                if not (self._repeated[number] or drawn[number] or said or number in wanted):
                    yield number, line.rstrip("\n"), said
                    continue
                post = Post.model_validate_json(line)
                changes: dict[str, Any] = {"split": SPLITS[kept[number]]} if drawn[number] else {}
                if self._repeated[number]:
                    if seen[post.id]:
                        changes["id"] = stable_id(post.id, str(seen[post.id]))
                    seen[post.id] += 1
                yield number, post.model_copy(update=changes), said


def removal_records(
    found: list[DuplicatePost], synthetic: list[int], roll: PostIndex, chosen: Array, ids: dict[int, str]
) -> list[Removal]:
    """The posts taken out as records, in the order of the files."""

    def place(number: int) -> tuple[str, str]:
        return roll.set_names[roll.sets[number]], SPLITS[max(int(chosen[number]), 0)]

    records = [
        (
            number,
            Removal(
                id=ids[number],
                set=place(number)[0],
                split=SPLITS[max(int(roll.published_splits[number]), 0)],
                reason="synthetic",
            ),
        )
        for number in synthetic
    ]
    for each in found:
        name, split = place(each.index)
        against_set, against_split = place(each.duplicate_of)
        records.append(
            (
                each.index,
                Removal(
                    id=ids[each.index],
                    set=name,
                    split=split,
                    reason="leak" if each.crosses_splits else "duplicate",
                    how="exact" if each.exact else "near",
                    against_id=ids[each.duplicate_of],
                    against_set=against_set,
                    against_split=against_split,
                ),
            )
        )
    return [record for _, record in sorted(records, key=lambda pair: pair[0])]


def _post_id(post: Post | str) -> str:
    assert isinstance(post, Post)  # posts asked for by number are always taken apart
    return post.id


def _responses(post: Post | str, goldens: dict[str, str], form: Form) -> Iterator[Response]:
    for question, text in goldens.items():
        assert isinstance(post, Post)
        yield Response(example_id=example_of(post, question, form).id, text=text, model=RELEASE_RESPONDER)

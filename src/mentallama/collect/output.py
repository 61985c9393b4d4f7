"""Write what was collected: a second, streaming pass over the cleaned posts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mentallama.collect.label_drift import drift
from mentallama.collect.leak_guard import Found, Removal
from mentallama.collect.splits import DROPPED, ORIGINS, Roll
from mentallama.files.record_files import open_lines, write_json, writing
from mentallama.records import SPLITS, Form, Post, Response, example_of, stable_id
from mentallama.text.near_duplicates import Array

TEACHER = "gpt-3.5-turbo"
"""Who wrote the release's golden responses: the name of their column."""


class Writer:
    """The second pass: `work` holds the cleaned posts and goldens line by line, `out` takes the results.

    `chosen` and `kept` are int8 (posts,): the split of every post before and after the guard.
    """

    def __init__(self, work: Path, out: Path, roll: Roll, same: Array) -> None:
        self._work, self._out, self._roll = work, out, roll
        groups, sizes = np.unique(same, return_counts=True)
        self._repeated = np.isin(same, groups[sizes > 1])

    def posts(self, kept: Array, form: Form, wanted: set[int]) -> dict[int, str]:
        """Write the kept posts and their golden responses; returns the ids of the posts numbered in `wanted`."""
        ids: dict[int, str] = {}
        with (
            writing(self._out / "posts.jsonl.zst") as write_post,
            writing(self._out / "responses.jsonl.zst") as write_response,
        ):
            for number, post, goldens in self._told_apart(kept, wanted):
                if number in wanted:
                    ids[number] = _identity(post)
                if kept[number] != DROPPED:
                    write_post(post)
                    for response in _responses(post, goldens, form):
                        write_response(response)
        return ids

    def removed(self, found: list[Removal]) -> list[dict[str, object]]:
        """Write the posts taken out, and count them by pair of sets."""
        pairs: Counter[tuple[object, ...]] = Counter()
        with writing(self._out / "removed.jsonl") as write:
            for each in found:
                write(each)
                pairs[each.reason, each.how, each.set, each.split, each.against_set, each.against_split] += 1
        names = ("reason", "how", "set", "split", "against_set", "against_split")
        return [
            dict(zip(names, pair, strict=True)) | {"posts": count}
            for pair, count in sorted(pairs.items(), key=str)
        ]

    def drift(self) -> None:
        """Write where golden and upstream labels differ, for the sets that have both."""
        release = self._roll.origins == ORIGINS.index("release")
        both = np.intersect1d(self._roll.sets[release], self._roll.sets[~release])
        compared = np.isin(self._roll.sets, both)
        with open_lines(self._work / "posts.jsonl", "r") as lines:
            posts = (
                (int(self._roll.hashes[number]), Post.model_validate_json(line))
                for number, line in enumerate(lines)
                if compared[number]
            )
            write_json(self._out / "drift.json", drift(posts))

    def _told_apart(self, kept: Array, wanted: set[int]) -> Iterator[tuple[int, Post | str, dict[str, str]]]:
        """Posts with their final split, and with an id of their own where a file holds copies of one text.

        A line that needs no change is passed on as it is: most of a long stream.
        """
        seen: Counter[str] = Counter()
        drawn = (kept != DROPPED) & (kept != np.maximum(self._roll.published, 0))
        with (
            open_lines(self._work / "posts.jsonl", "r") as posts,
            open_lines(self._work / "goldens.jsonl", "r") as goldens,
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


def removals(
    found: list[Found], made_up: list[int], roll: Roll, chosen: Array, ids: dict[int, str]
) -> list[Removal]:
    """The posts taken out as records, in the order of the files."""

    def place(number: int) -> tuple[str, str]:
        return roll.names[roll.sets[number]], SPLITS[max(int(chosen[number]), 0)]

    records = [
        (
            number,
            Removal(
                id=ids[number],
                set=place(number)[0],
                split=SPLITS[max(int(roll.published[number]), 0)],
                reason="synthetic",
            ),
        )
        for number in made_up
    ]
    for each in found:
        name, split = place(each.number)
        against_set, against_split = place(each.against)
        records.append(
            (
                each.number,
                Removal(
                    id=ids[each.number],
                    set=name,
                    split=split,
                    reason="leak" if each.leak else "duplicate",
                    how="exact" if each.exact else "near",
                    against_id=ids[each.against],
                    against_set=against_set,
                    against_split=against_split,
                ),
            )
        )
    return [record for _, record in sorted(records, key=lambda pair: pair[0])]


def _identity(post: Post | str) -> str:
    assert isinstance(post, Post)  # posts asked for by number are always taken apart
    return post.id


def _responses(post: Post | str, goldens: dict[str, str], form: Form) -> Iterator[Response]:
    for question, text in goldens.items():
        assert isinstance(post, Post)
        yield Response(example_id=example_of(post, question, form).id, text=text, model=TEACHER)

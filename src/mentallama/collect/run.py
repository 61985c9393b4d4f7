"""Collect: published files in, cleaned and leak-checked posts out.

    mentallama collect recipes/imhi-linear.yaml

Reads the data folder (`release/`, `sources/<set>/`). Writes
  posts.jsonl.zst      the posts of the run, by set, cleaned, scrubbed, split, guarded
  responses.jsonl.zst  the release's golden responses to them, by example
  rejects.jsonl        rows that are no posts: file, row, reason
  removed.jsonl        posts taken out, and the post each is a copy of
  overlap.json         test posts of each set among the training posts of each, before and after the guard
  drift.json           golden labels against upstream labels
  summary.json         all counts
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mentallama.collect.clean_batch import Batch, clean_batch
from mentallama.collect.inputs import Input, find_inputs
from mentallama.collect.leak_guard import TEST, guard, overlap
from mentallama.collect.output import Writer, removals
from mentallama.collect.readers import RawPost, Reject
from mentallama.collect.splits import DROPPED, ORIGINS, Roll, Shares, choose_splits, with_authors
from mentallama.config import Recipe
from mentallama.files.erasure_requests import NOBODY, Forgotten
from mentallama.files.record_files import write_json, writing
from mentallama.parallel import batches, map_batches
from mentallama.progress import Advance, progress
from mentallama.records import SPLITS
from mentallama.text.fingerprint import SHORTEST_MARKED, made_up_posts
from mentallama.text.near_duplicates import COLUMNS, Array, Index

BATCH = 512


def run(recipe: Recipe, out: Path, forgotten: Forgotten = NOBODY) -> dict[str, object]:
    """Collect the posts of a run into `out`, but those of who is `forgotten`; returns the summary also written."""
    settings = recipe.collect
    assert settings is not None
    inputs = find_inputs(recipe.data, recipe.catalogue(), recipe.form, settings.tables)
    with TemporaryDirectory(dir=out, prefix=".work-") as folder:
        work = Path(folder)
        gathered = _gather(inputs, recipe, work, out, forgotten)
        roll = gathered.roll
        names = [roll.names[code] for code in roll.sets.tolist()]
        chosen = _choose(gathered, recipe)
        withheld = _withhold(chosen, roll, settings.held_out)
        made_up = _refuse_made_up(chosen, roll) if gathered.real else []
        before = overlap(names, chosen, gathered.near, roll.names)
        found = guard(names, chosen, gathered.same, gathered.near, settings.leak_guard)
        kept = chosen.copy()
        kept[[each.number for each in found]] = DROPPED
        after = overlap(names, kept, gathered.near, roll.names)
        writer = Writer(work, out, roll, gathered.same)
        named = {*made_up, *(each.number for each in found), *(each.against for each in found)}
        ids = writer.posts(kept, recipe.form, named)
        removed = writer.removed(removals(found, made_up, roll, chosen, ids))
        writer.drift()
    _write_overlap(out, roll, chosen, before, after)
    summary = _summary(recipe, inputs, gathered, kept, withheld, removed, after)
    write_json(out / "summary.json", summary)
    return summary


@dataclass(frozen=True)
class _Gathered:
    roll: Roll
    same: Array
    near: Array
    counts: Counter[str]
    rejects: Counter[str]
    real: bool
    """Whether some post is not one of the project's own; of posts of a few letters nobody can tell."""


def _choose(gathered: _Gathered, recipe: Recipe) -> Array:
    assert recipe.collect is not None
    shares = Shares(recipe.collect.validation_share, recipe.collect.test_share)
    return choose_splits(
        gathered.roll, with_authors(gathered.near, gathered.roll.authors), shares, recipe.seed
    )


def _gather(inputs: list[Input], recipe: Recipe, work: Path, out: Path, forgotten: Forgotten) -> _Gathered:
    """Clean all files into `work`, and group what is alike."""
    assert recipe.collect is not None
    clean = partial(
        clean_batch, salt=recipe.collect.author_salt, synthetic=made_up_posts(), forgotten=forgotten
    )
    index, columns, counts, reasons = (
        Index(work),
        _Columns(list(recipe.catalogue())),
        Counter[str](),
        Counter[str](),
    )
    size, real = sum(each.path.stat().st_size for each in inputs), False
    with (
        progress("collect: clean", size) as advance,
        writing(work / "posts.jsonl") as write_post,
        writing(work / "goldens.jsonl") as write_goldens,
        writing(out / "rejects.jsonl") as write_reject,
    ):
        for batch in map_batches(clean, batches(_rows(inputs, advance), BATCH), recipe.jobs):
            for post, goldens in zip(batch.posts, batch.goldens, strict=True):
                write_post(post)
                write_goldens(json.dumps(goldens))
            for reject in batch.rejects:
                write_reject(reject)
                reasons[_kind(reject.reason)] += 1
            real |= any(
                not made_up and len(key) >= SHORTEST_MARKED
                for key, (_, _, _, made_up) in zip(batch.keys, batch.places, strict=True)
            )
            index.add(batch.keys, batch.hashes, batch.bands)
            columns.add(batch)
            counts += batch.counts
    with progress("collect: compare", COLUMNS) as advance:
        same, near = index.clusters(lambda: advance(1))
    index.close()
    return _Gathered(columns.roll(), same, near, counts, reasons, real)


def _rows(inputs: list[Input], advance: Advance) -> Iterator[RawPost | Reject]:
    """All rows of all files; the bar moves by the text read and, at a file's end, by the rest of the file."""
    for each in inputs:
        seen, size = 0, each.path.stat().st_size
        for row in each.read():
            if isinstance(row, RawPost):
                amount = min(len(row.text), size - seen)
                seen += amount
                advance(amount)
            yield row
        advance(size - seen)


class _Columns:
    """Gathers what `Roll` holds, batch by batch."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._code = {name: code for code, name in enumerate(names)}
        self._parts: list[tuple[Array, ...]] = []

    def add(self, batch: Batch) -> None:
        splits = [DROPPED if split is None else SPLITS.index(split) for _, split, _, _ in batch.places]
        self._parts.append(
            (
                np.array([self._code[name] for name, _, _, _ in batch.places], dtype=np.int16),
                np.array(splits, dtype=np.int8),
                np.array([ORIGINS.index(origin) for _, _, origin, _ in batch.places], dtype=np.int8),
                np.array([made_up for _, _, _, made_up in batch.places], dtype=bool),
                batch.hashes,
                batch.authors,
            )
        )

    def roll(self) -> Roll:
        if not self._parts:  # all rows were passed over
            self.add(Batch())
        return Roll(self.names, *(np.concatenate(parts) for parts in zip(*self._parts, strict=True)))


def _kind(reason: str) -> str:
    """A reject's reason without what differs from row to row."""
    return (
        "unknown label"
        if "is no label" in reason
        else reason.split(";", maxsplit=1)[0].split(" has ", maxsplit=1)[0].split(":", maxsplit=1)[0]
    )


def _withhold(splits: Array, roll: Roll, held_out: tuple[str, ...]) -> int:
    """Take the training and validation posts of held-out sets out of the run."""
    codes = [roll.names.index(name) for name in held_out if name in roll.names]
    away = np.isin(roll.sets, codes) & ((splits == 0) | (splits == 1))
    splits[away] = DROPPED
    return int(away.sum())


def _refuse_made_up(splits: Array, roll: Roll) -> list[int]:
    """Take made-up posts out of test and validation: beside real posts they are not to be judged on."""
    away = np.flatnonzero(roll.synthetic & (splits > 0))
    splits[away] = DROPPED
    return [int(number) for number in away]


def _write_overlap(
    out: Path, roll: Roll, splits: Array, before: list[list[int]], after: list[list[int]]
) -> None:
    tests = [int(((roll.sets == code) & (splits == TEST)).sum()) for code in range(len(roll.names))]
    write_json(
        out / "overlap.json",
        {
            "tests": roll.names,
            "trains": roll.names,
            "test_posts": tests,
            "counts": before,
            "after_guard": after,
        },
    )


def _summary(  # noqa: PLR0913, PLR0917 - what the parts of `run` found, once
    recipe: Recipe,
    inputs: list[Input],
    gathered: _Gathered,
    kept: Array,
    withheld: int,
    removed: list[dict[str, object]],
    after: list[list[int]],
) -> dict[str, object]:
    assert recipe.collect is not None
    roll = gathered.roll
    counts = {
        name: {split: int(((roll.sets == code) & (kept == n)).sum()) for n, split in enumerate(SPLITS)}
        for code, name in enumerate(roll.names)
    }
    left = sum(map(sum, after))
    rejected = sum(gathered.rejects.values())
    return {
        "posts": counts,
        "missing": [name for name, splits in counts.items() if not any(splits.values())],
        "read": len(kept) + rejected,
        "rejected": rejected,
        "rejects": dict(gathered.rejects.most_common()),
        "cleaning": dict(sorted(gathered.counts.items())),
        "leak_guard": recipe.collect.leak_guard,
        "removed": removed,
        "held_out": {
            "sets": list(recipe.collect.held_out),
            "posts_left_out": withheld,
            "test_posts_left_in_training": left,
            "claim": bool(recipe.collect.held_out) and left == 0,
        },
        "files": [each.name for each in inputs],
    }

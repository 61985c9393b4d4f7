"""Collect: published files in, cleaned and leak-checked posts out.

    mentallama collect recipes/imhi-linear.yaml

Reads the data folder (`release/`, `sources/<set>/`). Writes
  posts.jsonl.zst      the posts of the run, by set, cleaned, scrubbed, split, guarded
  responses.jsonl.zst  the release's golden responses to them, by example
  rejects.jsonl        rows that are no posts: file, row, reason
  removed.jsonl        posts taken out, and the post each is a copy of
  overlap.json         test posts of each set among the training posts of each, before and after the guard
  label_drift.json      golden labels against upstream labels
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

from mentallama.collect.clean_batch import CleanedBatch, clean_batch
from mentallama.collect.inputs import InputFile, find_input_files
from mentallama.collect.leak_guard import TEST, find_leaks, train_test_overlap
from mentallama.collect.output import CollectOutput, removal_records
from mentallama.collect.readers import RawPost, Reject
from mentallama.collect.splits import DROPPED, ORIGINS, PostIndex, SplitShares, assign_splits, group_by_author
from mentallama.config import Recipe
from mentallama.files.erasure_requests import NO_ERASURES, ErasureList
from mentallama.files.record_files import record_writer, write_json
from mentallama.parallel import batched, map_batches
from mentallama.progress import ProgressCallback, progress_bar
from mentallama.records import SPLITS
from mentallama.run_files import OVERLAP_FILE, REJECTS_FILE, SUMMARY_FILE
from mentallama.text.fingerprint import MIN_IDENTIFYING_LETTERS, synthetic_post_hashes
from mentallama.text.near_duplicates import N_BUCKET_COLUMNS, Array, NearDuplicateIndex

BATCH_ROWS = 512


def run(recipe: Recipe, out: Path, forgotten: ErasureList = NO_ERASURES) -> dict[str, object]:
    """Collect the posts of a run into `out`, but those of who is `forgotten`; returns the summary also written."""
    settings = recipe.collect
    assert settings is not None
    inputs = find_input_files(recipe.data, recipe.catalogue(), recipe.form, settings.tables)
    with TemporaryDirectory(dir=out, prefix=".work-") as folder:
        work = Path(folder)
        gathered = _clean_inputs(inputs, recipe, work, out, forgotten)
        roll = gathered.posts
        names = [roll.set_names[code] for code in roll.sets.tolist()]
        chosen = _assign_splits(gathered, recipe)
        withheld = _drop_held_out(chosen, roll, settings.held_out)
        made_up = _drop_synthetic(chosen, roll) if gathered.has_real_posts else []
        before = train_test_overlap(names, chosen, gathered.near, roll.set_names)
        found = find_leaks(names, chosen, gathered.same, gathered.near, settings.leak_guard)
        kept = chosen.copy()
        kept[[each.index for each in found]] = DROPPED
        after = train_test_overlap(names, kept, gathered.near, roll.set_names)
        writer = CollectOutput(work, out, roll, gathered.same)
        named = {*made_up, *(each.index for each in found), *(each.duplicate_of for each in found)}
        ids = writer.write_posts(kept, recipe.form, named)
        removed = writer.write_removed(removal_records(found, made_up, roll, chosen, ids))
        writer.write_label_drift()
    _write_overlap(out, roll, chosen, before, after)
    summary = _summary(recipe, inputs, gathered, kept, withheld, removed, after)
    write_json(out / SUMMARY_FILE, summary)
    return summary


@dataclass(frozen=True)
class _CleanedPosts:
    posts: PostIndex
    same: Array
    near: Array
    counts: Counter[str]
    rejects: Counter[str]
    has_real_posts: bool
    """Whether some post is not one of the project's own; of posts of a few letters nobody can tell."""


def _assign_splits(gathered: _CleanedPosts, recipe: Recipe) -> Array:
    assert recipe.collect is not None
    shares = SplitShares(recipe.collect.validation_share, recipe.collect.test_share)
    return assign_splits(
        gathered.posts, group_by_author(gathered.near, gathered.posts.authors), shares, recipe.seed
    )


def _clean_inputs(
    inputs: list[InputFile], recipe: Recipe, work: Path, out: Path, forgotten: ErasureList
) -> _CleanedPosts:
    """Clean all files into `work`, and group what is alike."""
    assert recipe.collect is not None
    clean = partial(
        clean_batch,
        salt=recipe.collect.author_salt,
        synthetic_hashes=synthetic_post_hashes(),
        erasures=forgotten,
    )
    index, columns, counts, reasons = (
        NearDuplicateIndex(work),
        _PostIndexBuilder(list(recipe.catalogue())),
        Counter[str](),
        Counter[str](),
    )
    size, real = sum(each.path.stat().st_size for each in inputs), False
    with (
        progress_bar("collect: clean", size) as advance,
        record_writer(work / "posts.jsonl") as write_post,
        record_writer(work / "goldens.jsonl") as write_goldens,
        record_writer(out / REJECTS_FILE) as write_reject,
    ):
        for batch in map_batches(clean, batched(_rows(inputs, advance), BATCH_ROWS), recipe.jobs):
            for post, goldens in zip(batch.posts, batch.references, strict=True):
                write_post(post)
                write_goldens(json.dumps(goldens))
            for reject in batch.rejects:
                write_reject(reject)
                reasons[_reason_kind(reject.reason)] += 1
            real |= any(
                not made_up and len(key) >= MIN_IDENTIFYING_LETTERS
                for key, (_, _, _, made_up) in zip(batch.keys, batch.metadata, strict=True)
            )
            index.add(batch.keys, batch.hashes, batch.bands)
            columns.add(batch)
            counts += batch.counts
    with progress_bar("collect: compare", N_BUCKET_COLUMNS) as advance:
        same, near = index.clusters(lambda: advance(1))
    index.close()
    return _CleanedPosts(columns.build(), same, near, counts, reasons, real)


def _rows(inputs: list[InputFile], advance: ProgressCallback) -> Iterator[RawPost | Reject]:
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


class _PostIndexBuilder:
    """Gathers what `PostIndex` holds, batch by batch."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._code = {name: code for code, name in enumerate(names)}
        self._parts: list[tuple[Array, ...]] = []

    def add(self, batch: CleanedBatch) -> None:
        splits = [DROPPED if split is None else SPLITS.index(split) for _, split, _, _ in batch.metadata]
        self._parts.append(
            (
                np.array([self._code[name] for name, _, _, _ in batch.metadata], dtype=np.int16),
                np.array(splits, dtype=np.int8),
                np.array([ORIGINS.index(origin) for _, _, origin, _ in batch.metadata], dtype=np.int8),
                np.array([made_up for _, _, _, made_up in batch.metadata], dtype=bool),
                batch.hashes,
                batch.authors,
            )
        )

    def build(self) -> PostIndex:
        if not self._parts:  # all rows were passed over
            self.add(CleanedBatch())
        return PostIndex(self.names, *(np.concatenate(parts) for parts in zip(*self._parts, strict=True)))


def _reason_kind(reason: str) -> str:
    """A reject's reason without what differs from row to row."""
    return (
        "unknown label"
        if "is no label" in reason
        else reason.split(";", maxsplit=1)[0].split(" has ", maxsplit=1)[0].split(":", maxsplit=1)[0]
    )


def _drop_held_out(splits: Array, roll: PostIndex, held_out: tuple[str, ...]) -> int:
    """Take the training and validation posts of held-out sets out of the run."""
    codes = [roll.set_names.index(name) for name in held_out if name in roll.set_names]
    away = np.isin(roll.sets, codes) & ((splits == 0) | (splits == 1))
    splits[away] = DROPPED
    return int(away.sum())


def _drop_synthetic(splits: Array, roll: PostIndex) -> list[int]:
    """Take made-up posts out of test and validation: beside real posts they are not to be judged on."""
    away = np.flatnonzero(roll.synthetic & (splits > 0))
    splits[away] = DROPPED
    return [int(number) for number in away]


def _write_overlap(
    out: Path, roll: PostIndex, splits: Array, before: list[list[int]], after: list[list[int]]
) -> None:
    tests = [int(((roll.sets == code) & (splits == TEST)).sum()) for code in range(len(roll.set_names))]
    write_json(
        out / OVERLAP_FILE,
        {
            "tests": roll.set_names,
            "trains": roll.set_names,
            "test_posts": tests,
            "counts": before,
            "after_guard": after,
        },
    )


def _summary(  # noqa: PLR0913, PLR0917 - what the parts of `run` found, once
    recipe: Recipe,
    inputs: list[InputFile],
    gathered: _CleanedPosts,
    kept: Array,
    withheld: int,
    removed: list[dict[str, object]],
    after: list[list[int]],
) -> dict[str, object]:
    assert recipe.collect is not None
    roll = gathered.posts
    counts = {
        name: {split: int(((roll.sets == code) & (kept == n)).sum()) for n, split in enumerate(SPLITS)}
        for code, name in enumerate(roll.set_names)
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

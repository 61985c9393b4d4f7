"""Collect: turn published files into cleaned, split and leak-checked posts.

    mentallama collect recipes/imhi-linear.yaml

Reads the data folder (`release/`, `sources/<set>/`). Writes
  posts.jsonl.zst      the posts of the run, by set: cleaned, masked, split, without leaks
  responses.jsonl.zst  the release's reference responses, by example
  rejects.jsonl        rows that cannot be used: file, row, reason
  removed.jsonl        posts that were removed, and the post that each duplicates
  overlap.json         test posts of each set that occur in training data of each, before and after the guard
  label_drift.json     published labels that differ from upstream labels
  upstream_labels.jsonl.zst  upstream labels of the release's posts, where they are known
  summary.json         all counts
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mentallama.collect.clean_inputs import CleanedInputs, clean_inputs
from mentallama.collect.inputs import InputFile, find_input_files
from mentallama.collect.leak_guard import find_leaks, train_test_overlap
from mentallama.collect.output import CollectOutput, removal_records
from mentallama.collect.splits import (
    DROPPED,
    TEST,
    TRAIN,
    VALIDATION,
    PostIndex,
    SplitShares,
    assign_splits,
    group_by_author,
)
from mentallama.collect.summary import CollectSummary, HeldOut, Overlap, RemovalCount
from mentallama.config import Collect, Recipe
from mentallama.files.atomic import write_json
from mentallama.files.erasure_requests import NO_ERASURES, ErasureList
from mentallama.records import SPLITS
from mentallama.run_files import OVERLAP_FILE, SUMMARY_FILE
from mentallama.text.near_duplicates import Array


def run(recipe: Recipe, out: Path, erasures: ErasureList = NO_ERASURES) -> CollectSummary:
    """Collect the posts of a run into `out`, except those in `erasures`; the returned summary is also written."""
    settings = recipe.collect
    assert settings is not None
    inputs = find_input_files(recipe.data, recipe.catalogue(), recipe.form, settings.tables)
    with TemporaryDirectory(dir=out, prefix=".work-") as folder:
        work = Path(folder)
        cleaned = clean_inputs(inputs, recipe, work, out, erasures)
        posts, near = cleaned.posts, cleaned.near
        sets = [posts.set_names[code] for code in posts.sets.tolist()]
        splits = _assign_splits(cleaned, recipe)
        n_held_out = _drop_held_out(splits, posts, settings.held_out)
        synthetic = _drop_synthetic(splits, posts) if cleaned.has_real_posts else []
        before = train_test_overlap(sets, splits, near, posts.set_names)
        duplicates = find_leaks(sets, splits, cleaned.same, near, settings.leak_guard)
        kept = splits.copy()
        kept[[duplicate.index for duplicate in duplicates]] = DROPPED
        after = train_test_overlap(sets, kept, near, posts.set_names)
        output = CollectOutput(work, out, posts, cleaned.same)
        needed = {
            *output.release_posts_to_compare(),
            *synthetic,
            *(n for duplicate in duplicates for n in (duplicate.index, duplicate.duplicate_of)),
        }
        ids = output.write_posts(kept, recipe.form, needed)
        removed = output.write_removed(removal_records(duplicates, synthetic, posts, splits, ids))
        output.write_upstream_labels(kept, ids)
    write_json(out / OVERLAP_FILE, _overlap(posts, splits, before, after).model_dump(mode="json"))
    summary = _summary(recipe, inputs, cleaned, kept, n_held_out, removed, sum(map(sum, after)))
    write_json(out / SUMMARY_FILE, summary.model_dump(mode="json"))
    return summary


def _assign_splits(cleaned: CleanedInputs, recipe: Recipe) -> Array:
    assert recipe.collect is not None
    shares = SplitShares(recipe.collect.validation_share, recipe.collect.test_share)
    groups = group_by_author(cleaned.near, cleaned.posts.authors)
    return assign_splits(cleaned.posts, groups, shares, recipe.seed)


def _drop_held_out(splits: Array, posts: PostIndex, held_out: tuple[str, ...]) -> int:
    """Drop the training and validation posts of held-out sets; returns their number."""
    codes = [posts.set_names.index(name) for name in held_out if name in posts.set_names]
    dropped = np.isin(posts.sets, codes) & ((splits == TRAIN) | (splits == VALIDATION))
    splits[dropped] = DROPPED
    return int(dropped.sum())


def _drop_synthetic(splits: Array, posts: PostIndex) -> list[int]:
    """Drop synthetic posts from validation and test splits, since results on real posts must not depend on them."""
    dropped = np.flatnonzero(posts.synthetic & (splits > TRAIN))
    splits[dropped] = DROPPED
    return [int(number) for number in dropped]


def _overlap(posts: PostIndex, splits: Array, before: list[list[int]], after: list[list[int]]) -> Overlap:
    sizes = [int(((posts.sets == code) & (splits == TEST)).sum()) for code in range(len(posts.set_names))]
    return Overlap(
        test_sets=tuple(posts.set_names),
        train_sets=tuple(posts.set_names),
        test_posts=tuple(sizes),
        before_guard=tuple(map(tuple, before)),
        after_guard=tuple(map(tuple, after)),
    )


def _empty_splits(
    posts: PostIndex, counts: dict[str, dict[str, int]], settings: Collect
) -> dict[str, tuple[str, ...]]:
    """Splits without posts, of the sets from whose posts splits are drawn."""
    expected = {
        "train": True,
        "validation": settings.validation_share > 0,
        "test": settings.test_share > 0,
    }
    drawn = np.unique(posts.sets[posts.published_splits == DROPPED]).tolist()
    found = {
        name: tuple(split for split, number in counts[name].items() if expected[split] and not number)
        for name in (posts.set_names[code] for code in drawn)
        if any(counts[name].values()) and name not in settings.held_out
    }
    return {name: splits for name, splits in found.items() if splits}


def _summary(  # noqa: PLR0913, PLR0917 - results of the steps of `run`
    recipe: Recipe,
    inputs: list[InputFile],
    cleaned: CleanedInputs,
    kept: Array,
    n_held_out: int,
    removed: list[RemovalCount],
    n_leaks_left: int,
) -> CollectSummary:
    assert recipe.collect is not None
    posts = cleaned.posts
    counts: dict[str, dict[str, int]] = {
        name: {split: int(((posts.sets == code) & (kept == n)).sum()) for n, split in enumerate(SPLITS)}
        for code, name in enumerate(posts.set_names)
    }
    rejected = cleaned.reject_reasons.total()
    return CollectSummary(
        posts=counts,
        missing=tuple(name for name, splits in counts.items() if not any(splits.values())),
        empty_splits=_empty_splits(posts, counts, recipe.collect),
        rows_read=len(kept) + rejected,
        rejected=rejected,
        reject_reasons=dict(cleaned.reject_reasons.most_common()),
        cleaning=dict(sorted(cleaned.counts.items())),
        leak_guard=recipe.collect.leak_guard,
        removed=tuple(removed),
        held_out=HeldOut(
            sets=recipe.collect.held_out,
            posts_left_out=n_held_out,
            test_posts_left_in_training=n_leaks_left,
            verified=bool(recipe.collect.held_out) and n_leaks_left == 0,
        ),
        files=tuple(file.name for file in inputs),
    )

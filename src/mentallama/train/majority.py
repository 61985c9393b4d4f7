"""Train the majority analyst: count the labels of the training posts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mentallama.analysts.answer_parts import labels_by_head
from mentallama.analysts.majority import LabelCounts, save_majority_model
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_records
from mentallama.records import Post
from mentallama.run_files import POSTS_PATH, SUMMARY_FILE
from mentallama.tasks import Task, find_task
from mentallama.train.model_card import write_majority_card


def train_majority(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Count labels of the run's training posts, never of validation or test posts; returns the manifest's counts.

    Raises
    ------
    UsageError
        No training post has a label.
    """
    counts = LabelCounts.of_rows(_training_rows(folder / POSTS_PATH, recipe.catalogue()))
    if not counts.counts:
        raise UsageError(f"{folder / POSTS_PATH}: no training post has a label, so there is nothing to count")
    summary = {"training_rows": counts.counts}
    save_majority_model(out, counts)
    write_json(out / SUMMARY_FILE, summary)
    write_majority_card(out, recipe, counts, folder)
    return summary


def _training_rows(posts: Path, tasks: Mapping[str, Task]) -> Iterator[tuple[str, str, str]]:
    for post in read_records(posts, Post):
        if post.split == "train":
            levels = labels_by_head(find_task(post.set, tasks), post.labels)
            yield from ((post.set, head, level) for head, level in levels.items())

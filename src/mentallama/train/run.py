"""Train: fit a model to the posts that `collect` wrote.

    mentallama train recipes/imhi-linear.yaml

Reads posts of the splits train and validation; test posts are not looked at. Writes the model's folder
(`model.json` and one `SET.npz` a set), to be opened as `linear:runs/NAME/train`, and `summary.json`:
counts, what cross-validation chose, and its weighted F1. No file holds a clock: the same posts and settings
give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentallama.config import Train
from mentallama.progress import progress
from mentallama.records import Post
from mentallama.store import read_records, write_json
from mentallama.tasks import Task
from mentallama.train.linear import LinearSummary, train_linear

SUMMARY = "summary.json"


def run(
    posts_file: Path, out: Path, settings: Train, jobs: int = 1, tasks: Mapping[str, Task] | None = None
) -> LinearSummary:
    """Train on a file of posts; see `train_linear` for what can go wrong."""
    with progress("train: fit", None) as advance:
        posts = read_records(posts_file, Post)
        summary = train_linear(posts, out, settings, jobs, tasks, lambda _: advance(1))
    write_json(out / SUMMARY, summary.model_dump(mode="json", exclude={"sets": {"__all__": {"seconds"}}}))
    return summary

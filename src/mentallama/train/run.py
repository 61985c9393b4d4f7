"""Train: fit a model to the posts that `collect` wrote.

    mentallama train --posts runs/NAME/collect/posts.jsonl.zst --out runs/NAME/train

Reads posts of the splits train and validation; test posts are not looked at. Writes the model's folder
(`model.json` and one `SET.npz` a set), to be opened as `linear:runs/NAME/train`, and `summary.json`:
counts, what validation chose, its weighted F1, and seconds. The model's own files hold no clock: the same
posts and settings give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mentallama.records import Post
from mentallama.store import read_records, write_json
from mentallama.tasks import Task
from mentallama.train.linear import LinearSettings, LinearSummary, train_linear

SUMMARY = "summary.json"


def run(
    posts_file: Path,
    out: Path,
    settings: LinearSettings,
    tasks: Mapping[str, Task] | None = None,
    advance: Callable[[str], None] | None = None,
) -> LinearSummary:
    """Train on a file of posts; see `train_linear` for what can go wrong."""
    summary = train_linear(read_records(posts_file, Post), out, settings, tasks, advance)
    write_json(out / SUMMARY, summary.model_dump())
    return summary

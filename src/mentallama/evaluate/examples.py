"""The questions about collected posts, with the labels that answers are scored against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.record_files import read_records
from mentallama.records import Example, Form, Post, Split, example_of
from mentallama.tasks import Task


def iter_examples(posts: Path, form: Form, tasks: Mapping[str, Task]) -> Iterator[tuple[Split, Example]]:
    """Yield every question of every post, with the post's split.

    Raises
    ------
    DataError
        A post's set is not in the catalogue, or its label is not one of the task's.
    """
    for number, post in enumerate(read_records(posts, Post), 1):
        task = tasks.get(post.set)
        if task is None:
            raise DataError(f"there is no task named {post.set!r}", posts, number)
        for question in task.questions:
            example = example_of(post, question, form)
            if example.label is not None and example.label not in task.labels:
                raise DataError(f"{example.label!r} is not a label of {task.set}", posts, number)
            yield post.split, example

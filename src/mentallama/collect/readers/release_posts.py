"""Read raw posts from files in the published layout."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.answers.parse import read_answer
from mentallama.collect.readers.raw_posts import RawPost, Reject
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.tasks import Task
from mentallama.tasks.answer_values import value_quotations


def read_release_posts(file: ReleaseFile, task: Task, name: str) -> Iterator[RawPost | Reject]:
    """Read a release file, grouping its rows by post: one text with labels and references by question.

    A text that repeats a question starts a new post, so that every published row is kept.
    """
    posts: dict[tuple[str, int], RawPost] = {}
    repeats: dict[tuple[str, str], int] = {}
    for row in read_release_file(file, task):
        reading = read_answer(task, row.reference, file.form)
        if reading.label is None:
            yield Reject(
                file=name, row=row.row, reason=f"the reference response is {reading.status}: {reading.reason}"
            )
            continue
        repeat = repeats[row.text, row.question] = repeats.get((row.text, row.question), -1) + 1
        post = posts.setdefault(
            (row.text, repeat),
            RawPost(task.set, file.split, "release", name, row.row, row.text, {}, task.language),
        )
        post.labels[row.question] = reading.label
        if task.kind == "spans":
            post.quotations[row.question] = value_quotations(task, reading.label)
        post.references[row.question] = row.reference
    yield from posts.values()

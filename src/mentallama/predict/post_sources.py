"""What a model is to answer without a recipe: a file of posts, a run, or the published release."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import WrongUse
from mentallama.files.imhi_release import ReleaseFile, ReleaseRow, find_release, read_release
from mentallama.files.record_files import read_records
from mentallama.pipeline.stage import POSTS
from mentallama.predict.imhi_output import Row
from mentallama.predict.questions import Asked, Pair, Questions, all_pairs, every, labelled
from mentallama.records import Form, Post, Split, example_of, stable_id
from mentallama.tasks import Task

ENDINGS = (".jsonl", ".jsonl.zst", ".parquet")


@dataclass(frozen=True)
class Wanted:
    """Which posts are asked about, and what. `every`: all questions of all tasks, not only those that have a label."""

    form: Form
    splits: tuple[Split, ...]
    sets: tuple[str, ...]
    tasks: Mapping[str, Task]
    every: bool = False


@dataclass(frozen=True)
class Data:
    """Posts, and what is asked of them where not everything is. `files` hold them, by the names a manifest shows.

    `rows` are those of the published files, in their order.
    """

    name: str
    files: dict[str, Path]
    posts: Callable[[], Iterator[Post]]
    own: Questions
    wanted: Wanted
    rows: list[Row] = field(default_factory=list)

    def questions(self, answered: Collection[Pair] | None = None) -> Questions:
        """What is asked of an analyst that answers some questions; None: all."""
        if not self.wanted.every:
            return self.own
        pairs = all_pairs(self.wanted.tasks) if answered is None else answered
        return lambda: every(self.posts(), self.wanted.form, pairs)


def open_data(path: Path, wanted: Wanted) -> Data:
    """Find posts behind a path.

    Raises
    ------
    WrongUse
        There is nothing at the path that holds posts.
    BadData
        A row of the release is no query.
    """
    if path.is_file() and path.name.endswith(ENDINGS):
        return _from_file(path, wanted)
    if (path / POSTS).is_file():
        return _from_file(path / POSTS, wanted)
    if path.is_dir():
        return _from_release(path / "release" if (path / "release").is_dir() else path, wanted)
    raise WrongUse(
        f"{path}: no posts are there; give a file of posts ({', '.join(ENDINGS)}), a run's folder, or a folder with "
        "the published release"
    )


def _from_file(path: Path, wanted: Wanted) -> Data:
    def posts() -> Iterator[Post]:
        for post in read_records(path, Post):
            if post.split in wanted.splits and (not wanted.sets or post.set in wanted.sets):
                yield post

    return Data(
        _named(path, wanted), {path.name: path}, posts, lambda: labelled(posts(), wanted.form), wanted
    )


def _named(path: Path, wanted: Wanted) -> str:
    sets = f" of {', '.join(wanted.sets)}" if wanted.sets else ""
    return f"{path} ({' and '.join(wanted.splits)}{sets})"


def _from_release(root: Path, wanted: Wanted) -> Data:
    """The release's files, cleaned and scrubbed as `collect` does it; texts that repeat are one post."""
    names = wanted.sets or tuple(wanted.tasks)
    tasks = {name: wanted.tasks[name] for name in names}
    files = [file for file in find_release(root, wanted.form, tasks) if file.split in wanted.splits]
    asked: list[Asked] = []
    rows: list[Row] = []
    for file in files:
        found = list(read_release(file, tasks[file.set]))
        posts = _cleaned(file, tasks[file.set], found, file.path.relative_to(root).as_posix())
        asked += _asked(found, posts, wanted.form)
        rows += [_row(file, row, posts.get(row.text), wanted.form) for row in found]
    return Data(
        _named(root, wanted),
        {file.path.relative_to(root).as_posix(): file.path for file in files},
        lambda: (each.post for each in asked),
        lambda: iter(asked),
        wanted,
        rows,
    )


def _cleaned(file: ReleaseFile, task: Task, rows: list[ReleaseRow], name: str) -> dict[str, Post]:
    """The posts by their published text; a text that is none (empty, damaged) is left out."""
    from mentallama.collect.clean_batch import clean_batch
    from mentallama.collect.readers import RawPost
    from mentallama.text.fingerprint import made_up_posts

    raw: dict[str, RawPost] = {}
    for row in rows:
        label = read_answer(task, row.golden, file.form).label
        empty = RawPost(task.set, file.split, "release", name, row.row, row.text, {}, task.language)
        post = raw.setdefault(row.text, empty)
        if label is not None:
            post.labels.setdefault(row.question, label)
    batch = clean_batch(list(raw.values()), salt="", synthetic=made_up_posts())
    texts = {stable_id(task.set, "release", name, text): text for text in raw}
    posts = map(Post.model_validate_json, batch.posts)
    return {texts[post.id]: post for post in posts}


def _asked(rows: list[ReleaseRow], posts: Mapping[str, Post], form: Form) -> Iterator[Asked]:
    """What the rows ask of each post, whether or not their golden answer can be read."""
    questions: dict[str, dict[str, None]] = {}
    for row in rows:
        questions.setdefault(row.text, {})[row.question] = None
    for text, own in questions.items():
        if text in posts:
            yield Asked(posts[text], tuple(example_of(posts[text], question, form) for question in own))


def _row(file: ReleaseFile, row: ReleaseRow, post: Post | None, form: Form) -> Row:
    example = example_of(post, row.question, form) if post is not None else None
    return Row(file.set, file.split, row.question, row.golden, example.id if example else None)

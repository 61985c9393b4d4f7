"""What a model is to answer without a recipe: a file of posts, a run, or the published release."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import UsageError
from mentallama.files.imhi_release import ReleaseFile, ReleaseRow, find_release_files, read_release_file
from mentallama.files.record_files import read_records
from mentallama.predict.imhi_output import ImhiRow
from mentallama.predict.questions import (
    PostQuestions,
    QuestionKey,
    QuestionSource,
    every_question,
    labelled_questions,
    question_keys,
)
from mentallama.records import Form, Post, Split, example_of, stable_id
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import Task

POST_FILE_SUFFIXES = (".jsonl", ".jsonl.zst", ".parquet")


@dataclass(frozen=True)
class PostFilter:
    """Which posts are asked about, and what. `every_question`: all questions of all tasks, not only those that have a label."""

    form: Form
    splits: tuple[Split, ...]
    sets: tuple[str, ...]
    tasks: Mapping[str, Task]
    all_questions: bool = False


@dataclass(frozen=True)
class PostSource:
    """Posts, and what is asked of them where not everything is. `files` hold them, by the names a manifest shows.

    `rows` are those of the published files, in their order.
    """

    name: str
    files: dict[str, Path]
    posts: Callable[[], Iterator[Post]]
    default_questions: QuestionSource
    filter: PostFilter
    imhi_rows: list[ImhiRow] = field(default_factory=list)

    def questions(self, supported: Collection[QuestionKey] | None = None) -> QuestionSource:
        """What is asked of an analyst that answers some questions; None: all."""
        if not self.filter.all_questions:
            return self.default_questions
        pairs = question_keys(self.filter.tasks) if supported is None else supported
        return lambda: every_question(self.posts(), self.filter.form, pairs)


def open_post_source(path: Path, wanted: PostFilter) -> PostSource:
    """Find posts behind a path.

    Raises
    ------
    WrongUse
        There is nothing at the path that holds posts.
    BadData
        A row of the release is no query.
    """
    if path.is_file() and path.name.endswith(POST_FILE_SUFFIXES):
        return _from_file(path, wanted)
    if (path / POSTS_PATH).is_file():
        return _from_file(path / POSTS_PATH, wanted)
    if path.is_dir():
        return _from_release(path / "release" if (path / "release").is_dir() else path, wanted)
    raise UsageError(
        f"{path}: no posts are there; give a file of posts ({', '.join(POST_FILE_SUFFIXES)}), a run's folder, or a folder with "
        "the published release"
    )


def _from_file(path: Path, wanted: PostFilter) -> PostSource:
    def posts() -> Iterator[Post]:
        for post in read_records(path, Post):
            if post.split in wanted.splits and (not wanted.sets or post.set in wanted.sets):
                yield post

    return PostSource(
        _describe(path, wanted),
        {path.name: path},
        posts,
        lambda: labelled_questions(posts(), wanted.form),
        wanted,
    )


def _describe(path: Path, wanted: PostFilter) -> str:
    sets = f" of {', '.join(wanted.sets)}" if wanted.sets else ""
    return f"{path} ({' and '.join(wanted.splits)}{sets})"


def _from_release(root: Path, wanted: PostFilter) -> PostSource:
    """The release's files, cleaned and scrubbed as `collect` does it; texts that repeat are one post."""
    names = wanted.sets or tuple(wanted.tasks)
    tasks = {name: wanted.tasks[name] for name in names}
    files = [file for file in find_release_files(root, wanted.form, tasks) if file.split in wanted.splits]
    asked: list[PostQuestions] = []
    rows: list[ImhiRow] = []
    for file in files:
        found = list(read_release_file(file, tasks[file.set]))
        posts = _clean_release_posts(file, tasks[file.set], found, file.path.relative_to(root).as_posix())
        asked += _post_questions(found, posts, wanted.form)
        rows += [_imhi_row(file, row, posts.get(row.text), wanted.form) for row in found]
    return PostSource(
        _describe(root, wanted),
        {file.path.relative_to(root).as_posix(): file.path for file in files},
        lambda: (each.post for each in asked),
        lambda: iter(asked),
        wanted,
        rows,
    )


def _clean_release_posts(file: ReleaseFile, task: Task, rows: list[ReleaseRow], name: str) -> dict[str, Post]:
    """The posts by their published text; a text that is none (empty, damaged) is left out."""
    from mentallama.collect.clean_batch import clean_batch
    from mentallama.collect.readers import RawPost
    from mentallama.text.fingerprint import synthetic_post_hashes

    raw: dict[str, RawPost] = {}
    for row in rows:
        label = read_answer(task, row.reference, file.form).label
        empty = RawPost(task.set, file.split, "release", name, row.row, row.text, {}, task.language)
        post = raw.setdefault(row.text, empty)
        if label is not None:
            post.labels.setdefault(row.question, label)
    batch = clean_batch(list(raw.values()), salt="", synthetic_hashes=synthetic_post_hashes())
    texts = {stable_id(task.set, "release", name, text): text for text in raw}
    posts = map(Post.model_validate_json, batch.posts)
    return {texts[post.id]: post for post in posts}


def _post_questions(rows: list[ReleaseRow], posts: Mapping[str, Post], form: Form) -> Iterator[PostQuestions]:
    """What the rows ask of each post, whether or not their golden answer can be read."""
    questions: dict[str, dict[str, None]] = {}
    for row in rows:
        questions.setdefault(row.text, {})[row.question] = None
    for text, own in questions.items():
        if text in posts:
            yield PostQuestions(
                posts[text], tuple(example_of(posts[text], question, form) for question in own)
            )


def _imhi_row(file: ReleaseFile, row: ReleaseRow, post: Post | None, form: Form) -> ImhiRow:
    example = example_of(post, row.question, form) if post is not None else None
    return ImhiRow(file.set, file.split, row.question, row.reference, example.id if example else None)

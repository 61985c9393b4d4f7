"""Sources of posts for predictions without a recipe: a file of posts, a run's folder, or the published release."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.erasure_requests import NO_ERASURES, ErasureList
from mentallama.files.imhi_release import ReleaseFile, ReleaseRow, find_release_files, read_release_file
from mentallama.files.record_files import read_records
from mentallama.files.tables import table_format
from mentallama.predict.imhi_output import ImhiRow
from mentallama.predict.questions import (
    PostQuestions,
    QuestionSource,
    every_question,
    labelled_questions,
    question_keys,
)
from mentallama.records import Form, Post, Split, example_of, stable_id
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import QuestionKey, Task

POST_FILE_SUFFIXES = (".jsonl", ".ndjson", ".parquet")
"""Files of posts; JSON Lines may be compressed."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")
"""Tables that messages name; `files.tables` reads some more."""


@dataclass(frozen=True)
class PostFilter:
    """Which posts are selected, and which questions are asked: the labelled ones or, with `all_questions`, all.

    `erasures` are the erasure requests of the folder that the predictions are written to.
    """

    form: Form
    splits: tuple[Split, ...]
    sets: tuple[str, ...]
    tasks: Mapping[str, Task]
    all_questions: bool = False
    erasures: ErasureList = NO_ERASURES

    def selects(self, post: Post) -> bool:
        """Whether a post is in the splits and sets, and nobody asked for its erasure."""
        in_sets = not self.sets or post.set in self.sets
        return post.split in self.splits and in_sets and not self.erasures.covers(post)


@dataclass(frozen=True)
class PostSource:
    """Posts with their questions.

    `files` are the files that they come from, by their names in the manifest; `imhi_rows` are the rows of the published
    files, in their order.
    """

    name: str
    files: dict[str, Path]
    posts: Callable[[], Iterator[Post]]
    default_questions: QuestionSource
    filter: PostFilter
    imhi_rows: list[ImhiRow] = field(default_factory=list)

    def questions(self, supported: Collection[QuestionKey] | None = None) -> QuestionSource:
        """The questions for an analyst; `supported` None means that it supports all."""
        if not self.filter.all_questions:
            return self.default_questions
        pairs = question_keys(self.filter.tasks) if supported is None else supported
        return lambda: every_question(self.posts(), self.filter.form, pairs)


def open_post_source(path: Path, post_filter: PostFilter) -> PostSource:
    """Open the posts at a path: a file of posts, a run's folder, or a folder with the published release.

    Raises
    ------
    UsageError
        There are no posts at the path.
    DataError
        A row of the release is not a query.
    """
    if path.is_file() and f".{table_format(path)}" in POST_FILE_SUFFIXES:
        return _from_file(path, post_filter)
    if (path / POSTS_PATH).is_file():
        return _from_file(path / POSTS_PATH, post_filter)
    if path.is_dir():
        return _from_release(path / "release" if (path / "release").is_dir() else path, post_filter)
    raise UsageError(
        f"{path}: there are no posts here; give a table of your own ({', '.join(TABLE_SUFFIXES)}), a file of posts as "
        "collect writes them, a run's folder, or a folder with the published release"
    )


def is_file_of_posts(path: Path) -> bool:
    """Whether the first record of a file is a post as `collect` writes it."""
    if f".{table_format(path)}" not in POST_FILE_SUFFIXES:
        return False
    try:
        return next(read_records(path, Post), None) is not None
    except MentallamaError:
        return False


def _from_file(path: Path, post_filter: PostFilter) -> PostSource:
    def posts() -> Iterator[Post]:
        for post in read_records(path, Post):
            if post_filter.selects(post):
                yield post

    return PostSource(
        _describe(path, post_filter),
        {path.name: path},
        posts,
        lambda: labelled_questions(posts(), post_filter.form),
        post_filter,
    )


def _describe(path: Path, post_filter: PostFilter) -> str:
    sets = f" of {', '.join(post_filter.sets)}" if post_filter.sets else ""
    return f"{path} ({' and '.join(post_filter.splits)}{sets})"


def _from_release(root: Path, post_filter: PostFilter) -> PostSource:
    """Posts of the release's files, cleaned and scrubbed as `collect` does; repeated texts are one post."""
    names = post_filter.sets or tuple(post_filter.tasks)
    tasks = {name: post_filter.tasks[name] for name in names}
    files = [
        file for file in find_release_files(root, post_filter.form, tasks) if file.split in post_filter.splits
    ]
    questions: list[PostQuestions] = []
    imhi_rows: list[ImhiRow] = []
    for file in files:
        rows = list(read_release_file(file, tasks[file.set]))
        cleaned = _clean_release_posts(file, tasks[file.set], rows, file.path.relative_to(root).as_posix())
        posts = {text: post for text, post in cleaned.items() if post_filter.selects(post)}
        questions += _post_questions(rows, posts, post_filter.form)
        imhi_rows += [_imhi_row(file, row, posts.get(row.text), post_filter.form) for row in rows]
    return PostSource(
        _describe(root, post_filter),
        {file.path.relative_to(root).as_posix(): file.path for file in files},
        lambda: (post_questions.post for post_questions in questions),
        lambda: iter(questions),
        post_filter,
        imhi_rows,
    )


def _clean_release_posts(file: ReleaseFile, task: Task, rows: list[ReleaseRow], name: str) -> dict[str, Post]:
    """Posts by their published text; texts that are not posts (empty, damaged) are left out."""
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
    """The questions that the rows ask about each post, whether or not their reference can be parsed."""
    questions: dict[str, dict[str, None]] = {}
    for row in rows:
        questions.setdefault(row.text, {})[row.question] = None
    for text, names in questions.items():
        if text in posts:
            yield PostQuestions(
                posts[text], tuple(example_of(posts[text], question, form) for question in names)
            )


def _imhi_row(file: ReleaseFile, row: ReleaseRow, post: Post | None, form: Form) -> ImhiRow:
    example = example_of(post, row.question, form) if post is not None else None
    return ImhiRow(file.set, file.split, row.question, row.reference, example.id if example else None)

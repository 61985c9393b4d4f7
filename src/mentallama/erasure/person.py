"""Find the person whose id was given in a run, and recognise what is about them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.errors import UsageError
from mentallama.files.erasure_requests import read_erasure_list
from mentallama.files.record_files import open_jsonl, read_records
from mentallama.predict.questions import QuestionRow
from mentallama.records import FORMS, Post, example_id
from mentallama.run_files import POSTS_PATH, QUESTIONS_FILE
from mentallama.tasks import load_tasks, write_query
from mentallama.text.fingerprint import is_identifying, text_key

ID_FIELDS = frozenset(("id", "ids", "post_id", "post_ids", "example_id", "author", "custom_id"))
"""Fields and columns that hold ids of posts, examples and authors."""

INSTRUCTION_DATA_GLOB = "check/data/*/*.jsonl"
"""Files of a run that hold queries beside the ids of their posts."""

_HASH = re.compile(r"[0-9a-f]{16,}")
"""An id that this project makes. Other ids, such as "1" or "yes", are words that mean something else elsewhere."""


class NothingToErase(UsageError):
    """No post, example or author of a run has the id."""


@dataclass(frozen=True)
class PersonMatcher:
    """Recognises a person's rows by ids (of posts, examples and authors), by whole queries, and by whole texts.

    `plain_ids` are ids that may also be ordinary words; they count only in fields that hold ids.
    """

    ids: frozenset[str]
    texts: tuple[str, ...] = ()
    plain_ids: frozenset[str] = frozenset()

    def matches_text(self, text: str, field_name: str | None = None) -> bool:
        """Whether a string is one of the ids or contains one of the texts."""
        is_plain_id = field_name in ID_FIELDS and text in self.plain_ids
        return is_plain_id or text in self.ids or any(needle in text for needle in self.texts)

    def matches_value(self, value: Any, field_name: str | None = None) -> bool:
        """Whether a JSON value contains such a string, also as a key."""
        if isinstance(value, str):
            return self.matches_text(value, field_name)
        if isinstance(value, dict):
            return any(self.matches_text(key) or self.matches_value(item, key) for key, item in value.items())
        return isinstance(value, list) and any(self.matches_value(item, field_name) for item in value)

    def with_ids(self, ids: Iterable[str]) -> PersonMatcher:
        """Copy this matcher and add ids."""
        ids = set(ids)
        hashes = {name for name in ids if _HASH.fullmatch(name)}
        return PersonMatcher(self.ids | hashes, self.texts, self.plain_ids | (ids - hashes))


@dataclass(frozen=True)
class Person:
    """The posts of a person in a run, and how to recognise what is about them.

    `post_ids` and `author_ids` are what the run's list of erasure requests gets. `was_erased`: it already names the
    person.
    """

    matcher: PersonMatcher
    posts: list[Post] = field(default_factory=list)
    n_posts: int = 0
    post_ids: frozenset[str] = frozenset()
    author_ids: frozenset[str] = frozenset()
    was_erased: bool = False


def find_person(folder: Path, target_id: str, ledgers: Iterable[Path], metadata: Iterable[Path]) -> Person:
    """Find the posts, examples or author with exactly this id in a run, without changing a file.

    Parameters
    ----------
    ledgers
        Ledgers of the run.
    metadata
        Metadata files of its batch requests.

    Raises
    ------
    NothingToErase
        There is no such post, example or author.
    """
    posts = _find_posts(folder, target_id)
    asked = list(_questions_about(folder, target_id))
    post_ids = {post.id for post in posts} | {row.post_id for row in asked}
    is_author = target_id in {*(post.author for post in posts), *(row.author for row in asked)}
    ids = {target_id, *post_ids, *(row.example_id for row in asked)}
    ids |= {example for post_id in post_ids for example in _example_ids(post_id)}
    person = Person(
        matcher=_text_matcher(posts, _written_queries(folder, post_ids)).with_ids(ids),
        posts=posts,
        n_posts=len(post_ids),
        post_ids=frozenset(post_ids or {target_id}),
        author_ids=frozenset({target_id} if is_author else ()),
        was_erased=_is_listed(folder, target_id),
    )
    requests = _request_hashes(ids, ledgers, metadata)
    if not (post_ids or person.was_erased or requests):
        raise NothingToErase(f"{folder}: no post, example or author of this run has the id {target_id!r}")
    return Person(**{**vars(person), "matcher": person.matcher.with_ids(requests)})


def _find_posts(folder: Path, target_id: str) -> list[Post]:
    """The posts with this id, author or example, and all others with the same text."""
    path = folder / POSTS_PATH
    if not path.is_file():
        return []
    matching = [post for post in read_records(path, Post) if target_id in (post.id, post.author)]
    if not matching:
        matching = [post for post in read_records(path, Post) if target_id in _example_ids(post.id, post)]
    keys = {key for post in matching if is_identifying(key := text_key(post.text))}
    ids = {post.id for post in matching}
    copies = (
        post
        for post in read_records(path, Post)
        if keys and post.id not in ids and text_key(post.text) in keys
    )
    return [*matching, *copies]


def _questions_about(folder: Path, target_id: str) -> Iterator[QuestionRow]:
    """The questions about the person in a folder of `predict --out`, which has questions but no posts."""
    path = folder / QUESTIONS_FILE
    if not path.is_file():
        return
    post_ids = {
        row.post_id
        for row in read_records(path, QuestionRow)
        if target_id in (row.post_id, row.author, row.example_id)
    }
    if post_ids:
        yield from (row for row in read_records(path, QuestionRow) if row.post_id in post_ids)


def _example_ids(post_id: str, post: Post | None = None) -> set[str]:
    """Ids of all examples about a post: `predict --all` asks the questions of all tasks."""
    own = set() if post is None else set(post.labels)
    pairs = {(name, question) for name, task in load_tasks().items() for question in task.questions}
    questions = own | {question for _, question in pairs}
    return {
        *(example_id(post_id, question, form) for question in questions for form in FORMS),
        *(example_id(post_id, question, form, name) for name, question in pairs for form in FORMS),
    }


def _written_queries(folder: Path, post_ids: Collection[str]) -> Iterator[str]:
    """Queries about posts in the instruction data: tasks of the user's have wordings that are not known here."""
    for path in sorted(folder.glob(INSTRUCTION_DATA_GLOB)):
        with open_jsonl(path, "r") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # a damaged file is reported where its rows are counted
                if (
                    isinstance(row, dict)
                    and row.get("post_id") in post_ids
                    and isinstance(row.get("query"), str)
                ):
                    yield row["query"]


def _text_matcher(posts: list[Post], written: Iterable[str]) -> PersonMatcher:
    """How to recognise rows by what posts say.

    Posts of a few letters are recognised by whole queries: their text may be part of another person's.
    """
    tasks = load_tasks()
    asked = [(post, question, form) for post in posts for question in post.labels for form in FORMS]
    queries = {
        write_query(tasks[p.set], question, form, p.text) for p, question, form in asked if p.set in tasks
    }
    examples = {example_id(post.id, question, form) for post, question, form in asked}
    texts = {post.text for post in posts if is_identifying(text_key(post.text))}
    return PersonMatcher(frozenset({*examples, *queries, *written}), tuple(sorted(texts)))


def _is_listed(folder: Path, target_id: str) -> bool:
    """Whether the run's list names this post or author, or the post of this example."""
    erasures = read_erasure_list(folder)
    listed = target_id in (*erasures.post_ids, *erasures.author_hashes)
    return listed or any(target_id in _example_ids(post_id) for post_id in erasures.post_ids)


def _request_hashes(ids: set[str], ledgers: Iterable[Path], metadata: Iterable[Path]) -> set[str]:
    """Hashes of the requests about posts, examples or authors; results of batch requests name nothing else."""
    from mentallama.llm_api.batch_api.request_files import RequestMetadata
    from mentallama.llm_api.ledger.ledger import Ledger

    hashes = {
        row.custom_id
        for path in metadata
        for row in read_records(path, RequestMetadata)
        if not ids.isdisjoint((row.post_id, row.example_id, row.author))
    }
    for path in ledgers:
        with Ledger(path) as ledger:
            hashes |= ledger.hashes_about(ids)
    return hashes

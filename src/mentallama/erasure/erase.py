"""Forget a person: take their posts, and all that was written about them, out of every file of a run.

    mentallama forget ID

The list of who is forgotten is written first and `collect` reads it, so that the next run does not bring them back; a
run that was killed on the way is finished by the same command. Files that are made from all posts (a model, scores,
the page) are made again by the next run of the recipe, for what they were made from has changed.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mentallama.errors import BadData, WrongUse
from mentallama.files import erasure_requests as forgotten_list
from mentallama.files.erasure_requests import read_forgotten, write_forgotten
from mentallama.files.manifest import NAME as MANIFEST
from mentallama.files.record_files import (
    DAMAGED,
    atomic,
    open_lines,
    read_json,
    read_records,
    write_json,
    writing,
)
from mentallama.predict.questions import QUESTIONS, QuestionRow
from mentallama.records import FORMS, Post, example_of
from mentallama.tasks import load_tasks, write_query
from mentallama.text.fingerprint import SHORTEST_MARKED, key_of


class NothingFound(WrongUse):
    """A run holds nothing of the id."""


POSTS = "collect/posts.jsonl.zst"
_PARTIAL = ".*.partial"
"""Folders that a killed stage left: they may be damaged, and go whole."""
_LONGEST_CELL = 1 << 30
"""Characters; the csv module's own limit is shorter than some posts."""
_KEPT = {MANIFEST, forgotten_list.NAME, ".lock"}


@dataclass(frozen=True)
class Person:
    """How a person's rows are known: `ids` (of posts, examples and authors; whole queries), and whole texts."""

    ids: frozenset[str]
    texts: tuple[str, ...] = ()

    def in_text(self, text: str) -> bool:
        """Whether a cell or a field is one of the ids, or holds one of the texts."""
        return text in self.ids or any(each in text for each in self.texts)

    def within(self, value: Any) -> bool:
        """The same of any value that JSON can hold."""
        if isinstance(value, str):
            return self.in_text(value)
        if isinstance(value, dict):
            return any(self.in_text(key) or self.within(each) for key, each in value.items())
        return isinstance(value, list) and any(map(self.within, value))


@dataclass
class Removed:
    """What was taken out of a run.

    `rows` by file; `deleted` files that could only go whole; `sources` are the rows of the data folder that still
    hold the posts; `again` the stages that the next run makes again.
    """

    rows: dict[str, int] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    posts: int = 0


def forget(folder: Path, wanted: str, ledgers: Iterable[Path] = ()) -> Removed:
    """Take a person out of a run.

    Parameters
    ----------
    folder
        The run's folder. The caller holds its lock.
    wanted
        The id of a post, or of an author (the hash that posts carry). A post's other copies go with it, in any set.
    ledgers
        Ledgers outside the run's folder that its teacher used.

    Raises
    ------
    NothingFound
        The run holds nothing of this id.
    """
    from mentallama.llm_api.ledger.erase import hashes_about

    found, removed = _posts_of(folder, wanted), Removed()
    if found:
        authors = {wanted} if any(post.author == wanted for post in found) else set()
        write_forgotten(folder, read_forgotten(folder).with_posts(found).with_authors(authors))
    person = _person(found, wanted)
    person = replace(person, ids=person.ids | _examples_about(folder, person.ids))
    person = replace(person, ids=person.ids | hashes_about(folder, ledgers, set(person.ids)))
    removed.posts = len(found)
    removed.sources = sorted({f"{post.provenance.file}, row {post.provenance.row}" for post in found})
    for path in _files(folder):
        _purge(path, path.relative_to(folder).as_posix(), person, removed)
    for path in ledgers:
        _count(removed, str(path), _from_ledger(path, person))
    if not (removed.rows or removed.deleted or found):
        raise NothingFound(
            f"{folder}: no file of this run holds {wanted!r}; an id is that of a post or an author"
        )
    for partial in sorted(folder.glob(_PARTIAL)):
        shutil.rmtree(partial)
        removed.deleted.append(partial.name)
    removed.again = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    return removed


def forget_everywhere(
    folders: Sequence[Path], wanted: str, ledgers: Sequence[Path] = ()
) -> Iterator[tuple[Path, Removed]]:
    """Take a person out of several runs, each under its lock; `WrongUse` where none holds anything of them."""
    from mentallama.pipeline.runner import alone

    missing = [folder for folder in folders if not folder.is_dir()]
    if missing or not folders:
        raise WrongUse(
            f"{missing[0]}: there is no such run" if missing else "there is no run below runs/; use --out"
        )
    absent = []
    for folder in folders:
        with alone(folder):
            try:
                yield folder, forget(folder, wanted, ledgers)
            except NothingFound as nothing:
                absent.append(nothing)
    if len(absent) == len(folders):
        raise absent[0]


def removed_lines(folder: Path, removed: Removed) -> Iterator[str]:
    """What was removed, as people read it."""
    yield f"{folder}: {removed.posts} posts forgotten"
    yield from (f"  {name}: {rows} rows removed" for name, rows in removed.rows.items())
    yield from (f"  {name}: deleted" for name in removed.deleted)
    if removed.again:
        yield f"  the next run makes again: {', '.join(removed.again)}; until then, models and figures are as before"
    if removed.sources:
        yield "  the data folder still holds them; take them out there too:"
        yield from (f"    {place}" for place in removed.sources)


def _posts_of(folder: Path, wanted: str) -> list[Post]:
    """The posts of this id or author, and all others of the same text."""
    path = folder / POSTS
    if not path.is_file():
        return []
    own = [post for post in read_records(path, Post) if wanted in (post.id, post.author)]
    keys = {key for post in own if len(key := key_of(post.text)) >= SHORTEST_MARKED}
    ids = {post.id for post in own}
    copies = (
        post for post in read_records(path, Post) if keys and post.id not in ids and key_of(post.text) in keys
    )
    return [*own, *copies]


def _person(posts: list[Post], wanted: str) -> Person:
    """The queries are there for posts of a few letters: their text may stand inside another person's."""
    tasks = load_tasks()
    asked = [(post, question, form) for post in posts for question in post.labels for form in FORMS]
    # `predict --all` asks the questions of all tasks
    every = [(name, question) for name, task in tasks.items() for question in task.questions]
    examples = {example_of(post, question, form).id for post, question, form in asked}
    examples |= {
        example_of(p, question, f, task=name).id for p in posts for name, question in every for f in FORMS
    }
    queries = {
        write_query(tasks[p.set], question, form, p.text) for p, question, form in asked if p.set in tasks
    }
    texts = {post.text for post in posts if len(key_of(post.text)) >= SHORTEST_MARKED}
    return Person(
        frozenset({wanted, *(post.id for post in posts), *examples, *queries}), tuple(sorted(texts))
    )


def _examples_about(folder: Path, ids: frozenset[str]) -> set[str]:
    """Examples about posts or authors in a folder of predictions, which holds no posts (`predict --out`)."""
    path = folder / QUESTIONS
    if not path.is_file():
        return set()
    rows = read_records(path, QuestionRow)
    return {row.example_id for row in rows if not ids.isdisjoint((row.post_id, row.author))}


def _files(folder: Path) -> Iterator[Path]:
    """What the others are found by comes last, so that a killed run can be finished: records of batches, posts."""
    left, posts = set(folder.glob(_PARTIAL)), folder / POSTS
    for path in sorted(
        folder.rglob("*"), key=lambda path: (path == posts, path.name.startswith("about-"), path)
    ):
        data = path.name not in _KEPT and not path.name.endswith(("-wal", "-shm"))
        if path.is_file() and data and left.isdisjoint(path.parents):
            yield path


def _count(removed: Removed, name: str, rows: int) -> None:
    if rows:
        removed.rows[name] = removed.rows.get(name, 0) + rows


def _purge(path: Path, name: str, person: Person, removed: Removed) -> None:
    """Take a person's rows out of one file; a file that has no rows goes whole where it holds an id or a text."""
    ending = re.sub(r"^[^.]*", "", path.name)
    clean = next((clean for suffix, clean in _BY_ENDING.items() if ending.endswith(suffix)), None)
    if clean is not None:
        try:
            _count(removed, name, clean(path, person))
        except (ValueError, *DAMAGED) as fault:
            raise BadData("damaged, so that nobody's rows can be found in it; delete it", path) from fault
    elif _holds(path, person):
        path.unlink()
        removed.deleted.append(name)


def _holds(path: Path, person: Person) -> bool:
    content = path.read_bytes()
    words = (form for text in (*person.ids, *person.texts) for form in _written(text))
    return any(word in content for word in words)


def _written(text: str) -> set[bytes]:
    """A text as pages and JSON write it."""
    from html import escape

    forms = {text, escape(text), escape(text, quote=False), json.dumps(text)[1:-1]}
    return {each.encode("utf-8", "surrogatepass") for each in forms}


def _from_lines(path: Path, person: Person) -> int:
    """JSON Lines, compressed or not."""
    kept: list[bool] = []
    with open_lines(path, "r") as lines:
        kept = [not person.within(json.loads(line)) for line in lines]
    if not all(kept):
        with open_lines(path, "r") as lines, writing(path) as write:
            for line, keep in zip(lines, kept, strict=True):
                if keep:
                    write(line.rstrip("\n"))
    return kept.count(False)


def _from_csv(path: Path, person: Person) -> int:
    """A byte order mark and the line ends stay as they are."""
    content = path.read_bytes().decode("utf-8")
    csv.field_size_limit(_LONGEST_CELL)
    rows = list(csv.reader(io.StringIO(content, newline="")))
    kept = [row for row in rows if not any(map(person.in_text, row))]
    if len(kept) < len(rows):
        ends = "\r\n" if "\r\n" in content else "\n"
        with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator=ends).writerows(kept)
    return len(rows) - len(kept)


def _from_json(path: Path, person: Person) -> int:
    value = read_json(path)
    pruned, count = _pruned(value, person)
    if count:
        write_json(path, pruned)
    return count


def _pruned(value: Any, person: Person) -> tuple[Any, int]:
    """Without the entries of lists and objects that are, or are called by, an id or a text."""
    if isinstance(value, list):
        parts = [_pruned(each, person) for each in value if not _named(each, person)]
        return [part for part, _ in parts], len(value) - len(parts) + sum(count for _, count in parts)
    if isinstance(value, dict):
        kept = {
            key: _pruned(each, person)
            for key, each in value.items()
            if not (person.in_text(key) or (isinstance(each, str) and person.in_text(each)))
        }
        count = len(value) - len(kept) + sum(count for _, count in kept.values())
        return {key: part for key, (part, _) in kept.items()}, count
    return value, 0


def _named(value: Any, person: Person) -> bool:
    """Whether a list's element is about the person: itself, or by one of its own fields."""
    fields = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(each, str) and person.in_text(each) for each in fields)


def _from_parquet(path: Path, person: Person) -> int:
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    kept = [not person.within([_opened(cell) for cell in row.values()]) for row in table.to_pylist()]
    if not all(kept):
        with atomic(path) as partial:
            pyarrow.parquet.write_table(table.filter(pyarrow.array(kept)), partial)
    return kept.count(False)


def _opened(cell: Any) -> Any:
    """A record that stands in a cell as JSON (`store`), taken apart."""
    return json.loads(cell) if isinstance(cell, str) and cell.startswith("{") and cell.endswith("}") else cell


def _from_ledger(path: Path, person: Person) -> int:
    from mentallama.llm_api.ledger.ledger import Ledger

    with Ledger(path) as ledger:
        return int(ledger.forget(set(person.ids)))


def _holds_no_text(path: Path, person: Person) -> int:
    """Weights are numbers; the next run trains them again without the person."""
    return 0


_BY_ENDING: dict[str, Callable[[Path, Person], int]] = {
    ".jsonl": _from_lines,
    ".jsonl.zst": _from_lines,
    ".csv": _from_csv,
    ".json": _from_json,
    ".parquet": _from_parquet,
    ".sqlite": _from_ledger,
    ".safetensors": _holds_no_text,
    ".distcp": _holds_no_text,
}

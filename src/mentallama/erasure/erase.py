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

from mentallama.errors import DataError, UsageError
from mentallama.files.erasure_requests import read_erasure_list, write_erasure_list
from mentallama.files.record_files import (
    DAMAGED_FILE_ERRORS,
    atomic_write,
    open_jsonl,
    read_json,
    read_records,
    record_writer,
    write_json,
)
from mentallama.predict.questions import QuestionRow
from mentallama.records import FORMS, Post, example_of
from mentallama.run_files import ERASURE_LIST_PATH, LOCK_PATH, MANIFEST_FILE, POSTS_PATH, QUESTIONS_FILE
from mentallama.tasks import load_tasks, write_query
from mentallama.text.fingerprint import MIN_IDENTIFYING_LETTERS, text_key


class NothingToErase(UsageError):
    """A run holds nothing of the id."""


_PARTIAL_GLOB = ".*.partial"
"""Folders that a killed stage left: they may be damaged, and go whole."""
_MAX_CELL_CHARS = 1 << 30
"""Characters; the csv module's own limit is shorter than some posts."""
_KEPT_FILES = {MANIFEST_FILE, ERASURE_LIST_PATH, LOCK_PATH}


@dataclass(frozen=True)
class PersonMatcher:
    """How a person's rows are known: `ids` (of posts, examples and authors; whole queries), and whole texts."""

    ids: frozenset[str]
    texts: tuple[str, ...] = ()

    def matches_text(self, text: str) -> bool:
        """Whether a cell or a field is one of the ids, or holds one of the texts."""
        return text in self.ids or any(each in text for each in self.texts)

    def matches_value(self, value: Any) -> bool:
        """The same of any value that JSON can hold."""
        if isinstance(value, str):
            return self.matches_text(value)
        if isinstance(value, dict):
            return any(self.matches_text(key) or self.matches_value(each) for key, each in value.items())
        return isinstance(value, list) and any(map(self.matches_value, value))


@dataclass
class ErasureReport:
    """What was taken out of a run.

    `rows` by file; `deleted` files that could only go whole; `sources` are the rows of the data folder that still
    hold the posts; `again` the stages that the next run makes again.
    """

    removed_rows: dict[str, int] = field(default_factory=dict)
    deleted_files: list[str] = field(default_factory=list)
    source_rows: list[str] = field(default_factory=list)
    stages_to_rerun: list[str] = field(default_factory=list)
    n_posts: int = 0


def erase(folder: Path, target_id: str, ledgers: Iterable[Path] = ()) -> ErasureReport:
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
    from mentallama.llm_api.ledger.erase import request_hashes_about

    found, removed = _find_posts(folder, target_id), ErasureReport()
    if found:
        authors = {target_id} if any(post.author == target_id for post in found) else set()
        write_erasure_list(folder, read_erasure_list(folder).with_posts(found).with_authors(authors))
    person = _build_matcher(found, target_id)
    person = replace(person, ids=person.ids | _example_ids_about(folder, person.ids))
    person = replace(person, ids=person.ids | request_hashes_about(folder, ledgers, set(person.ids)))
    removed.n_posts = len(found)
    removed.source_rows = sorted({f"{post.provenance.file}, row {post.provenance.row}" for post in found})
    for path in _files_to_clean(folder):
        _clean_file(path, path.relative_to(folder).as_posix(), person, removed)
    for path in ledgers:
        _add_removed_rows(removed, str(path), _clean_ledger(path, person))
    if not (removed.removed_rows or removed.deleted_files or found):
        raise NothingToErase(
            f"{folder}: no file of this run holds {target_id!r}; an id is that of a post or an author"
        )
    for partial in sorted(folder.glob(_PARTIAL_GLOB)):
        shutil.rmtree(partial)
        removed.deleted_files.append(partial.name)
    removed.stages_to_rerun = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))
    return removed


def erase_from_runs(
    folders: Sequence[Path], wanted: str, ledgers: Sequence[Path] = ()
) -> Iterator[tuple[Path, ErasureReport]]:
    """Take a person out of several runs, each under its lock; `WrongUse` where none holds anything of them."""
    from mentallama.pipeline.run_lock import run_lock

    missing = [folder for folder in folders if not folder.is_dir()]
    if missing or not folders:
        raise UsageError(
            f"{missing[0]}: there is no such run" if missing else "there is no run below runs/; use --out"
        )
    absent = []
    for folder in folders:
        with run_lock(folder):
            try:
                yield folder, erase(folder, wanted, ledgers)
            except NothingToErase as nothing:
                absent.append(nothing)
    if len(absent) == len(folders):
        raise absent[0]


def erasure_report_lines(folder: Path, removed: ErasureReport) -> Iterator[str]:
    """What was removed, as people read it."""
    yield f"{folder}: {removed.n_posts} posts forgotten"
    yield from (f"  {name}: {rows} rows removed" for name, rows in removed.removed_rows.items())
    yield from (f"  {name}: deleted" for name in removed.deleted_files)
    if removed.stages_to_rerun:
        yield f"  the next run makes again: {', '.join(removed.stages_to_rerun)}; until then, models and figures are as before"
    if removed.source_rows:
        yield "  the data folder still holds them; take them out there too:"
        yield from (f"    {place}" for place in removed.source_rows)


def _find_posts(folder: Path, wanted: str) -> list[Post]:
    """The posts of this id or author, and all others of the same text."""
    path = folder / POSTS_PATH
    if not path.is_file():
        return []
    own = [post for post in read_records(path, Post) if wanted in (post.id, post.author)]
    keys = {key for post in own if len(key := text_key(post.text)) >= MIN_IDENTIFYING_LETTERS}
    ids = {post.id for post in own}
    copies = (
        post
        for post in read_records(path, Post)
        if keys and post.id not in ids and text_key(post.text) in keys
    )
    return [*own, *copies]


def _build_matcher(posts: list[Post], wanted: str) -> PersonMatcher:
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
    texts = {post.text for post in posts if len(text_key(post.text)) >= MIN_IDENTIFYING_LETTERS}
    return PersonMatcher(
        frozenset({wanted, *(post.id for post in posts), *examples, *queries}), tuple(sorted(texts))
    )


def _example_ids_about(folder: Path, ids: frozenset[str]) -> set[str]:
    """Examples about posts or authors in a folder of predictions, which holds no posts (`predict --out`)."""
    path = folder / QUESTIONS_FILE
    if not path.is_file():
        return set()
    rows = read_records(path, QuestionRow)
    return {row.example_id for row in rows if not ids.isdisjoint((row.post_id, row.author))}


def _files_to_clean(folder: Path) -> Iterator[Path]:
    """What the others are found by comes last, so that a killed run can be finished: records of batches, posts."""
    left, posts = set(folder.glob(_PARTIAL_GLOB)), folder / POSTS_PATH
    for path in sorted(
        folder.rglob("*"), key=lambda path: (path == posts, path.name.startswith("metadata-"), path)
    ):
        data = path.name not in _KEPT_FILES and not path.name.endswith(("-wal", "-shm"))
        if path.is_file() and data and left.isdisjoint(path.parents):
            yield path


def _add_removed_rows(removed: ErasureReport, name: str, rows: int) -> None:
    if rows:
        removed.removed_rows[name] = removed.removed_rows.get(name, 0) + rows


def _clean_file(path: Path, name: str, person: PersonMatcher, removed: ErasureReport) -> None:
    """Take a person's rows out of one file; a file that has no rows goes whole where it holds an id or a text."""
    ending = re.sub(r"^[^.]*", "", path.name)
    clean = next((clean for suffix, clean in _CLEANERS.items() if ending.endswith(suffix)), None)
    if clean is not None:
        try:
            _add_removed_rows(removed, name, clean(path, person))
        except (ValueError, *DAMAGED_FILE_ERRORS) as fault:
            raise DataError("damaged, so that nobody's rows can be found in it; delete it", path) from fault
    elif _mentions_person(path, person):
        path.unlink()
        removed.deleted_files.append(name)


def _mentions_person(path: Path, person: PersonMatcher) -> bool:
    content = path.read_bytes()
    words = (form for text in (*person.ids, *person.texts) for form in _encoded_forms(text))
    return any(word in content for word in words)


def _encoded_forms(text: str) -> set[bytes]:
    """A text as pages and JSON write it."""
    from html import escape

    forms = {text, escape(text), escape(text, quote=False), json.dumps(text)[1:-1]}
    return {each.encode("utf-8", "surrogatepass") for each in forms}


def _clean_jsonl(path: Path, person: PersonMatcher) -> int:
    """JSON Lines, compressed or not."""
    kept: list[bool] = []
    with open_jsonl(path, "r") as lines:
        kept = [not person.matches_value(json.loads(line)) for line in lines]
    if not all(kept):
        with open_jsonl(path, "r") as lines, record_writer(path) as write:
            for line, keep in zip(lines, kept, strict=True):
                if keep:
                    write(line.rstrip("\n"))
    return kept.count(False)


def _clean_csv(path: Path, person: PersonMatcher) -> int:
    """A byte order mark and the line ends stay as they are."""
    content = path.read_bytes().decode("utf-8")
    csv.field_size_limit(_MAX_CELL_CHARS)
    rows = list(csv.reader(io.StringIO(content, newline="")))
    kept = [row for row in rows if not any(map(person.matches_text, row))]
    if len(kept) < len(rows):
        ends = "\r\n" if "\r\n" in content else "\n"
        with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator=ends).writerows(kept)
    return len(rows) - len(kept)


def _clean_json(path: Path, person: PersonMatcher) -> int:
    value = read_json(path)
    pruned, count = _prune_json(value, person)
    if count:
        write_json(path, pruned)
    return count


def _prune_json(value: Any, person: PersonMatcher) -> tuple[Any, int]:
    """Without the entries of lists and objects that are, or are called by, an id or a text."""
    if isinstance(value, list):
        parts = [_prune_json(each, person) for each in value if not _entry_matches(each, person)]
        return [part for part, _ in parts], len(value) - len(parts) + sum(count for _, count in parts)
    if isinstance(value, dict):
        kept = {
            key: _prune_json(each, person)
            for key, each in value.items()
            if not (person.matches_text(key) or (isinstance(each, str) and person.matches_text(each)))
        }
        count = len(value) - len(kept) + sum(count for _, count in kept.values())
        return {key: part for key, (part, _) in kept.items()}, count
    return value, 0


def _entry_matches(value: Any, person: PersonMatcher) -> bool:
    """Whether a list's element is about the person: itself, or by one of its own fields."""
    fields = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(each, str) and person.matches_text(each) for each in fields)


def _clean_parquet(path: Path, person: PersonMatcher) -> int:
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    kept = [
        not person.matches_value([_decode_cell(cell) for cell in row.values()]) for row in table.to_pylist()
    ]
    if not all(kept):
        with atomic_write(path) as partial:
            pyarrow.parquet.write_table(table.filter(pyarrow.array(kept)), partial)
    return kept.count(False)


def _decode_cell(cell: Any) -> Any:
    """A record that stands in a cell as JSON (`store`), taken apart."""
    return json.loads(cell) if isinstance(cell, str) and cell.startswith("{") and cell.endswith("}") else cell


def _clean_ledger(path: Path, person: PersonMatcher) -> int:
    from mentallama.llm_api.ledger.ledger import Ledger

    with Ledger(path) as ledger:
        return int(ledger.erase(set(person.ids)))


def _skip_weights(path: Path, person: PersonMatcher) -> int:
    """Weights are numbers; the next run trains them again without the person."""
    return 0


_CLEANERS: dict[str, Callable[[Path, PersonMatcher], int]] = {
    ".jsonl": _clean_jsonl,
    ".jsonl.zst": _clean_jsonl,
    ".csv": _clean_csv,
    ".json": _clean_json,
    ".parquet": _clean_parquet,
    ".sqlite": _clean_ledger,
    ".safetensors": _skip_weights,
    ".distcp": _skip_weights,
}

"""Erase a person: remove their posts and everything written about them from every file of a run.

    mentallama forget ID

The list of erasure requests is written first. `collect` reads it, so the next run does not bring the person back. If
the command is killed, the same command finishes the erasure. Files computed from all posts (a model, scores, the page)
are recomputed by the next run of the recipe, because their inputs have changed.
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
from mentallama.files.atomic import atomic_write, write_json
from mentallama.files.erasure_requests import FORMER_ERASURE_LIST_PATH, read_erasure_list, write_erasure_list
from mentallama.files.record_files import (
    DAMAGED_FILE_ERRORS,
    open_jsonl,
    read_json,
    read_records,
    record_writer,
)
from mentallama.predict.questions import QuestionRow
from mentallama.records import FORMS, Post, example_of
from mentallama.run_files import ERASURE_LIST_PATH, LOCK_PATH, MANIFEST_FILE, POSTS_PATH, QUESTIONS_FILE
from mentallama.tasks import load_tasks, write_query
from mentallama.text.fingerprint import is_identifying, text_key


class NothingToErase(UsageError):
    """No file of a run mentions the id."""


_PARTIAL_GLOB = ".*.partial"
"""Folders of stages that were killed: they may be damaged and are deleted."""
_MAX_CELL_CHARS = 1 << 30
"""Limit on the length of a CSV cell; the csv module's default is shorter than some posts."""
_KEPT_FILES = {MANIFEST_FILE, ERASURE_LIST_PATH, FORMER_ERASURE_LIST_PATH, LOCK_PATH}


@dataclass(frozen=True)
class PersonMatcher:
    """Recognises a person's rows by ids (of posts, examples and authors), by whole queries, and by whole texts."""

    ids: frozenset[str]
    texts: tuple[str, ...] = ()

    def matches_text(self, text: str) -> bool:
        """Whether a string is one of the ids or contains one of the texts."""
        return text in self.ids or any(needle in text for needle in self.texts)

    def matches_value(self, value: Any) -> bool:
        """Whether a JSON value contains such a string, also as a key."""
        if isinstance(value, str):
            return self.matches_text(value)
        if isinstance(value, dict):
            return any(self.matches_text(key) or self.matches_value(item) for key, item in value.items())
        return isinstance(value, list) and any(map(self.matches_value, value))


@dataclass
class ErasureReport:
    """Rows and files removed from a run.

    Parameters
    ----------
    removed_rows
        Number of rows, by file.
    deleted_files
        Files without rows, deleted because they mentioned the person.
    source_rows
        Rows of the data folder, which is left alone, that still hold the posts.
    stages_to_rerun
        Stages whose results the next run recomputes.
    """

    removed_rows: dict[str, int] = field(default_factory=dict)
    deleted_files: list[str] = field(default_factory=list)
    source_rows: list[str] = field(default_factory=list)
    stages_to_rerun: list[str] = field(default_factory=list)
    n_posts: int = 0


def erase(folder: Path, target_id: str, ledgers: Iterable[Path] = ()) -> ErasureReport:
    """Erase a person from a run.

    Parameters
    ----------
    folder
        The run's folder. The caller holds its lock.
    target_id
        The id of a post, or of an author (the hash in the posts). Copies of a post are erased too, in every set.
    ledgers
        Ledgers outside the run's folder that its teachers used.

    Raises
    ------
    NothingToErase
        No file of the run mentions this id.
    """
    posts, report = _find_posts(folder, target_id), ErasureReport()
    if posts:
        authors = {target_id} if any(post.author == target_id for post in posts) else set()
        write_erasure_list(folder, read_erasure_list(folder).with_posts(posts).with_authors(authors))
    person = _build_matcher(posts, target_id)
    person = replace(person, ids=person.ids | _example_ids_about(folder, person.ids))
    person = replace(person, ids=person.ids | _request_hashes_about(folder, ledgers, set(person.ids)))
    report.n_posts = len(posts)
    report.source_rows = sorted({f"{post.provenance.file}, row {post.provenance.row}" for post in posts})
    for path in _files_to_clean(folder):
        _clean_file(path, path.relative_to(folder).as_posix(), person, report)
    for path in ledgers:
        _add_removed_rows(report, str(path), _clean_ledger(path, person))
    if not (report.removed_rows or report.deleted_files or posts):
        raise NothingToErase(
            f"{folder}: no file of this run mentions {target_id!r}; give the id of a post or of an author"
        )
    for partial in sorted(folder.glob(_PARTIAL_GLOB)):
        shutil.rmtree(partial)
        report.deleted_files.append(partial.name)
    report.stages_to_rerun = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))
    return report


def erase_from_runs(
    folders: Sequence[Path], target_id: str, ledgers: Sequence[Path] = ()
) -> Iterator[tuple[Path, ErasureReport]]:
    """Erase a person from several runs, each under its lock.

    Raises
    ------
    UsageError
        There is no such run, or none of them mentions the person.
    """
    from mentallama.pipeline.run_lock import run_lock

    missing = [folder for folder in folders if not folder.is_dir()]
    if missing or not folders:
        raise UsageError(
            f"{missing[0]}: there is no such run" if missing else "there is no run below runs/; use --out"
        )
    nothing: list[NothingToErase] = []
    for folder in folders:
        with run_lock(folder):
            try:
                yield folder, erase(folder, target_id, ledgers)
            except NothingToErase as error:
                nothing.append(error)
    if len(nothing) == len(folders):
        raise nothing[0]


def erasure_report_lines(folder: Path, report: ErasureReport) -> Iterator[str]:
    """The report as text."""
    yield f"{folder}: {report.n_posts} posts erased"
    yield from (f"  {name}: {rows} rows removed" for name, rows in report.removed_rows.items())
    yield from (f"  {name}: deleted" for name in report.deleted_files)
    if report.stages_to_rerun:
        stages = ", ".join(report.stages_to_rerun)
        yield f"  the next run recomputes {stages}; until then, models and figures are as before"
    if report.source_rows:
        yield "  the data folder still holds these posts; remove them there too:"
        yield from (f"    {source}" for source in report.source_rows)


def _find_posts(folder: Path, target_id: str) -> list[Post]:
    """The posts with this id or author, and all others with the same text."""
    path = folder / POSTS_PATH
    if not path.is_file():
        return []
    matching = [post for post in read_records(path, Post) if target_id in (post.id, post.author)]
    keys = {key for post in matching if is_identifying(key := text_key(post.text))}
    ids = {post.id for post in matching}
    copies = (
        post
        for post in read_records(path, Post)
        if keys and post.id not in ids and text_key(post.text) in keys
    )
    return [*matching, *copies]


def _build_matcher(posts: list[Post], target_id: str) -> PersonMatcher:
    """How to recognise the rows about some posts.

    Posts of a few letters are recognised by whole queries: their text may be part of another person's.
    """
    tasks = load_tasks()
    asked = [(post, question, form) for post in posts for question in post.labels for form in FORMS]
    # `predict --all` asks the questions of all tasks
    all_questions = [(name, question) for name, task in tasks.items() for question in task.questions]
    examples = {example_of(post, question, form).id for post, question, form in asked}
    examples |= {
        example_of(p, question, f, task=name).id
        for p in posts
        for name, question in all_questions
        for f in FORMS
    }
    queries = {
        write_query(tasks[p.set], question, form, p.text) for p, question, form in asked if p.set in tasks
    }
    texts = {post.text for post in posts if is_identifying(text_key(post.text))}
    return PersonMatcher(
        frozenset({target_id, *(post.id for post in posts), *examples, *queries}), tuple(sorted(texts))
    )


def _example_ids_about(folder: Path, ids: frozenset[str]) -> set[str]:
    """Ids of examples about posts or authors in a folder of `predict --out`, which has questions but no posts."""
    path = folder / QUESTIONS_FILE
    if not path.is_file():
        return set()
    rows = read_records(path, QuestionRow)
    return {row.example_id for row in rows if not ids.isdisjoint((row.post_id, row.author))}


def _request_hashes_about(folder: Path, ledgers: Iterable[Path], ids: set[str]) -> set[str]:
    """Hashes of the requests about posts, examples or authors; results of batch requests name nothing else.

    They are in the ledgers, those in the run's folder and `ledgers` outside it, and in the metadata of batch files.
    """
    from mentallama.llm_api.batch_api.request_files import RequestMetadata
    from mentallama.llm_api.ledger.ledger import Ledger

    hashes = {
        metadata.custom_id
        for path in folder.rglob("metadata-*.jsonl")
        for metadata in read_records(path, RequestMetadata)
        if not ids.isdisjoint((metadata.post_id, metadata.example_id, metadata.author))
    }
    for path in (*folder.rglob("*.sqlite"), *ledgers):
        with Ledger(path) as ledger:
            hashes |= ledger.hashes_about(ids)
    return hashes


def _files_to_clean(folder: Path) -> Iterator[Path]:
    """The files that may mention the person.

    Those by which the others are found (records of batches, posts) come last, so that a killed erasure can be finished.
    """
    partial, posts = set(folder.glob(_PARTIAL_GLOB)), folder / POSTS_PATH
    for path in sorted(
        folder.rglob("*"), key=lambda path: (path == posts, path.name.startswith("metadata-"), path)
    ):
        is_data = path.name not in _KEPT_FILES and not path.name.endswith(("-wal", "-shm"))
        if path.is_file() and is_data and partial.isdisjoint(path.parents):
            yield path


def _add_removed_rows(report: ErasureReport, name: str, rows: int) -> None:
    if rows:
        report.removed_rows[name] = report.removed_rows.get(name, 0) + rows


def _clean_file(path: Path, name: str, person: PersonMatcher, report: ErasureReport) -> None:
    """Remove a person's rows from one file; a file that has no rows is deleted if it mentions the person."""
    ending = re.sub(r"^[^.]*", "", path.name)
    clean = next((clean for suffix, clean in _CLEANERS.items() if ending.endswith(suffix)), None)
    if clean is not None:
        try:
            _add_removed_rows(report, name, clean(path, person))
        except (ValueError, *DAMAGED_FILE_ERRORS) as fault:
            raise DataError("damaged, so no rows can be found in it; delete it", path) from fault
    elif _mentions_person(path, person):
        path.unlink()
        report.deleted_files.append(name)


def _mentions_person(path: Path, person: PersonMatcher) -> bool:
    content = path.read_bytes()
    needles = (form for text in (*person.ids, *person.texts) for form in _encoded_forms(text))
    return any(needle in content for needle in needles)


def _encoded_forms(text: str) -> set[bytes]:
    """A text as it is written in plain text, HTML and JSON."""
    from html import escape

    forms = {text, escape(text), escape(text, quote=False), json.dumps(text)[1:-1]}
    return {form.encode("utf-8", "surrogatepass") for form in forms}


def _clean_jsonl(path: Path, person: PersonMatcher) -> int:
    """Remove lines from JSON Lines, compressed or not."""
    with open_jsonl(path, "r") as lines:
        kept = [not person.matches_value(json.loads(line)) for line in lines]
    if not all(kept):
        with open_jsonl(path, "r") as lines, record_writer(path) as write:
            for line, keep in zip(lines, kept, strict=True):
                if keep:
                    write(line.rstrip("\n"))
    return kept.count(False)


def _clean_csv(path: Path, person: PersonMatcher) -> int:
    """Remove rows from a CSV file, keeping its byte order mark and line ends."""
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
    """A JSON value without the list elements and object entries that match, and how many were removed."""
    if isinstance(value, list):
        parts = [_prune_json(item, person) for item in value if not _entry_matches(item, person)]
        return [part for part, _ in parts], len(value) - len(parts) + sum(count for _, count in parts)
    if isinstance(value, dict):
        kept = {
            key: _prune_json(item, person)
            for key, item in value.items()
            if not (person.matches_text(key) or (isinstance(item, str) and person.matches_text(item)))
        }
        count = len(value) - len(kept) + sum(count for _, count in kept.values())
        return {key: part for key, (part, _) in kept.items()}, count
    return value, 0


def _entry_matches(value: Any, person: PersonMatcher) -> bool:
    """Whether a list element is about the person: the string itself, or one of the object's own fields."""
    strings = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(item, str) and person.matches_text(item) for item in strings)


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
    """A cell of a Parquet file; nested records are stored as JSON (`files.record_files`)."""
    return json.loads(cell) if isinstance(cell, str) and cell.startswith("{") and cell.endswith("}") else cell


def _clean_ledger(path: Path, person: PersonMatcher) -> int:
    from mentallama.llm_api.ledger.ledger import Ledger

    with Ledger(path) as ledger:
        return int(ledger.erase(set(person.ids)))


def _skip_weights(path: Path, person: PersonMatcher) -> int:
    """Leave weights alone: they hold no text, and the next run retrains them without the person."""
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

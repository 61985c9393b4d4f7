"""Remove a person's rows from one file. Each function counts them and, if told to, writes the file without them."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.erasure.person import PersonMatcher
from mentallama.errors import DataError
from mentallama.files.atomic import atomic_write, write_json
from mentallama.files.record_files import DAMAGED_FILE_ERRORS, open_jsonl, read_json, record_writer

RemoveRows = Callable[[Path, PersonMatcher, bool], int]
"""`(file, person, write)` -> number of the person's rows."""


def remove_rows(path: Path, person: PersonMatcher, write: bool) -> int | None:
    """Remove the person's rows, or only count them; None for a file without rows.

    Raises
    ------
    DataError
        The file is damaged.
    """
    remove = _remover(path)
    if remove is None:
        return None
    try:
        return remove(path, person, write)
    except (ValueError, *DAMAGED_FILE_ERRORS) as fault:
        raise DataError(
            "damaged or not in UTF-8, so no rows can be found in it; repair it, or move it out of the run",
            path,
        ) from fault


def has_rows(path: Path) -> bool:
    """Whether a file's name ends as one of a kind that can lose single rows."""
    return _remover(path) is not None


def _remover(path: Path) -> RemoveRows | None:
    return next((remove for ending, remove in _BY_ENDING.items() if path.name.endswith(ending)), None)


def mentions_person(path: Path, person: PersonMatcher) -> bool:
    """Whether a file of any kind contains one of the ids or texts."""
    content = path.read_bytes()
    needles = (form for text in (*person.ids, *person.texts) for form in _encoded_forms(text))
    return any(needle in content for needle in needles)


def _encoded_forms(text: str) -> set[bytes]:
    """A text as it is written in plain text, HTML and JSON."""
    from html import escape

    forms = {text, escape(text), escape(text, quote=False), json.dumps(text)[1:-1]}
    return {form.encode("utf-8", "surrogatepass") for form in forms}


def _from_jsonl(path: Path, person: PersonMatcher, write: bool) -> int:
    """Lines of JSON Lines, compressed or not. A line that a kill cut off, in a journal, goes too."""
    with open_jsonl(path, "r") as lines:
        kept = [_is_kept_line(line, path, person) for line in lines]
    if write and not all(kept):
        with open_jsonl(path, "r") as lines, record_writer(path) as write_line:
            for line, keep in zip(lines, kept, strict=True):
                if keep:
                    write_line(line.rstrip("\n"))
    return kept.count(False)


def _is_kept_line(line: str, path: Path, person: PersonMatcher) -> bool:
    try:
        return not person.matches_value(json.loads(line))
    except ValueError:
        if path.name.endswith(".part.jsonl") and not line.endswith("\n"):
            return False
        raise


def _from_csv(path: Path, person: PersonMatcher, write: bool) -> int:
    """Rows of a CSV file, also one that a spreadsheet saved; the other rows keep their bytes."""
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    lines = list(io.StringIO(raw.decode(encoding), newline=""))
    reader = csv.reader(lines, delimiter=_delimiter(lines[0]) if lines else ",")
    kept, start, count = list[str](), 0, 0
    header: list[str] | None = None
    for row in reader:
        header = [cell.removeprefix("\ufeff") for cell in row] if header is None else header
        names = [*header, *[None] * len(row)]
        if any(
            person.matches_text(cell.replace("\r\n", "\n"), name)
            for cell, name in zip(row, names, strict=False)
        ):
            count += 1
        else:
            kept += lines[start : reader.line_num]
        start = reader.line_num
    if write and count:
        with atomic_write(path) as partial:
            partial.write_bytes("".join(kept).encode(encoding))
    return count


def _delimiter(first_line: str) -> str:
    """The character that separates the cells of a table's first line."""
    return max(",;\t", key=lambda delimiter: len(next(csv.reader([first_line], delimiter=delimiter), [])))


def _from_json(path: Path, person: PersonMatcher, write: bool) -> int:
    pruned, count = _prune(read_json(path), person)
    if write and count:
        write_json(path, pruned)
    return count


def _prune(value: Any, person: PersonMatcher, name: str | None = None) -> tuple[Any, int]:
    """A JSON value without the list elements and object entries that match, and how many were removed."""
    if isinstance(value, list):
        parts = [_prune(item, person, name) for item in value if not _is_about(item, person, name)]
        return [part for part, _ in parts], len(value) - len(parts) + sum(count for _, count in parts)
    if isinstance(value, dict):
        kept = {
            key: _prune(item, person, key)
            for key, item in value.items()
            if not (person.matches_text(key) or (isinstance(item, str) and person.matches_text(item, key)))
        }
        count = len(value) - len(kept) + sum(count for _, count in kept.values())
        return {key: part for key, (part, _) in kept.items()}, count
    return value, 0


def _is_about(value: Any, person: PersonMatcher, name: str | None) -> bool:
    """Whether a list element is about the person: the string itself, or one of the object's own fields."""
    strings = value.items() if isinstance(value, dict) else [(name, value)]
    return any(isinstance(item, str) and person.matches_text(item, key) for key, item in strings)


def _from_parquet(path: Path, person: PersonMatcher, write: bool) -> int:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    kept = [
        not any(person.matches_value(_decode_cell(cell), name) for name, cell in row.items())
        for row in table.to_pylist()
    ]
    if write and not all(kept):
        with atomic_write(path) as partial:
            pyarrow.parquet.write_table(table.filter(pyarrow.array(kept)), partial)
    return kept.count(False)


def _decode_cell(cell: Any) -> Any:
    """A cell of a Parquet file; nested records are stored as JSON (`files.record_files`)."""
    return json.loads(cell) if isinstance(cell, str) and cell.startswith("{") and cell.endswith("}") else cell


def remove_from_ledger(path: Path, person: PersonMatcher, write: bool) -> int:
    """Completions in a ledger; their costs stay counted."""
    from mentallama.llm_api.ledger.ledger import Ledger

    ids = {*person.ids, *person.plain_ids}
    with Ledger(path) as ledger:
        return int(ledger.erase(ids)) if write else len(ledger.hashes_about(ids))


def _leave_weights(path: Path, person: PersonMatcher, write: bool) -> int:
    """Weights hold no text, and the next run retrains them without the person."""
    return 0


_BY_ENDING: dict[str, RemoveRows] = {
    ".jsonl": _from_jsonl,
    ".jsonl.zst": _from_jsonl,
    ".csv": _from_csv,
    ".json": _from_json,
    ".parquet": _from_parquet,
    ".sqlite": remove_from_ledger,
    ".safetensors": _leave_weights,
    ".distcp": _leave_weights,
}

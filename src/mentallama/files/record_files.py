"""Read and write files of records: JSON Lines (`.jsonl`, `.jsonl.zst`) and, with pyarrow, `.parquet`.

Every write is atomic: a file appears under its final name complete or not at all.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import zstandard
from pydantic import BaseModel, ValidationError

from mentallama.errors import DataError, UsageError
from mentallama.extras import install_hint
from mentallama.files.atomic import atomic_write
from mentallama.files.compression import DamagedStreamError, open_binary

R = TypeVar("R", bound=BaseModel)

PARQUET_BATCH_ROWS = 4096
"""Rows in memory at a time while a Parquet file is written or read."""

MAX_ROW_CHARS = 1 << 24
"""Characters of a row. A post has at most 100,000; without a bound, a small compressed file could fill the memory."""

MAX_FIELDS_SHOWN = 5
_FIELD_NAME = re.compile(r"\w{1,40}", re.ASCII)

DAMAGED_FILE_ERRORS = (UnicodeDecodeError, DamagedStreamError)
"""Exceptions raised on reading lines of a damaged file."""


def read_json(path: Path) -> Any:
    """Read a JSON file; raises `DataError` if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:  # not UTF-8, not JSON, or nested too deeply
        raise DataError("not a JSON file", path) from fault


def read_record(path: Path, record_type: type[R]) -> R:
    """Read a JSON file that holds one record.

    Raises
    ------
    DataError
        It is not a record of this type; the message names the fields.
    """
    try:
        return record_type.model_validate(read_json(path))
    except ValidationError as fault:
        raise DataError(invalid_record(record_type, fault, "the whole file"), path) from None


@contextmanager
def open_jsonl(path: Path, mode: str) -> Iterator[IO[str]]:
    """Open JSON Lines as UTF-8 text for reading ("r", also compressed) or writing ("w", `.jsonl` or `.jsonl.zst`)."""
    if mode == "r":
        with io.TextIOWrapper(open_binary(path), encoding="utf-8", newline="\n") as lines:
            yield lines
    elif path.name.removesuffix(".partial").endswith(".zst"):
        with path.open("wb") as raw:
            codec: Any = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(raw)
            with io.TextIOWrapper(codec, encoding="utf-8", newline="\n") as lines:
                yield lines
    else:
        with path.open(mode, encoding="utf-8", newline="\n") as lines:
            yield lines


@contextmanager
def record_writer(path: Path) -> Iterator[Callable[[BaseModel | str], None]]:
    """Write records, or their JSON, one by one; the file appears under its name only when complete.

    The format follows the name: `.jsonl`, `.jsonl.zst` or `.parquet`.
    """
    with atomic_write(path) as partial:
        if path.suffix == ".parquet":
            with _parquet_writer(partial, ("record",)) as write_row:
                yield lambda record: write_row((_record_json(record),))
        else:
            with open_jsonl(partial, "w") as lines:
                yield lambda record: _write_line(lines, record)


_EXAMPLE_ID = re.compile(r'"example_id"\s*:\s*"([^"\\]*)"')


def write_records(path: Path, records: Iterable[BaseModel]) -> int:
    """Write records atomically, one by one; returns their number."""
    count = 0
    with record_writer(path) as write:
        for count, record in enumerate(records, 1):
            write(record)
    return count


def _record_json(record: BaseModel | str) -> str:
    return record if isinstance(record, str) else record.model_dump_json(exclude_defaults=True)


def _write_line(lines: IO[str], record: BaseModel | str) -> None:
    lines.write(_record_json(record))
    lines.write("\n")


def read_records(path: Path, record_type: type[R]) -> Iterator[R]:
    """Read records one by one.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        A line is not a record of this type; the message names the line and the fields.
    """
    for _, record in read_numbered_records(path, record_type):
        yield record


def read_numbered_records(
    path: Path, record_type: type[R], may_matter: Callable[[str], bool] | None = None
) -> Iterator[tuple[int, R]]:
    """Read records one by one, each with its row from 1.

    Parameters
    ----------
    may_matter
        Whether a line can hold a record that the caller looks for; others are skipped unread, since to parse a line
        takes ten times as long as to search it. Rows of Parquet are all read.

    Raises
    ------
    UsageError, DataError
        As for `read_records`.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    if path.suffix == ".parquet":
        yield from enumerate(_read_parquet(path, record_type), 1)
        return
    number = 0
    try:
        with open_jsonl(path, "r") as lines:
            for number, line in enumerate(iter(partial(lines.readline, MAX_ROW_CHARS + 1), ""), 1):
                if len(line) > MAX_ROW_CHARS:
                    raise DataError(f"the line is longer than {MAX_ROW_CHARS:,} characters", path, number)
                if may_matter is None or may_matter(line):
                    yield number, _parse_record(record_type, line, path, number)
    except DAMAGED_FILE_ERRORS as fault:
        raise DataError("the file is damaged or truncated after this row", path, number) from fault


def has_string(value: str) -> Callable[[str], bool]:
    r"""A test of lines for `read_numbered_records`: can a line of JSON hold this string as a value?

    A line with an escape may spell any string in another way, so it always can.

    >>> may_matter = has_string("DR")
    >>> may_matter('{"set": "DR"}'), may_matter('{"set": "CAMS"}'), may_matter(r'{"set": "\u0044R"}')
    (True, False, True)
    """
    quoted = json.dumps(value, ensure_ascii=False)
    return lambda line: quoted in line or "\\u" in line or "\\/" in line


def is_about(examples: Container[str]) -> Callable[[str], bool]:
    """A test of lines for `read_numbered_records`: can a line be a prediction or response for one of the examples?

    >>> may_matter = is_about({"3f"})
    >>> may_matter('{"example_id": "3f"}'), may_matter('{"example_id": "4a"}'), may_matter("{}")
    (True, False, True)
    """

    def may_matter(line: str) -> bool:
        # Quotation marks inside of a string are escaped, so this is a field and never a part of a text.
        found = _EXAMPLE_ID.search(line)
        return found is None or found[1] in examples

    return may_matter


def _parse_record(record_type: type[R], line: str, path: Path, number: int) -> R:
    try:
        return record_type.model_validate_json(line)
    except ValidationError as fault:
        raise DataError(invalid_record(record_type, fault, "the line"), path, number) from None


def invalid_record(record_type: type[BaseModel], fault: ValidationError, whole: str) -> str:
    """Say which fields are at fault; a name that is no identifier may be anybody's text and is not shown."""
    fields = {
        ".".join(str(part) if _FIELD_NAME.fullmatch(str(part)) else "..." for part in error["loc"]) or whole
        for error in fault.errors()
    }
    shown = sorted(fields)[:MAX_FIELDS_SHOWN]
    name = record_type.__name__
    return f"not {'an' if name[0] in 'AEIOU' else 'a'} {name} record: see {', '.join(shown)}"


def has_pyarrow() -> bool:
    """Whether pyarrow, an optional dependency, is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def _import_pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as fault:
        raise UsageError(f"Parquet needs pyarrow: {install_hint('parquet')}") from fault
    return pyarrow


@contextmanager
def _parquet_writer(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[str]], None]]:
    """Yield a function that writes one row of text cells; rows are written in batches.

    Records are stored as JSON in a single column `record`, so that nested fields need no schema.
    """
    arrow = _import_pyarrow()
    schema = arrow.schema([(name, arrow.string()) for name in columns])
    batch: list[Sequence[str]] = []
    with arrow.parquet.ParquetWriter(path, schema, write_page_checksum=True) as writer:

        def flush() -> None:
            columns_of_batch = list(zip(*batch, strict=True)) or [()] * len(columns)
            writer.write_table(
                arrow.table([arrow.array(cells, arrow.string()) for cells in columns_of_batch], schema=schema)
            )
            batch.clear()

        def write(cells: Sequence[str]) -> None:
            batch.append(cells)
            if len(batch) == PARQUET_BATCH_ROWS:
                flush()

        yield write
        flush()


@contextmanager
def table_writer(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[str]], None]]:
    """Write rows of text cells one by one; the file appears under its name only when complete.

    The format follows the name: `.csv` (every cell quoted), `.jsonl` (one object per row) or `.parquet`.
    """
    with atomic_write(path) as partial:
        if path.suffix == ".parquet":
            with _parquet_writer(partial, columns) as write_row:
                yield write_row
        elif path.suffix == ".csv":
            with partial.open("w", encoding="utf-8", newline="") as file:
                rows = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
                rows.writerow(columns)
                yield rows.writerow
        else:
            with open_jsonl(partial, "w") as lines:
                yield lambda cells: _write_line(lines, _row_json(columns, cells))


def _row_json(columns: Sequence[str], cells: Sequence[str]) -> str:
    return json.dumps(dict(zip(columns, cells, strict=True)), ensure_ascii=False)


def _read_parquet(path: Path, record_type: type[R]) -> Iterator[R]:
    arrow, number = _import_pyarrow(), 0
    try:
        file = arrow.parquet.ParquetFile(path, page_checksum_verification=True)
        if file.schema_arrow.names != ["record"]:
            raise DataError("not a Parquet file of records: its only column should be “record”", path)
        for batch in file.iter_batches(PARQUET_BATCH_ROWS):
            for line in batch.column(0).to_pylist():
                number += 1
                yield _parse_record(record_type, line, path, number)
    # most damage is an OSError, wrong UTF-8 a ValueError
    except (arrow.ArrowException, OSError, ValueError) as fault:
        raise DataError("not a Parquet file of records, or damaged", path, number or None) from fault

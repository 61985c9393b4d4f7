"""Sheets that people fill in: rows with a unique key, and columns that only people write in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from mentallama.errors import DataError
from mentallama.files.spreadsheet import SheetRow, read_sheet

K = TypeVar("K", bound=Hashable)


def read_keyed_rows(
    path: Path, columns: Sequence[str], parse: Callable[[SheetRow], tuple[K, SheetRow]], same: str
) -> dict[K, SheetRow]:
    """Read a sheet by key, in its order; empty if there is no file.

    Parameters
    ----------
    parse
        Returns a row's key and its normalised cells; raises ValueError with a sentence if a cell is invalid.
    same
        Names what two rows with one key have in common, for the error.

    Raises
    ------
    DataError
        The file is not a table with these columns, a cell is invalid, or two rows have the same key.
    """
    rows: dict[K, SheetRow] = {}
    row_numbers: dict[K, int] = {}
    for number, cells in read_sheet(path, columns):
        try:
            key, row = parse(cells)
        except ValueError as error:
            raise DataError(str(error), path, number) from None
        if key in rows:
            raise DataError(f"the same {same} as row {row_numbers[key]}; keep one of them", path, number)
        rows[key], row_numbers[key] = row, number
    return rows


def has_human_input(row: SheetRow, generated: Sequence[str]) -> bool:
    """Whether a row has text outside the `generated` columns, including columns that a person added."""
    return any(text.strip() for name, text in row.items() if name not in generated)


def digest_human_input(values: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 (64 hexadecimal digits) of what people wrote, independent of the order of the rows."""
    return hashlib.sha256(repr(sorted(values)).encode("utf-8", "surrogatepass")).hexdigest()

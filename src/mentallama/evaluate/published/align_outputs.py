"""Align a file of model outputs with a test file of the benchmark.

Outputs are in the published layout: `SET.csv` with the columns `goldens` (the reference) and `generated_text`, one row
for each row of the test file; separated by comma, semicolon, tab or bar, as spreadsheet programs save them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from mentallama.errors import DataError
from mentallama.files.imhi_release import ReleaseRow
from mentallama.files.tables import SEP_LINE, TextLines, find_delimiter

OUTPUT_COLUMNS = ["goldens", "generated_text"]

# The published scripts write with pandas and escapechar "\\"; other writers leave backslashes alone.
# Both are tried: with the right one the references equal the benchmark's.
ESCAPE_CHARS = ("\\", None)


@dataclass(frozen=True)
class OutputRow:
    """One row of a model's outputs; `row` is its number as a spreadsheet shows it, from 2."""

    row: int
    reference: str
    text: str


@dataclass(frozen=True)
class AlignedOutputs:
    """Outputs in the benchmark's order.

    `method` is "rows" if the references agree row by row, "references" if the outputs were in another order and were
    matched by their reference text.
    """

    outputs: list[OutputRow]
    method: Literal["rows", "references"]


def read_outputs(path: Path, escape: str | None) -> list[OutputRow]:
    """Read a file of model outputs; `escape` is the CSV escape character, if any.

    Raises
    ------
    DataError
        The file is neither UTF-8 nor UTF-16 with a byte order mark, or not a table with the two columns.
    """
    with TextLines(path, "utf-8") as lines:
        delimiter, first = _first_line(lines)
        # strict: otherwise a file that is truncated inside a cell yields a shorter answer
        reader = csv.reader(chain([first], lines), delimiter=delimiter, escapechar=escape, strict=True)
        rows = []
        try:
            for cells in reader:
                rows.append(cells)
                lines.end_row()
        except csv.Error as error:
            raise DataError("not a CSV file; it may be truncated", path, len(rows) + 1) from error
    header = [name.strip().casefold() for name in rows[0]] if rows else []
    if not set(OUTPUT_COLUMNS) <= set(header):
        raise DataError(f"no columns {' and '.join(OUTPUT_COLUMNS)} in its first row", path, 1)
    reference, text = (header.index(name) for name in OUTPUT_COLUMNS)
    for number, cells in enumerate(rows, 1):
        if len(cells) != len(header) and not _is_blank(cells):
            raise DataError(f"{len(cells)} cells where the header has {len(header)}", path, number)
    return [
        OutputRow(number, cells[reference], cells[text])
        for number, cells in enumerate(rows[1:], 2)
        if not _is_blank(cells)
    ]


def _first_line(lines: TextLines) -> tuple[str, str]:
    """The delimiter and the header's line, after blank lines and a line that names the delimiter."""
    filled = filter(str.strip, lines)
    first = next(filled, "")
    named = SEP_LINE.fullmatch(first)
    if named:
        return named[1], next(filled, "")
    return find_delimiter(first, OUTPUT_COLUMNS, default=","), first


def _is_blank(cells: Sequence[str]) -> bool:
    """Whether a row holds nothing, or only the mark of the end of a file in DOS."""
    return not any(cell.strip(" \x1a") for cell in cells)


def align_outputs(
    path: Path, candidates: Sequence[tuple[Path, list[ReleaseRow]]]
) -> tuple[int, AlignedOutputs]:
    """Find the benchmark file that the outputs answer, and put the outputs in its order.

    Parameters
    ----------
    path
        The outputs.
    candidates
        Files of the benchmark with their rows, in order of preference.

    Returns
    -------
    Index of the candidate, and the outputs in its order.

    Raises
    ------
    DataError
        The outputs answer none of the candidates; the message names the first row that differs from the first
        candidate.
    """
    parsed: list[list[OutputRow]] = []
    errors: list[DataError] = []
    for escape in ESCAPE_CHARS:
        try:
            parsed.append(read_outputs(path, escape))
        except DataError as error:
            errors.append(error)
    for index, (_, rows) in enumerate(candidates):
        for outputs in parsed:
            aligned = align_rows(outputs, rows)
            if aligned is not None:
                return index, aligned
    if not parsed:
        raise errors[0]
    # The escape character with which more rows agree is the one the file was written with.
    errors = [mismatch_error(path, outputs, *candidates[0]) for outputs in parsed]
    raise max(errors, key=lambda error: error.row or 0)


def align_rows(outputs: Sequence[OutputRow], rows: Sequence[ReleaseRow]) -> AlignedOutputs | None:
    """Outputs in the order of `rows`; None if they answer other rows.

    They are reordered only if every reference occurs exactly once on each side.
    """
    given = [_normalize_whitespace(output.reference) for output in outputs]
    expected = [_normalize_whitespace(row.reference) for row in rows]
    if given == expected:
        return AlignedOutputs(list(outputs), "rows")
    by_reference = dict(zip(given, outputs, strict=True))
    if len(by_reference) == len(given) == len(expected) and set(expected) == set(given):
        return AlignedOutputs([by_reference[reference] for reference in expected], "references")
    return None


def mismatch_error(
    path: Path, outputs: Sequence[OutputRow], benchmark: Path, rows: Sequence[ReleaseRow]
) -> DataError:
    """The error that names the first row where outputs and benchmark differ, without quoting text of either."""
    pairs = zip(outputs, rows, strict=False)
    differing = next(
        (
            output.row
            for output, row in pairs
            if _normalize_whitespace(output.reference) != _normalize_whitespace(row.reference)
        ),
        None,
    )
    if len(outputs) != len(rows):
        message = f"{len(outputs)} rows where {benchmark} has {len(rows)}; from here they differ"
        return DataError(message, path, differing or min(len(outputs), len(rows)) + 2)
    message = f"its reference is not the one in {benchmark}; are these outputs of another file?"
    return DataError(message, path, differing)


def _normalize_whitespace(reference: str) -> str:
    """Collapse white space, in which CSV writers differ, so that it is not compared."""
    return " ".join(reference.split())

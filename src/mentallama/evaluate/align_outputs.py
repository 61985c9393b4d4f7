"""Bring a folder of model outputs into line with a test file of the benchmark.

The outputs are in the published layout: `SET.csv`, columns `goldens` and `generated_text`, one row
for each row of the test file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mentallama.errors import DataError
from mentallama.files.imhi_release import ReleaseRow

OUTPUT_COLUMNS = ["goldens", "generated_text"]

# The published scripts write with pandas and escapechar "\\"; other writers leave backslashes alone.
# Which of the two a file is shows in its goldens.
ESCAPE_CHARS = ("\\", None)


@dataclass(frozen=True)
class OutputRow:
    """One row of a model's outputs; `row` counts as a spreadsheet does."""

    row: int
    reference: str
    text: str


@dataclass(frozen=True)
class AlignedOutputs:
    """Outputs in the benchmark's order.

    `by` is "rows" where the goldens agree row by row, "goldens" where the outputs stood in another
    order and each golden text named its row.
    """

    outputs: list[OutputRow]
    method: Literal["rows", "goldens"]


def read_outputs(path: Path, escape: str | None) -> list[OutputRow]:
    """Read a file of model outputs.

    Raises
    ------
    BadData
        Not UTF-8, or not a table with the two columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines, escapechar=escape))
    except (csv.Error, UnicodeDecodeError) as fault:
        raise DataError("not a UTF-8 CSV file", path) from fault
    header = rows[0] if rows else []
    if not set(OUTPUT_COLUMNS) <= set(header):
        raise DataError(f"no columns {' and '.join(OUTPUT_COLUMNS)} in its first row", path, 1)
    golden, text = (header.index(name) for name in OUTPUT_COLUMNS)
    for number, cells in enumerate(rows, 1):
        if len(cells) != len(header) and cells:
            raise DataError(f"{len(cells)} cells where the header names {len(header)}", path, number)
    return [
        OutputRow(number, cells[golden], cells[text]) for number, cells in enumerate(rows[1:], 2) if cells
    ]


def align_outputs(
    path: Path, candidates: Sequence[tuple[Path, list[ReleaseRow]]]
) -> tuple[int, AlignedOutputs]:
    """Find the benchmark file that the outputs answer, and put them in its order.

    Parameters
    ----------
    path
        The outputs.
    candidates
        Files of the benchmark with their rows, the first preferred.

    Returns
    -------
    The candidate's index, and the outputs in its order.

    Raises
    ------
    BadData
        They answer none of the candidates; the message names the first row that differs from the
        first candidate.
    """
    readings: list[list[OutputRow]] = []
    faults: list[DataError] = []
    for escape in ESCAPE_CHARS:
        try:
            readings.append(read_outputs(path, escape))
        except DataError as fault:
            faults.append(fault)
    for index, (_, rows) in enumerate(candidates):
        for outputs in readings:
            aligned = align_rows(outputs, rows)
            if aligned is not None:
                return index, aligned
    if not readings:
        raise faults[0]
    # Of the two ways of reading, the one that agrees further is the file's own.
    faults = [mismatch_error(path, outputs, *candidates[0]) for outputs in readings]
    raise max(faults, key=lambda fault: fault.row or 0)


def align_rows(outputs: Sequence[OutputRow], rows: Sequence[ReleaseRow]) -> AlignedOutputs | None:
    """Outputs in the rows' order; None where they answer other rows.

    They are reordered only where every golden stands exactly once on each side.
    """
    theirs, ours = (
        [_normalize_whitespace(output.reference) for output in outputs],
        [_normalize_whitespace(row.reference) for row in rows],
    )
    if theirs == ours:
        return AlignedOutputs(list(outputs), "rows")
    by_golden = dict(zip(theirs, outputs, strict=True))
    if len(by_golden) == len(theirs) == len(ours) and set(ours) == set(theirs):
        return AlignedOutputs([by_golden[golden] for golden in ours], "goldens")
    return None


def mismatch_error(
    path: Path, outputs: Sequence[OutputRow], benchmark: Path, rows: Sequence[ReleaseRow]
) -> DataError:
    """The fault that says where outputs and benchmark part; the message holds no text of either."""
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
        what = f"{len(outputs)} rows where {benchmark} has {len(rows)}; from here they differ"
        return DataError(what, path, differing or min(len(outputs), len(rows)) + 2)
    what = f"its golden is not the one in {benchmark}; are these outputs of another file?"
    return DataError(what, path, differing)


def _normalize_whitespace(golden: str) -> str:
    """White space is not compared: writers of CSV differ in it."""
    return " ".join(golden.split())

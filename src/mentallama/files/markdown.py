"""Format tables and numbers as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

EMPTY_CELL = "–"
"""Shown in place of a missing value."""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a table, followed by an empty line; "" if there are no rows.

    >>> print(markdown_table(["set", "rows"], [["a|b", 1200]]), end="")
    | set | rows |
    | --- | --- |
    | a\\|b | 1,200 |
    <BLANKLINE>
    """
    lines = [tuple(header), ("---",) * len(header), *(tuple(map(format_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n" if len(lines) > 2 else ""


def format_cell(value: object) -> str:
    """Format a value as the text of a cell: integers with thousands separators, floats with two decimals."""
    if value is None or value == "":
        return EMPTY_CELL
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
    return " ".join(str(value).replace("|", "\\|").split())


def table_of_rows(rows: Sequence[Mapping[str, object]]) -> str:
    """Format a table from rows that all have the same columns."""
    header = [name.replace("_", " ") for name in rows[0]] if rows else []
    return markdown_table(header, (list(row.values()) for row in rows))


def format_percent(part: int, whole: int) -> str:
    """Format `part` of `whole` in percent.

    >>> format_percent(1, 8)
    '12.5 %'
    """
    return f"{100 * part / whole:.1f} %" if whole else EMPTY_CELL

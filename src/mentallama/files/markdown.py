"""Tables and numbers as Markdown has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

EMPTY_CELL = "–"
"""Stands where there is no value."""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with an empty line behind it; "" where there are no rows.

    >>> print(table(["set", "rows"], [["a|b", 1200]]), end="")
    | set | rows |
    | --- | --- |
    | a\\|b | 1,200 |
    <BLANKLINE>
    """
    lines = [tuple(header), ("---",) * len(header), *(tuple(map(format_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n" if len(lines) > 2 else ""


def format_cell(value: object) -> str:
    """A value as one cell's text: counts with thousands set apart, other numbers with two digits."""
    if value is None or value == "":
        return EMPTY_CELL
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
    return " ".join(str(value).replace("|", "\\|").split())


def table_of_rows(lines: Sequence[Mapping[str, object]]) -> str:
    """Lines of the same columns as a table."""
    header = [name.replace("_", " ") for name in lines[0]] if lines else []
    return markdown_table(header, (list(line.values()) for line in lines))


def format_percent(part: int, whole: int) -> str:
    """In percent.

    >>> share(1, 8)
    '12.5 %'
    """
    return f"{100 * part / whole:.1f} %" if whole else EMPTY_CELL

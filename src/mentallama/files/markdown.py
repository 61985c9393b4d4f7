"""Format tables and numbers as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from mentallama.errors import printable

EMPTY_CELL = "–"
"""Shown in place of a missing value."""

_SPECIAL = re.compile(r"[\\`*\[\]|]|(?<![^\W_])[_~]|[_~](?![^\W_])")
"""Characters of Markdown's markup; an underscore inside a word is none."""
_ENTITY = re.compile(r"&(?=#?\w+;)")


class Markdown(str):
    """Text that is Markdown already; any other text of a table is shown as it is written."""

    __slots__ = ()


def escape_markdown(text: str) -> str:
    r"""Text that others wrote, as one line of Markdown or HTML that shows it as it is: no markup, no link, no image.

    >>> escape_markdown("a|b <img src=x> ![c](d)\ne_f")
    'a\\|b &lt;img src=x&gt; !\\[c\\](d) e_f'
    """
    line = printable(" ".join(text.split()))
    escaped = _SPECIAL.sub(r"\\\g<0>", _ENTITY.sub("&amp;", line))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a table, followed by an empty line; "" if there are no rows.

    >>> print(markdown_table(["set", "rows"], [["a|b", 1200]]), end="")
    | set | rows |
    | --- | --- |
    | a\\|b | 1,200 |
    <BLANKLINE>
    """
    lines = [
        tuple(map(format_cell, header)),
        ("---",) * len(header),
        *(tuple(map(format_cell, row)) for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n" if len(lines) > 2 else ""


def format_cell(value: object) -> str:
    """Format a value as the text of a cell: integers with thousands separators, floats with two decimals."""
    if value is None or value == "":
        return EMPTY_CELL
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
    return value if isinstance(value, Markdown) else escape_markdown(str(value))


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

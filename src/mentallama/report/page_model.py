"""What a page is made of. The HTML page and its Markdown twin are written from the same blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

NONE = "–"
"""Stands where there is no number."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table. `heat` (0-1) shades it; None leaves it plain."""

    text: str
    head: bool = False
    number: bool = False
    heat: float | None = None


@dataclass(frozen=True)
class Row:
    """`ours` sets a row off from the published ones around it, `part` one that is part of the row above."""

    cells: tuple[Cell, ...]
    ours: bool = False
    part: bool = False


@dataclass(frozen=True)
class Table:
    """`upright` turns column heads by 90°, for matrices with many columns."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    upright: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Figure:
    """`svg` is whole and describes itself to a screen reader; `caption` is shown below it."""

    caption: str
    svg: str
    description: str
    small: bool = False
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True)
class Text:
    """A paragraph; `missing` marks one that says what is not there."""

    text: str
    missing: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Group:
    """Blocks shown side by side where there is room; folded away behind `fold` where it is set."""

    blocks: tuple[Table | Figure, ...]
    fold: str | None = None
    kind: Literal["group"] = "group"


Block = Table | Figure | Text | Group


@dataclass(frozen=True)
class Section:
    """One part of the page; `id` names it in links."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """The whole page. `facts` are the few numbers shown at the top, label and value."""

    title: str
    notice: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def head(text: str) -> Cell:
    """The cell that names its row."""
    return Cell(text, head=True)


def number(value: float | None, digits: int = 2, heat: float | None = None) -> Cell:
    """A number with fixed digits, or a dash."""
    return Cell(NONE if value is None else f"{value:.{digits}f}", number=True, heat=heat)


def count(value: int | None, heat: float | None = None) -> Cell:
    """A whole number with thousands set apart, or a dash."""
    return Cell(NONE if value is None else f"{value:,}", number=True, heat=heat)


def row(name: str, cells: Iterable[Cell], *, ours: bool = False, part: bool = False) -> Row:
    """A row with its name first."""
    return Row((head(name), *cells), ours=ours, part=part)


def pairs(caption: str, header: tuple[str, str], values: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values."""
    return Table(caption, header, tuple(row(name, [Cell(value)]) for name, value in values))


def missing(what: str) -> tuple[Text]:
    """The one block of a section whose material is not there."""
    return (Text(what, missing=True),)


def matrix(
    caption: str,
    corner: str,
    names: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[int]],
    *,
    wholes: Sequence[int],
) -> Table:
    """Counts as a heat table: each cell is shaded by its share of the row's whole."""
    rows = [
        row(name, (count(cell, cell / whole if whole else None) for cell in line))
        for name, line, whole in zip(names, counts, wholes, strict=True)
    ]
    return Table(caption, (corner, *columns), tuple(rows), upright=len(columns) > 4)

"""What a page is made of. The HTML page and its Markdown twin are written from the same blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

NO_VALUE = "–"
"""Stands where there is no number."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table. `heat` (0-1) shades it; None leaves it plain."""

    text: str
    is_header: bool = False
    is_number: bool = False
    heat: float | None = None


@dataclass(frozen=True)
class PageRow:
    """`ours` sets a row off from the published ones around it, `part` one that is part of the row above."""

    cells: tuple[Cell, ...]
    highlighted: bool = False
    is_subrow: bool = False


@dataclass(frozen=True)
class TableBlock:
    """`upright` turns column heads by 90°, for matrices with many columns."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[PageRow, ...]
    vertical_headers: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class FigureBlock:
    """`svg` is whole and describes itself to a screen reader; `caption` is shown below it."""

    caption: str
    svg: str
    description: str
    small: bool = False
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `missing_note` marks one that says what is not there."""

    text: str
    missing: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class BlockGroup:
    """Blocks shown side by side where there is room; folded away behind `fold` where it is set."""

    blocks: tuple[TableBlock | FigureBlock, ...]
    collapsed_title: str | None = None
    kind: Literal["group"] = "group"


Block = TableBlock | FigureBlock | Paragraph | BlockGroup


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
    intro: str
    key_figures: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def header_cell(text: str) -> Cell:
    """The cell that names its row."""
    return Cell(text, is_header=True)


def number_cell(value: float | None, digits: int = 2, heat: float | None = None) -> Cell:
    """A number with fixed digits, or a dash."""
    return Cell(NO_VALUE if value is None else f"{value:.{digits}f}", is_number=True, heat=heat)


def count_cell(value: int | None, heat: float | None = None) -> Cell:
    """A whole number with thousands set apart, or a dash."""
    return Cell(NO_VALUE if value is None else f"{value:,}", is_number=True, heat=heat)


def named_row(
    name: str, cells: Iterable[Cell], *, highlighted: bool = False, is_subrow: bool = False
) -> PageRow:
    """A row with its name first."""
    return PageRow((header_cell(name), *cells), highlighted=highlighted, is_subrow=is_subrow)


def key_value_table(caption: str, header: tuple[str, str], values: Iterable[tuple[str, str]]) -> TableBlock:
    """A table of names and values."""
    return TableBlock(caption, header, tuple(named_row(name, [Cell(value)]) for name, value in values))


def missing_note(what: str) -> tuple[Paragraph]:
    """The one block of a section whose material is not there."""
    return (Paragraph(what, missing=True),)


def heat_table(
    caption: str,
    corner_label: str,
    names: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[int]],
    *,
    row_totals: Sequence[int],
) -> TableBlock:
    """Counts as a heat table: each cell is shaded by its share of the row's whole."""
    rows = [
        named_row(name, (count_cell(cell, cell / whole if whole else None) for cell in line))
        for name, line, whole in zip(names, counts, row_totals, strict=True)
    ]
    return TableBlock(caption, (corner_label, *columns), tuple(rows), vertical_headers=len(columns) > 4)

"""The building blocks of a page. The HTML page and the Markdown file are rendered from the same blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mentallama.files.markdown import EMPTY_CELL


@dataclass(frozen=True)
class Cell:
    """One cell of a table. `heat` (0-1) is the depth of its shading; None for none."""

    text: str
    is_header: bool = False
    is_number: bool = False
    heat: float | None = None


@dataclass(frozen=True)
class PageRow:
    """One row of a table. `highlighted` marks this run among published rows; `is_subrow` a part of the row above."""

    cells: tuple[Cell, ...]
    highlighted: bool = False
    is_subrow: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table. `vertical_headers` turns column headers by 90°, for matrices with many columns."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[PageRow, ...]
    vertical_headers: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class FigureBlock:
    """A plot. `svg` is a complete element with a description for screen readers; `caption` is shown below it.

    `description` says the same in words; the Markdown file shows it instead of the plot.
    """

    caption: str
    svg: str
    description: str
    small: bool = False
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `missing` marks one about data that the run does not have."""

    text: str
    missing: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class BlockGroup:
    """Blocks shown side by side where the page is wide enough, collapsed under `collapsed_title` if it is set."""

    blocks: tuple[TableBlock | FigureBlock, ...]
    collapsed_title: str | None = None
    kind: Literal["group"] = "group"


Block = TableBlock | FigureBlock | Paragraph | BlockGroup


@dataclass(frozen=True)
class Section:
    """One section of the page; `id` is its anchor."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """The whole page. `key_figures` are the few numbers shown at the top, as name and value."""

    title: str
    notice: str
    intro: str
    key_figures: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def header_cell(text: str) -> Cell:
    """The cell that names its row."""
    return Cell(text, is_header=True)


def number_cell(value: float | None, digits: int = 2, heat: float | None = None) -> Cell:
    """A number with fixed decimals; a dash for None."""
    return Cell(EMPTY_CELL if value is None else f"{value:.{digits}f}", is_number=True, heat=heat)


def count_cell(value: int | None, heat: float | None = None) -> Cell:
    """An integer with thousands separators; a dash for None."""
    return Cell(EMPTY_CELL if value is None else f"{value:,}", is_number=True, heat=heat)


def named_row(
    name: str, cells: Iterable[Cell], *, highlighted: bool = False, is_subrow: bool = False
) -> PageRow:
    """A row that begins with its name."""
    return PageRow((header_cell(name), *cells), highlighted=highlighted, is_subrow=is_subrow)


def key_value_table(caption: str, header: tuple[str, str], values: Iterable[tuple[str, str]]) -> TableBlock:
    """A table of names and values."""
    return TableBlock(caption, header, tuple(named_row(name, [Cell(value)]) for name, value in values))


def missing_note(text: str) -> tuple[Paragraph]:
    """The single block of a section whose data the run does not have."""
    return (Paragraph(text, missing=True),)


def heat_table(
    caption: str,
    corner_label: str,
    names: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[int]],
    *,
    row_totals: Sequence[int],
) -> TableBlock:
    """A matrix of counts; each cell is shaded by its share of the row's total."""
    rows = [
        named_row(name, (count_cell(count, count / total if total else None) for count in line))
        for name, line, total in zip(names, counts, row_totals, strict=True)
    ]
    return TableBlock(caption, (corner_label, *columns), tuple(rows), vertical_headers=len(columns) > 4)

"""The building blocks of a page. The HTML page and the Markdown file are rendered from the same blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.plots import Plot

MAX_HEADER_LETTERS = 12
"""Longest name of a column of counts that stands upright, in letters."""

Value = str | float | None | tuple[float, float]
"""The value of a cell in files of numbers: a word, a number, the two ends of an interval, or nothing."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table: `text` as it is shown, and `value`, the unrounded number behind it.

    `heat` (0-1) is the depth of its shading; None for none. `is_best` marks the best number of several.
    """

    text: str
    is_header: bool = False
    is_number: bool = False
    heat: float | None = None
    value: float | tuple[float, float] | None = None
    is_best: bool = False

    @property
    def content(self) -> Value:
        """The number behind the cell, or its text where there is none."""
        if self.is_number:
            return self.value
        return None if self.text == EMPTY_CELL else self.text


@dataclass(frozen=True)
class PageRow:
    """One row of a table. `highlighted` marks this run among published rows; `is_subrow` a part of the row above."""

    cells: tuple[Cell, ...]
    highlighted: bool = False
    is_subrow: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table. `vertical_headers` turns column headers by 90°, for matrices with many columns.

    `name` tells it from the other tables of its section. `file` is the name of its files without the suffix, given
    when the page is built.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[PageRow, ...]
    vertical_headers: bool = False
    name: str = ""
    file: str = ""
    kind: Literal["table"] = "table"

    def is_number_column(self, column: int) -> bool:
        """Whether the first row has a number there."""
        return bool(self.rows) and self.rows[0].cells[column].is_number


@dataclass(frozen=True)
class FigureBlock:
    """A plot with the table of its numbers; `caption` is shown below it. `name` and `file` are as in `TableBlock`.

    Figures of size "small" and "panel" stand beside others of their kind, which share one table.
    """

    caption: str
    plot: Plot
    data: TableBlock | None = None
    size: Literal["full", "small", "panel"] = "full"
    name: str = ""
    file: str = ""
    kind: Literal["figure"] = "figure"

    @property
    def description(self) -> str:
        """The plot in words, for those who do not see it."""
        return self.plot.description


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `missing` marks one about data that the run does not have."""

    text: str
    missing: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class PostExample:
    """A synthetic post and the answer about it. `parts` is the post's text in pieces, each with whether it is evidence.

    Posts of people are never put on a page.
    """

    caption: str
    parts: tuple[tuple[str, bool], ...]
    facts: tuple[tuple[str, str], ...]
    kind: Literal["post"] = "post"


@dataclass(frozen=True)
class BlockGroup:
    """Blocks shown side by side where the page is wide enough, collapsed under `collapsed_title` if it is set."""

    blocks: tuple[TableBlock | FigureBlock, ...]
    collapsed_title: str | None = None
    kind: Literal["group"] = "group"


Block = TableBlock | FigureBlock | Paragraph | PostExample | BlockGroup


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
    text = EMPTY_CELL if value is None else format_number(value, digits)
    return Cell(text, is_number=True, heat=heat, value=value)


def signed_cell(value: float | None, digits: int = 2) -> Cell:
    """A difference with its sign; a dash for None."""
    text = EMPTY_CELL if value is None else format_number(value, digits, sign=True)
    return Cell(text, is_number=True, value=value)


def p_value_cell(value: float | None) -> Cell:
    """A p-value with three decimals, as "<0.001" below; a dash for None.

    >>> p_value_cell(0.0004).text, p_value_cell(0.25).text
    ('<0.001', '0.250')
    """
    text = EMPTY_CELL if value is None else "<0.001" if value < 0.0005 else f"{value:.3f}"
    return Cell(text, is_number=True, value=value)


def count_cell(value: int | None, heat: float | None = None) -> Cell:
    """An integer with thousands separators; a dash for None."""
    return Cell(EMPTY_CELL if value is None else f"{value:,}", is_number=True, heat=heat, value=value)


def interval_cell(ends: tuple[float, float] | None, digits: int = 1, sign: bool = False) -> Cell:
    """An interval with fixed decimals, `sign` also for positive ends; a dash for None."""
    text = EMPTY_CELL if ends is None else format_interval(ends, digits, sign)
    return Cell(text, is_number=True, value=ends)


def format_number(value: float, digits: int, sign: bool = False) -> str:
    """A number with fixed decimals and a true minus; no sign before what is rounded to 0.

    >>> format_number(-0.25, 1, sign=True), format_number(0.001, 2, sign=True)
    ('−0.2', '0.00')
    """
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return (text.replace("-", "−") if float(text) else text.lstrip("+-")).strip()


def format_interval(ends: tuple[float, float], digits: int = 1, sign: bool = False) -> str:
    """The two ends of an interval; with signs "to" stands between them, as a dash would look like one.

    >>> format_interval((40.04, 90.8)), format_interval((-1.25, 3), sign=True)
    ('40.0–90.8', '−1.2 to +3.0')
    """
    low, high = (format_number(end, digits, sign) for end in ends)
    return f"{low} to {high}" if sign else f"{low}–{high}"


def named_row(
    name: str, cells: Iterable[Cell], *, highlighted: bool = False, is_subrow: bool = False
) -> PageRow:
    """A row that begins with its name."""
    return PageRow((header_cell(name), *cells), highlighted=highlighted, is_subrow=is_subrow)


def key_value_table(
    caption: str, header: tuple[str, str], values: Iterable[tuple[str, str]], name: str = ""
) -> TableBlock:
    """A table of names and values."""
    rows = tuple(named_row(key, [Cell(value)]) for key, value in values)
    return TableBlock(caption, header, rows, name=name)


def missing_note(text: str) -> tuple[Paragraph]:
    """The single block of a section whose data the run does not have."""
    return (Paragraph(text, missing=True),)


def heat_table(  # noqa: PLR0913
    caption: str,
    corner_label: str,
    names: Sequence[str],
    columns: Sequence[str],
    counts: Sequence[Sequence[int]],
    *,
    row_totals: Sequence[int],
    name: str = "",
) -> TableBlock:
    """A matrix of counts; each cell is shaded by its share of the row's total."""
    rows = [
        named_row(row, (count_cell(count, count / total if total else None) for count in line))
        for row, line, total in zip(names, counts, row_totals, strict=True)
    ]
    is_wide = len(columns) > 4 or max(map(len, columns), default=0) > MAX_HEADER_LETTERS
    return TableBlock(caption, (corner_label, *columns), tuple(rows), vertical_headers=is_wide, name=name)


def with_best(cells: Sequence[Cell], direction: int = 1) -> list[Cell]:
    """The cells with the best number marked, as far as it is shown; none if all are zero or there are fewer than two.

    `direction` says which is better: 1 the highest, -1 the lowest, 0 neither.
    """
    values = [float(cell.value) for cell in cells if isinstance(cell.value, (int, float))]
    if len(values) < 2 or not direction or not any(values):
        return list(cells)
    best = max(values, key=lambda value: direction * value)
    shown = {cell.text for cell in cells if cell.value == best}
    return [replace(cell, is_best=cell.text in shown) for cell in cells]

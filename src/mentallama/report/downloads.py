"""Tables as CSV and LaTeX and figures as SVG, PDF and PNG, in `files/` beside the page. The same page gives the same
bytes."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    FigureBlock,
    Page,
    PageRow,
    TableBlock,
    Value,
)
from mentallama.run_files import REPORT_FILES_FOLDER
from mentallama.safety import NOTICE

MAX_LINE_LETTERS = 40
"""Longest text of a column that LaTeX does not wrap, in letters."""

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "→": r"$\rightarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    **{character: f"{{{character}}}" for character in "[]*"},  # which mean something after the end of a row
    **{character: f"\\{character}" for character in "#$%&_"},
}


def with_file_names(page: Page) -> Page:
    """The page, each of whose tables and figures knows the name of its files: the section's id and its own name."""
    used: Counter[str] = Counter()

    def named(block: Block, prefix: str) -> Block:
        if isinstance(block, BlockGroup):
            return replace(block, blocks=tuple(named_part(part, prefix) for part in block.blocks))
        return named_part(block, prefix) if isinstance(block, (TableBlock, FigureBlock)) else block

    def named_part(block: TableBlock | FigureBlock, prefix: str) -> TableBlock | FigureBlock:
        stem = "-".join(filter(None, (prefix, re.sub(r"[^\w-]+", "-", block.name).strip("-").lower())))
        used[stem] += 1
        file = stem if used[stem] == 1 else f"{stem}-{used[stem]}"
        if isinstance(block, FigureBlock) and block.data is not None:
            block = replace(block, data=replace(block.data, file=f"{file}-data"))
        return replace(block, file=file)

    sections = (
        replace(section, blocks=tuple(named(block, section.id) for block in section.blocks))
        for section in page.sections
    )
    return replace(page, sections=tuple(sections))


def download_files(page: Page) -> Iterator[tuple[str, bytes]]:
    """Yield the files of all tables and figures, by their paths beside the page."""
    for section in page.sections:
        for block in _tables_and_figures(section.blocks):
            stem = f"{REPORT_FILES_FOLDER}/{block.file}"
            if isinstance(block, TableBlock):
                yield f"{stem}.csv", csv_text(block).encode()
                yield f"{stem}.tex", latex_text(block).encode()
            else:
                yield from ((f"{stem}.{suffix}", content) for suffix, content in block.plot.images())


def _tables_and_figures(blocks: tuple[Block, ...]) -> Iterator[TableBlock | FigureBlock]:
    for block in blocks:
        if isinstance(block, BlockGroup):
            yield from _tables_and_figures(block.blocks)
        elif isinstance(block, (TableBlock, FigureBlock)):
            yield block
            if isinstance(block, FigureBlock) and block.data is not None:
                yield block.data


def csv_text(table: TableBlock) -> str:
    """A table as CSV with unrounded numbers; a missing value is empty, an interval is two columns."""
    contents = [[cell.content for cell in row.cells] for row in table.rows]
    is_interval = [
        any(isinstance(line[column], tuple) for line in contents) for column in range(len(table.header))
    ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = zip(table.header, is_interval, strict=True)
    writer.writerow(
        part for name, wide in names for part in ((f"{name} low", f"{name} high") if wide else (name,))
    )
    parent = ""
    for row, line in zip(table.rows, contents, strict=True):
        if row.is_subrow:
            line[0] = f"{parent}, {line[0]}"
        else:
            parent = str(line[0])
        writer.writerow(
            part
            for value, wide in zip(line, is_interval, strict=True)
            for part in (_ends(value) if wide else (value,))
        )
    return buffer.getvalue()


def _ends(value: Value) -> tuple[Value, Value]:
    return value if isinstance(value, tuple) else (None, None)


def latex_text(table: TableBlock) -> str:
    """A table in LaTeX, for `\\input`; it needs the package booktabs."""
    lines = [
        f"% {NOTICE}",
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(table.caption)}}}",
        rf"  \label{{tab:{table.file}}}",
        rf"  \begin{{tabular}}{{{''.join(_column_type(table, column) for column in range(len(table.header)))}}}",
        r"    \toprule",
        f"    {' & '.join(map(escape_latex, table.header))} \\\\",
        r"    \midrule",
        *(f"    {_latex_row(row)} \\\\" for row in table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _column_type(table: TableBlock, column: int) -> str:
    if table.is_number_column(column):
        return "r"
    longest = max((len(row.cells[column].text) for row in table.rows), default=0)
    return "p{0.35\\linewidth}" if longest > MAX_LINE_LETTERS else "l"


def _latex_row(row: PageRow) -> str:
    cells = [_latex_cell(cell, row.highlighted or cell.is_best) for cell in row.cells]
    return " & ".join([rf"\quad {cells[0]}" if row.is_subrow else cells[0], *cells[1:]])


def _latex_cell(cell: Cell, is_bold: bool) -> str:
    text = escape_latex(cell.text)
    return rf"\textbf{{{text}}}" if is_bold and text else text


def escape_latex(text: str) -> str:
    r"""Text as LaTeX shows it.

    >>> escape_latex("50 % of A_B & C")
    '50 \\% of A\\_B \\& C'
    """
    return "".join(_LATEX_SPECIAL.get(character, character) for character in " ".join(text.split()))

"""The paper's Table 2 with our row below: weighted F1 of every set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from mentallama.records import Record

if TYPE_CHECKING:
    from rich.table import Table

NO_VALUE = "–"
"""Stands where there is no number."""


class ModelScores(Record):
    """One model's weighted F1, in percent, by set; sets without a number are left out."""

    name: str
    weighted_f1: dict[str, float]


class PaperResults(Record):
    """The paper's numbers, from `published.yaml`."""

    source: str
    columns: dict[str, str]
    """Set -> the column's title, in the paper's order."""
    highlighted_model: str
    test: tuple[ModelScores, ...]
    held_out: tuple[ModelScores, ...]

    def highlighted(self, held_out: bool = False) -> ModelScores:
        """The line that plots show beside ours."""
        return next(
            line for line in (self.held_out if held_out else self.test) if line.name == self.highlighted_model
        )


@cache
def load_paper_results() -> PaperResults:
    """Read the paper's numbers."""
    text = (files("mentallama.evaluate") / "paper_results.yaml").read_text(encoding="utf-8")
    return PaperResults.model_validate(yaml.safe_load(text))


def comparison_rows(ours: Sequence[ModelScores], held_out: bool = False) -> tuple[list[str], list[list[str]]]:
    """Table 2 as text: the header, then the published lines, then ours.

    Sets that the paper does not have follow its columns.
    """
    paper = load_paper_results()
    lines = [*(paper.held_out if held_out else paper.test), *ours]
    sets = list(dict.fromkeys([*paper.columns, *(name for line in ours for name in line.weighted_f1)]))
    if held_out:
        sets = [name for name in sets if any(name in line.weighted_f1 for line in lines)]
    header = ["", *(paper.columns.get(name, name) for name in sets)]
    return header, [
        [line.name, *(format_percent(line.weighted_f1.get(name)) for name in sets)] for line in lines
    ]


def format_percent(value: float | None) -> str:
    """A percentage as the paper prints it.

    >>> two_digits(85.679), two_digits(None)
    ('85.68', '–')
    """
    return NO_VALUE if value is None else f"{value:.2f}"


def table2(ours: Mapping[str, float], name: str = "this run") -> Table:
    """Table 2 for the terminal, ours in the last row."""
    from rich.table import Table

    header, rows = comparison_rows([ModelScores(name=name, weighted_f1=dict(ours))])
    table = Table(title="Weighted F1, test", caption=load_paper_results().source)
    for column in header:
        table.add_column(column, justify="left" if column == "" else "right")
    for row in rows:
        table.add_row(*row, style="bold" if row is rows[-1] else None)
    return table

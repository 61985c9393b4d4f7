"""Section on the parts of answers: each label, type of quotation or item of a scale, and its confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mentallama.errors import counted
from mentallama.evaluate.kinds.part_counts import NOT_FILLED_LEVEL
from mentallama.evaluate.kinds.part_table import PART_NAMES, PartColumn, part_columns
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import PartScore, Scores
from mentallama.report.page_model import (
    BlockGroup,
    Cell,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    heat_table,
    named_row,
    number_cell,
)
from mentallama.report.run_artifacts import RunArtifacts


def parts_section(artifacts: RunArtifacts) -> Section | None:
    """Scores of each part, where answers have several."""
    scores = artifacts.scores
    tables = () if scores is None else tuple(_part_tables(artifacts, scores))
    if not tables:
        return None
    lead = "An answer of several parts is taken apart here: a line for each label, type of quotation or item."
    return Section("parts", "Scores by label, type and item", (Paragraph(lead), *tables))


_ITEM_UNITS = "kappa and Spearman’s correlation up to 1, errors in numbers of levels"


def _part_tables(artifacts: RunArtifacts, scores: ScoreFile) -> Iterator[TableBlock]:
    for name, one in scores.sets.items():
        if one.parts:
            columns, part_name = part_columns(one.kind), PART_NAMES[one.kind]
            rows = tuple(
                named_row(part, [_part_cell(column, one, part) for column in columns]) for part in one.parts
            )
            header = (part_name, *(column.title for column in columns))
            units = _ITEM_UNITS if one.kind == "scale" else "shares in percent"
            caption = f"{artifacts.set_name(name)}, by {part_name}; {units}."
            yield TableBlock(caption, header, rows, name=f"parts-{name}")


def _part_cell(column: PartColumn, scores: Scores, part: str) -> Cell:
    value = column.value(scores, part)
    return count_cell(value) if isinstance(value, int) else number_cell(value, column.digits)


def part_confusions(artifacts: RunArtifacts, scores: ScoreFile) -> Iterator[BlockGroup]:
    """For each set whose answers have several parts, a confusion matrix of each."""
    for name, one in scores.sets.items():
        if one.parts:
            part_name = PART_NAMES[one.kind]
            tables = tuple(
                replace(_part_confusion(part, score, part_name), name=f"part-{name}-{part}")
                for part, score in one.parts.items()
            )
            title = f"{artifacts.set_name(name)}, by {part_name}: {counted(len(tables), 'table')}"
            yield BlockGroup(tables, collapsed_title=title)


def _part_confusion(name: str, part: PartScore, part_name: str) -> TableBlock:
    """Gold levels by predicted levels and outcomes; outcomes and open items that do not occur are left out."""
    lines = part.confusion
    levels = [level for level in lines if level != NOT_FILLED_LEVEL]
    others = [column for column in next(iter(lines.values())) if column not in levels]
    columns = [*levels, *(column for column in others if any(line[column] for line in lines.values()))]
    gold = [level for level in lines if level in levels or any(lines[level].values())]
    counts = [[lines[level][column] for column in columns] for level in gold]
    totals = [sum(line) for line in counts]
    caption = f"{part_name.capitalize()}: {name}, {sum(totals):,} rows"
    return heat_table(caption, "level", gold, columns, counts, row_totals=totals)

"""Section on the scores of explanations: a line for every metric, and a table for each metric by set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mentallama.errors import counted
from mentallama.explanation_metrics.base import ScoreColumn
from mentallama.explanation_metrics.registry import EXPLANATION_METRICS
from mentallama.explanation_metrics.scoring import SetExplanationScores
from mentallama.report.comparison.comparison import Comparison
from mentallama.report.comparison.row_groups import RowGroup
from mentallama.report.comparison.score_sections import SystemNumber, system_table
from mentallama.report.comparison.systems import ScoredSystem
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    interval_cell,
    named_row,
    number_cell,
)


@dataclass(frozen=True)
class MetricFamily:
    """The columns of one explanation metric, computed with one model; `model` is "" where it needs none."""

    metric: str
    model: str
    columns: tuple[ScoreColumn, ...]

    @property
    def title(self) -> str:
        return f"{self.metric} ({self.model})" if self.model else self.metric


def explanation_scores_section(comparison: Comparison) -> Section | None:
    """Scores of explanations by the metrics that any system was scored with; None if none was."""
    lines = [group for synthetic in (False, True) for group in comparison.lines(synthetic=synthetic)]
    families = _families(comparison)
    if not families:
        return None
    blocks: list[Block] = [
        Paragraph(
            "Means over the answers that have an explanation; refused and empty ones are counted and never scored. "
            "A metric is compared only where it was computed with the same model."
        ),
        _absence_table(comparison, lines),
    ]
    for family in families:
        blocks += _family_blocks(comparison, lines, family)
    return Section("explanations", "Scores of explanations", tuple(blocks))


def _families(comparison: Comparison) -> list[MetricFamily]:
    """Metrics in the order of their table, each once for every model that it was computed with."""
    models: dict[str, dict[str, None]] = {name: {} for name in EXPLANATION_METRICS}
    for system in comparison.systems:
        for name, kind in EXPLANATION_METRICS.items():
            if any(
                column.name in part.columns
                for part in (system.scores.explanation_metrics or {}).values()
                for column in kind.columns
            ):
                models[name][system.scores.metric_names.get(name, "")] = None
    return [
        MetricFamily(name, model, EXPLANATION_METRICS[name].columns)
        for name, of_metric in models.items()
        for model in of_metric
    ]


def explanation_scores(system: ScoredSystem, set_name: str) -> SetExplanationScores | None:
    """The scores of the explanations of a set; None if they were not scored."""
    return (system.scores.explanation_metrics or {}).get(set_name)


def _scores_of(system: ScoredSystem, set_name: str, family: MetricFamily) -> SetExplanationScores | None:
    """The scores of a set, if this system's were computed with the family's model."""
    same_model = system.scores.metric_names.get(family.metric, "") == family.model
    return explanation_scores(system, set_name) if same_model else None


def _absence_table(comparison: Comparison, lines: Sequence[RowGroup]) -> TableBlock:
    rows = []
    for group in lines:
        for system in group.systems:
            part = explanation_scores(system, group.set)
            if part is not None:
                absent = [count_cell(part.absent.get(reason, 0)) for reason in ("refused", "empty")]
                cells = [Cell(system.name), count_cell(part.rows), *absent]
                rows.append(named_row(comparison.set_name(group.set), cells))
    header = ("set", "system", "answers", "refused", "empty")
    return TableBlock(
        "Answers, and those of them without an explanation.", header, tuple(rows), name="absent"
    )


def _family_blocks(
    comparison: Comparison, lines: Sequence[RowGroup], family: MetricFamily
) -> Iterator[Block]:
    """The first column of a metric by set and system, and all of them with intervals."""
    main = family.columns[0]

    def value(system: ScoredSystem, set_name: str) -> float | None:
        part = _scores_of(system, set_name, family)
        column = None if part is None else part.columns.get(main.name)
        return None if column is None else column.mean

    caption = f"{family.title}: {EXPLANATION_METRICS[family.metric].help}; {main.title}, mean."
    number = SystemNumber(caption, value, family.metric, main.digits, main.direction)
    table = system_table(comparison, lines, number)
    if table is not None:
        yield table
    rows = tuple(_family_rows(comparison, lines, family))
    header = ("set", "system", *(part for column in family.columns for part in (column.title, "95 %", "n")))
    names = ", ".join(column.title for column in family.columns)
    full = TableBlock(f"{family.title}: {names}.", header, rows, name=f"{family.metric}-all")
    yield BlockGroup(
        (full,),
        collapsed_title=f"{family.title}: all columns with their intervals, {counted(len(rows), 'line')}",
    )


def _family_rows(
    comparison: Comparison, lines: Sequence[RowGroup], family: MetricFamily
) -> Iterator[PageRow]:
    for group in lines:
        for system in group.systems:
            part = _scores_of(system, group.set, family)
            if part is None:
                continue
            cells = [Cell(system.name)]
            for column in family.columns:
                score = part.columns.get(column.name)
                cells += [
                    number_cell(None if score is None else score.mean, column.digits),
                    interval_cell(None if score is None else score.interval, column.digits),
                    count_cell(None if score is None else score.n),
                ]
            yield named_row(comparison.set_name(group.set), cells)

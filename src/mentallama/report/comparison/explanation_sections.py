"""Section on the scores of explanations: means over the sets of a leaderboard, and a table for each metric by set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from mentallama.errors import counted
from mentallama.explanation_metrics.llm_judge.rubric import JUDGE_METRIC
from mentallama.report.comparison.comparison import Comparison, Leaderboard
from mentallama.report.comparison.row_groups import RowGroup
from mentallama.report.comparison.score_sections import SystemNumber, line_name, score_panel, system_table
from mentallama.report.comparison.systems import ScoredSystem
from mentallama.report.explanation_tables import (
    ABSENCE_HEADER,
    RIGHT_REASON,
    RIGHT_REASON_HEADER,
    RIGHT_REASON_NOTE,
    MetricFamily,
    absence_cells,
    metric_families,
    right_reason_cells,
    right_reasons,
)
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    named_row,
    number_cell,
    with_best,
)
from mentallama.report.plots import PanelRow


def explanation_scores_section(comparison: Comparison) -> Section | None:
    """Scores of explanations by the metrics that any system was scored with; None if none was."""
    lines = [group for synthetic in (False, True) for group in comparison.lines(synthetic=synthetic)]
    families = metric_families(system.scores for system in comparison.systems)
    if not families:
        return None
    blocks: list[Block] = [
        Paragraph(
            "Means over the answers that have an explanation; refused and empty ones are counted and never scored. "
            "A metric is compared only where it was computed with the same model."
        ),
        *_right_reason_blocks(comparison, lines),
        *(_mean_table(comparison, board, families) for board in comparison.leaderboards),
    ]
    for family in families:
        blocks += _family_blocks(comparison, lines, family)
    blocks.append(_absence_group(comparison, lines))
    return Section("explanations", "Scores of explanations", tuple(blocks))


def _right_reason_blocks(comparison: Comparison, lines: Sequence[RowGroup]) -> Iterator[Block]:
    """The share of right labels for right reasons by set and system, with its parts and a panel for each set."""
    scores = {system.name: right_reasons(system.scores) for system in comparison.systems}

    def share(system: ScoredSystem, set_name: str) -> float | None:
        score = scores[system.name].get(set_name)
        return None if score is None else score.share

    caption = f"{RIGHT_REASON.capitalize()}: share of all answers, in percent."
    table = system_table(comparison, lines, SystemNumber(caption, share, "right-reason", 1))
    if table is None:
        return
    yield Paragraph(RIGHT_REASON_NOTE)
    yield table
    panels = []
    for group in lines:
        rows = [
            PanelRow(system.name, score.share, score.interval)
            for system in group.systems
            if (score := scores[system.name].get(group.set)) is not None and score.share is not None
        ]
        if len(rows) > 1:
            title = line_name(comparison, group)
            panels.append(score_panel("right-reason", title, rows, "right for a right reason, percent"))
    if panels:
        yield BlockGroup(tuple(panels))
    parts = tuple(
        named_row(comparison.set_name(group.set), [Cell(system.name), *right_reason_cells(score)])
        for group in lines
        for system in group.systems
        if (score := scores[system.name].get(group.set)) is not None
    )
    header = ("set", "system", *RIGHT_REASON_HEADER)
    full = TableBlock("From right labels to right reasons.", header, parts, name="right-reason-all")
    yield BlockGroup(
        (full,), collapsed_title=f"From right labels to right reasons, {counted(len(parts), 'line')}"
    )


def _mean_table(comparison: Comparison, board: Leaderboard, families: Sequence[MetricFamily]) -> TableBlock:
    """A line for every column of every metric, and a column for every system of a leaderboard."""
    rows = []
    for family in families:
        for column in family.columns:
            values = [_mean_over_sets(system, board.sets, family, column.name) for system in board.systems]
            if any(value is not None for value in values):
                cells = with_best([number_cell(value, column.digits) for value in values], column.direction)
                rows.append(named_row(column.title, [Cell(family.title), *cells]))
    header = ("score", "metric", *(system.name for system in board.systems))
    listed = ", ".join(map(comparison.set_name, board.sets))
    caption = (
        f"Unweighted means over {counted(len(board.sets), 'set')} ({listed}); a system without a score of one of them "
        "has no mean. The best value is bold."
    )
    return TableBlock(caption, header, tuple(rows), name="means")


def _mean_over_sets(
    system: ScoredSystem, sets: Sequence[str], family: MetricFamily, column: str
) -> float | None:
    parts = [family.scores(system.scores, name) for name in sets]
    values = [part.columns[column].mean for part in parts if part is not None and column in part.columns]
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(sets) else None


def _family_blocks(
    comparison: Comparison, lines: Sequence[RowGroup], family: MetricFamily
) -> Iterator[Block]:
    """The first column of a metric by set and system, and all of them with intervals."""
    main = family.columns[0]

    def value(system: ScoredSystem, set_name: str) -> float | None:
        part = family.scores(system.scores, set_name)
        column = None if part is None else part.columns.get(main.name)
        return None if column is None else column.mean

    number = SystemNumber(
        f"{main.title}, mean. {family.caption}", value, family.metric, main.digits, main.direction
    )
    table = system_table(comparison, lines, number)
    if table is None:
        return
    yield table
    yield from _judge_notes(comparison, family)
    rows = tuple(
        named_row(comparison.set_name(group.set), [Cell(system.name), *family.cells(part)])
        for group in lines
        for system in group.systems
        if (part := family.scores(system.scores, group.set)) is not None
    )
    full = TableBlock(family.caption, ("set", "system", *family.header), rows, name=f"{family.metric}-all")
    names = ", ".join(column.title for column in family.columns)
    yield BlockGroup(
        (full,),
        collapsed_title=f"{family.title}: {names} with their intervals, {counted(len(rows), 'line')}",
    )


def _judge_notes(comparison: Comparison, family: MetricFamily) -> Iterator[Paragraph]:
    """How far an LLM judge agrees with people, each sentence with the systems that it holds for."""
    systems: dict[str, list[str]] = {}
    for system in comparison.systems if family.metric == JUDGE_METRIC else ():
        judge = system.scores.judge
        if judge is not None and system.scores.metric_names.get(JUDGE_METRIC) == family.model:
            systems.setdefault(judge.agreement_note, []).append(system.name)
    for note, names in systems.items():
        yield Paragraph(f"{family.model}, asked about {', '.join(names)}: {note}.")


def _absence_group(comparison: Comparison, lines: Sequence[RowGroup]) -> BlockGroup:
    rows: list[PageRow] = [
        named_row(comparison.set_name(group.set), [Cell(system.name), *absence_cells(part)])
        for group in lines
        for system in group.systems
        if (part := (system.scores.explanation_metrics or {}).get(group.set)) is not None
    ]
    caption = "Answers without an explanation, and explanations that metrics could not score."
    table = TableBlock(caption, ("set", "system", *ABSENCE_HEADER), tuple(rows), name="absent")
    return BlockGroup(
        (table,), collapsed_title=f"Explanations that were not scored, {counted(len(rows), 'line')}"
    )

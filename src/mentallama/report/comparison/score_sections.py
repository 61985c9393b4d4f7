"""Sections on label scores: leaderboards, a line for every set and selection of rows, a panel for each, outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mentallama.errors import counted
from mentallama.evaluate.kinds.part_table import KIND_TITLES
from mentallama.evaluate.published.paper_results import load_paper_results
from mentallama.evaluate.scores import NO_LABEL_STATUSES, Scores
from mentallama.metrics.registry import KIND_METRICS, KindMetric, own_metrics
from mentallama.report.comparability import reasons_against_paper
from mentallama.report.comparison.comparison import Comparison, Leaderboard, mean_over_sets
from mentallama.report.comparison.row_groups import RowGroup, reasons_apart
from mentallama.report.comparison.systems import ScoredSystem
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    FigureBlock,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    format_number,
    interval_cell,
    named_row,
    number_cell,
    with_best,
)
from mentallama.report.plots import PanelRow, panel_plot
from mentallama.report.sections.results import NOT_COMPARABLE
from mentallama.tasks.answer_kinds import AnswerKind

POSTS = {False: "posts of people", True: "synthetic posts"}
"""The posts that sets are scored on: scores on synthetic ones never stand beside the others, nor the paper's."""

FLOOR = "most frequent label"
"""Title of the scores of the most frequent training label; not its short name, which a system may have as well."""


@dataclass(frozen=True)
class SystemNumber:
    """A number that systems have on a set, and how tables show it.

    `value` is of a system and the name of a set; None where it has none. `direction` says which values are better: 1
    higher, -1 lower, 0 neither.
    """

    caption: str
    value: Callable[[ScoredSystem, str], float | None]
    name: str = ""
    digits: int = 2
    direction: int = 1


def scores_section(comparison: Comparison) -> Section | None:
    """Scores on posts of people, beside the paper's."""
    return _score_section(comparison, synthetic=False)


def synthetic_section(comparison: Comparison) -> Section | None:
    """Scores on synthetic posts."""
    return _score_section(comparison, synthetic=True)


def _score_section(comparison: Comparison, *, synthetic: bool) -> Section | None:
    lines = comparison.lines(synthetic=synthetic)
    if not lines:
        return None
    blocks: list[Block] = []
    if synthetic:
        text = (
            "The test posts were written for this project: the scores show that the pipeline works and say nothing "
            "about posts of people."
        )
        blocks.append(Paragraph(text))
    boards = [board for board in comparison.leaderboards if board.is_synthetic is synthetic]
    blocks += [_leaderboard_table(comparison, board) for board in boards]
    blocks.append(_score_table(comparison, lines, synthetic))
    blocks += _panels(comparison, lines)
    blocks += _other_metrics(comparison, lines)
    blocks.append(_all_scores(comparison, lines, synthetic))
    anchor = "synthetic" if synthetic else "scores"
    return Section(anchor, f"Scores on {POSTS[synthetic]}", tuple(blocks))


def _leaderboard_table(comparison: Comparison, board: Leaderboard) -> TableBlock:
    """Unweighted means over the sets of a leaderboard."""
    rows = []
    for system in board.systems:
        f1 = mean_over_sets(system, board.sets)
        rank = 1 + sum(mean_over_sets(other, board.sets) > f1 for other in board.systems)
        scores = [system.scores.sets[name] for name in board.sets]
        rows.append(
            named_row(
                system.name,
                [
                    count_cell(rank),
                    number_cell(f1),
                    number_cell(mean_over_sets(system, board.sets, "macro_f1")),
                    number_cell(mean_over_sets(system, board.sets, "accuracy")),
                    number_cell(_mean_high_risk(scores)),
                    number_cell(_share_without_label(scores)),
                ],
            )
        )
    header = (
        "system",
        "rank",
        "weighted F1",
        "macro F1",
        "accuracy",
        "recall of high-risk labels, %",
        "without a label, %",
    )
    listed = ", ".join(map(comparison.set_name, board.sets))
    total = sum(board.systems[0].scores.sets[name].n for name in board.sets)
    caption = (
        f"Leaderboard: unweighted means over {counted(len(board.sets), 'set')} ({listed}), on the same "
        f"{counted(total, 'row')} for all systems in it."
    )
    return TableBlock(caption, header, tuple(rows), name="leaderboard")


def _mean_high_risk(scores: Sequence[Scores]) -> float | None:
    recalls = [
        part.high_risk.recall
        for part in scores
        if part.high_risk is not None and part.high_risk.recall is not None
    ]
    return sum(recalls) / len(recalls) if recalls else None


def _share_without_label(scores: Sequence[Scores]) -> float | None:
    total = sum(part.n for part in scores)
    return 100 * sum(part.n - part.parsed for part in scores) / total if total else None


def system_table(
    comparison: Comparison, lines: Sequence[RowGroup], number: SystemNumber
) -> TableBlock | None:
    """A line for every set and selection of rows, a column for every system; None if no system has a value.

    The best of several values in a line is marked.
    """
    header = ("set", "rows", *(system.name for system in comparison.systems))
    rows = []
    for group in lines:
        values = [number.value(one, group.set) if one in group else None for one in comparison.systems]
        if any(value is not None for value in values):
            cells = with_best([number_cell(value, number.digits) for value in values], number.direction)
            rows.append(named_row(comparison.set_name(group.set), [count_cell(group.n), *cells]))
    return TableBlock(number.caption, header, tuple(rows), name=number.name) if rows else None


def _score_table(comparison: Comparison, lines: Sequence[RowGroup], synthetic: bool) -> TableBlock:
    """Weighted F1; on posts of people with the paper's best model of this kind, and why it cannot be compared."""
    caption = (
        f"Weighted F1 on {POSTS[synthetic]}, in percent. Systems in one line were scored on the same rows; the highest "
        f"value is bold. {FLOOR.capitalize()}: the score of always giving the most frequent label of the "
        "training rows; empty where no system has training rows of the set, or the systems' floors differ."
    )
    weighted_f1 = SystemNumber(caption, lambda system, name: system.scores.sets[name].weighted_f1)
    table = system_table(comparison, lines, weighted_f1)
    assert table is not None, "every line has a score"
    model = load_paper_results().highlighted()
    paper = () if synthetic else ("published rows", f"{model.name}, published", NOT_COMPARABLE)
    rows = tuple(
        PageRow(
            (
                *row.cells,
                number_cell(floor_of(group)),
                *(() if synthetic else _paper_cells(group, model.weighted_f1.get(group.set))),
            )
        )
        for row, group in zip(table.rows, lines, strict=True)
    )
    return TableBlock(table.caption, (*table.header, FLOOR, *paper), rows)


def floor_of(group: RowGroup) -> float | None:
    """Weighted F1 of the most frequent training label on the rows of a line; None if no system knows it, or two differ.

    Systems whose training rows differ may answer with different labels.
    """
    floors = {
        system.scores.majority[group.set] for system in group.systems if group.set in system.scores.majority
    }
    return floors.pop() if len(floors) == 1 else None


def _paper_cells(group: RowGroup, published: float | None) -> list[Cell]:
    first = group.systems[0].artifacts
    reasons = dict.fromkeys(
        ", ".join(reasons_against_paper(system.artifacts, group.set)) for system in group.systems
    )
    listed = "; ".join(f"with the paper: {reason}" for reason in reasons if reason)
    return [count_cell(first.published_test_rows(group.set)), number_cell(published), Cell(listed)]


def _panels(comparison: Comparison, lines: Sequence[RowGroup]) -> Iterator[Block]:
    compared = [group for group in lines if len(group.systems) > 1]
    panels = []
    for group in compared:
        rows = [
            PanelRow(system.name, scores.weighted_f1, scores.weighted_f1_interval)
            for system in group.systems
            for scores in (system.scores.sets[group.set],)
        ]
        title = line_name(comparison, group)
        panels.append(score_panel("scores", title, rows, "weighted F1, percent", reference=floor_of(group)))
    if panels:
        yield BlockGroup(tuple(panels))
        yield Paragraph(
            "Weighted F1 with 95 % interval, a panel for each set; the dotted line is the most frequent training "
            "label. The table above has the numbers."
        )


def line_name(comparison: Comparison, group: RowGroup) -> str:
    """The set and its number of rows."""
    return f"{comparison.set_name(group.set)}, {counted(group.n, 'row')}"


def score_panel(
    name: str,
    title: str,
    rows: Sequence[PanelRow],
    x_label: str,
    *,
    limits: tuple[float, float] = (0, 100),
    reference: float | None = None,
) -> FigureBlock:
    """One panel of several, described in words."""
    values = ", ".join(f"{row.name} {format_number(row.value, 1)}" for row in rows)
    description = f"{title}: {x_label}. {values}."
    plot = panel_plot(
        f"{name}-{title}", title, rows, x_label, description, limits=limits, reference=reference
    )
    return FigureBlock("", plot, size="panel", name=f"{name}-{title}")


def _other_metrics(comparison: Comparison, lines: Sequence[RowGroup]) -> Iterator[Block]:
    def high_risk(system: ScoredSystem, name: str) -> float | None:
        score = system.scores.sets[name].high_risk
        return None if score is None else score.recall

    numbers = (
        SystemNumber(
            "Macro F1, in percent.", lambda system, name: system.scores.sets[name].macro_f1, "macro"
        ),
        SystemNumber("Recall of the high-risk label, in percent.", high_risk, "high-risk"),
    )
    yield from (table for one in numbers if (table := system_table(comparison, lines, one)) is not None)
    for kind in KIND_METRICS:
        of_kind = [group for group in lines if group.kind == kind]
        for metric in own_metrics(kind):
            table = system_table(comparison, of_kind, _kind_number(kind, metric))
            yield from [] if table is None else [table]


def _kind_number(kind: AnswerKind, metric: KindMetric) -> SystemNumber:
    caption = f"{metric.title[0].upper()}{metric.title[1:]}, of sets whose answer is {KIND_TITLES[kind]}."
    return SystemNumber(
        caption,
        lambda system, name: system.scores.sets[name].metrics.get(metric.name),
        metric.name.replace("_", "-"),
        metric.digits,
        metric.direction,
    )


def _all_scores(comparison: Comparison, lines: Sequence[RowGroup], synthetic: bool) -> BlockGroup:
    """A row for every set and system, each with its own rows."""
    rows = tuple(
        named_row(
            comparison.set_name(group.set),
            [
                Cell(system.name),
                count_cell(scores.n),
                number_cell(scores.weighted_f1),
                interval_cell(scores.weighted_f1_interval),
                number_cell(scores.accuracy),
                number_cell(scores.macro_f1),
                number_cell(None if scores.calibration is None else scores.calibration.ece, 3),
            ],
        )
        for group in lines
        for system in group.systems
        for scores in (system.scores.sets[group.set],)
    )
    header = ("set", "system", "rows", "weighted F1", "95 %", "accuracy", "macro F1", "calibration error")
    table = TableBlock(f"All scores on {POSTS[synthetic]}.", header, rows, name="all")
    return BlockGroup(
        (table,), collapsed_title=f"All scores with their intervals, {counted(len(rows), 'line')}"
    )


def rows_section(comparison: Comparison) -> Section | None:
    """Which systems were not scored on the same rows of a set, and how many rows they share."""
    apart = tuple(
        named_row(
            comparison.set_name(name),
            [Cell(", ".join(first.names)), Cell(", ".join(second.names)), Cell(reason)],
        )
        for name, groups in comparison.groups.items()
        for first, second, reason in reasons_apart(groups)
    )
    absent = [
        f"{system.name} has no score of {', '.join(map(comparison.set_name, missing))}."
        for system in comparison.systems
        if (missing := [name for name in comparison.groups if name not in system.scores.sets])
    ]
    if not (apart or absent or comparison.shared_only):
        return None
    lead = "Systems are compared only on the same rows with the same labels."
    if comparison.shared_only:
        lead += " Every set is scored on the rows that all systems with the set share (--shared-rows)."
    elif apart:
        lead += " Where they share some rows of a set, --shared-rows compares them on those alone."
    blocks: list[Block] = [Paragraph(text) for text in (lead, *comparison.left_out, *absent)]
    if apart:
        header = ("set", "systems", "with", NOT_COMPARABLE)
        blocks.append(TableBlock("Systems that are not compared on a set.", header, apart))
    return Section("rows", "Rows that systems share", tuple(blocks))


def outcomes_section(comparison: Comparison) -> Section:
    """Answers without a label, by system and by the label of the data set."""
    rows = tuple(
        named_row(system.name, _outcome_cells(list(system.scores.sets.values())))
        for system in comparison.systems
    )
    header = ("system", "rows", "parsed", *NO_LABEL_STATUSES, "without a label, %")
    blocks: list[Block] = [TableBlock("Answers by outcome, all sets of a system.", header, rows)]
    by_label = tuple(_outcomes_by_label(comparison))
    if by_label:
        header = ("set", "label of the data set", "system", "rows", *NO_LABEL_STATUSES, "without a label, %")
        caption = "By the label of the data set; where every answer has a label there is no line."
        table = TableBlock(caption, header, by_label, name="labels")
        blocks.append(BlockGroup((table,), collapsed_title=f"By label, {counted(len(by_label), 'line')}"))
    return Section("outcomes", "Answers without a label", tuple(blocks))


def _outcome_cells(scores: Sequence[Scores]) -> list[Cell]:
    counts = [count_cell(sum(getattr(part, status) for part in scores)) for status in NO_LABEL_STATUSES]
    total, parsed = sum(part.n for part in scores), sum(part.parsed for part in scores)
    return [count_cell(total), count_cell(parsed), *counts, number_cell(_share_without_label(scores))]


def _outcomes_by_label(comparison: Comparison) -> Iterator[PageRow]:
    for name in comparison.groups:
        systems = [system for system in comparison.systems if name in system.scores.sets]
        for label in dict.fromkeys(key for system in systems for key in system.scores.sets[name].confusion):
            for system in systems:
                line = system.scores.sets[name].confusion.get(label, {})
                counts = [line.get(status, 0) for status in NO_LABEL_STATUSES]
                total = sum(line.values())
                if sum(counts):
                    share = number_cell(100 * sum(counts) / total)
                    cells = [
                        Cell(label),
                        Cell(system.name),
                        count_cell(total),
                        *map(count_cell, counts),
                        share,
                    ]
                    yield named_row(comparison.set_name(name), cells)

"""Section on differences from the baseline, row by row."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.comparison.comparison import Comparison
from mentallama.report.comparison.paired_differences import PairedDifference
from mentallama.report.comparison.row_groups import RowGroup
from mentallama.report.comparison.score_sections import line_name, score_panel
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
    interval_cell,
    missing_note,
    named_row,
    p_value_cell,
    signed_cell,
)
from mentallama.report.plots import PanelRow

STEP = 10
"""The panels end at a multiple of this, in points."""


def differences_section(comparison: Comparison) -> Section:
    """Differences of the other systems from the baseline on the same rows."""
    title = f"Differences from {comparison.baseline.name}"
    if not comparison.differences:
        text = f"No system can be compared with {comparison.baseline.name} row by row."
        return Section("differences", title, missing_note(text))
    resampling = comparison.baseline.scores.resampling
    lead = (
        f"Differences are those of a system minus {comparison.baseline.name}, on the same rows with the same labels; "
        f"intervals come from {resampling.resamples:,} resamples of posts, drawn for both systems together. The "
        "p-value of the difference in weighted F1 is from the same resamples, corrected for the number of sets (Holm); "
        "McNemar's, not corrected, is that of the rows that only one of the two got right. A system is never called "
        "better if its recall of the high-risk label is lower beyond the interval."
    )
    blocks: list[Block] = [Paragraph(lead), _difference_table(comparison)]
    lines = [group for synthetic in (False, True) for group in comparison.lines(synthetic=synthetic)]
    panels = tuple(_panels(comparison, [group for group in lines if comparison.baseline in group]))
    blocks += [
        BlockGroup(panels),
        Paragraph(
            f"Weighted F1 minus that of {comparison.baseline.name}, in points, with 95 % interval; the dotted line is "
            "no difference."
        ),
    ]
    if len(comparison.systems) > 2:
        blocks.append(_pairwise_table(comparison))
    return Section("differences", title, tuple(blocks))


def _pairwise_table(comparison: Comparison) -> TableBlock:
    """On how many sets the system of a line is better and worse than that of a column."""
    names = [system.name for system in comparison.systems]
    rows = tuple(named_row(name, [Cell(_wins(comparison, name, other)) for other in names]) for name in names)
    caption = (
        "Every two systems: the number of sets on which the system of the line is better and worse than that of the "
        "column, of the sets whose rows both share. Sets where they are not separable, or where one finds fewer of the "
        "high-risk label, are neither; p-values are corrected for the number of sets (Holm)."
    )
    return TableBlock(caption, ("system", *names), rows, name="pairwise")


def _wins(comparison: Comparison, name: str, other: str) -> str:
    """Counts such as "+3 −1 of 7"; a dash for a system and itself, or without a set that both share."""
    if (other, name) in comparison.pairwise:
        verdicts = [part.verdict for part in comparison.pairwise[other, name].values()]
        wins, losses = verdicts.count("better"), verdicts.count("worse")
    else:
        verdicts = [part.verdict for part in comparison.pairwise.get((name, other), {}).values()]
        wins, losses = verdicts.count("worse"), verdicts.count("better")
    return f"+{wins} −{losses} of {len(verdicts)}" if verdicts else EMPTY_CELL


def _difference_table(comparison: Comparison) -> TableBlock:
    first = comparison.baseline.name
    header = (
        "set",
        "system",
        "verdict",
        "rows",
        "difference, points",
        "95 %",
        "p, corrected",
        f"only {first} right",
        "only the system right",
        "McNemar p",
        "high-risk recall, points",
        "95 % of recall",
    )
    rows = tuple(
        _difference_row(comparison.set_name(name), system, difference)
        for (name, system), difference in comparison.differences.items()
    )
    return TableBlock(f"Differences in weighted F1 from {first}.", header, rows)


def _difference_row(set_name: str, system: str, difference: PairedDifference) -> PageRow:
    recall = difference.recall
    return named_row(
        set_name,
        [
            Cell(system),
            Cell(difference.verdict),
            count_cell(difference.rows),
            signed_cell(difference.difference),
            interval_cell(difference.interval, sign=True),
            p_value_cell(difference.adjusted_p),
            count_cell(difference.only_first),
            count_cell(difference.only_second),
            p_value_cell(difference.mcnemar_p),
            signed_cell(None if recall is None else recall.difference),
            interval_cell(None if recall is None else recall.interval, sign=True),
        ],
    )


def _panels(comparison: Comparison, groups: list[RowGroup]) -> Iterator[FigureBlock]:
    ends = [
        abs(end)
        for part in comparison.differences.values()
        for end in (part.difference, *(part.interval or ()))
    ]
    limit = STEP * (1 + int(max(ends) // STEP))
    for group in groups:
        rows = [
            PanelRow(system.name, part.difference, part.interval)
            for system in group.systems
            if (part := comparison.differences.get((group.set, system.name))) is not None
        ]
        if rows:
            yield score_panel(
                "differences",
                line_name(comparison, group),
                rows,
                f"weighted F1 minus that of {comparison.baseline.name}, points",
                limits=(-limit, limit),
                reference=0,
            )

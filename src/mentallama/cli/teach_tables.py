"""The cost table of a run, and its refusals, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mentallama.teach.summary import TaskCost, TeachSummary

COST_COLUMNS = ("calls", "answered", "refused", "failed", "tokens in", "tokens out", "cost")


def cost_table(summary: TeachSummary) -> Table:
    """One row a teacher and task, and the sum."""
    table = Table(
        title=f"Teach: {summary.questions:,} questions, prompts {summary.prompts_version}, {summary.prompt_mode}"
    )
    table.add_column("teacher")
    table.add_column("task")
    for column in COST_COLUMNS:
        table.add_column(column, justify="right")
    for row in summary.costs:
        table.add_row(row.model, row.task, *_total_cells([row]))
    table.add_section()
    table.add_row("all", "", *_total_cells(summary.costs))
    return table


def _total_cells(rows: Sequence[TaskCost]) -> list[str]:
    names = ("calls", "answered", "refused", "failed", "tokens_in", "tokens_out")
    costs = [row.cost for row in rows if row.cost is not None]
    return [f"{sum(getattr(row, name) for row in rows):,}" for name in names] + [
        f"{sum(costs):.4f}" if costs else "-"
    ]


def refusal_lines(summary: TeachSummary) -> list[str]:
    """A line for every label that a teacher refused; the set's grave label has a star."""
    refused = [row for row in summary.refusals if row.refused]
    lines = [
        f"{row.model}, {row.task}, {row.label}{' *' if row.high_risk else ''}: "
        f"{row.refused:,} of {row.questions:,} refused ({row.refusal_rate:.1%})"
        for row in refused
    ]
    return [*lines, "* the set's gravest label"] if any(row.high_risk for row in refused) else lines

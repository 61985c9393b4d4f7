"""Tables for the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mentallama.errors import printable
from mentallama.evaluate.paper_results import format_percent
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.evaluate.scores import NO_LABEL_STATUSES
from mentallama.files.markdown import EMPTY_CELL
from mentallama.metrics import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from mentallama.teach.summary import TaskCost, TeachSummary

COST_COLUMNS = ("requests", "answered", "refused", "failed", "tokens in", "tokens out", "cost")
PUBLISHED_COLUMNS = ("as published: F1", "accuracy", "by default", "readers differ")


def print_scores(path: Path) -> None:
    """Print the table of a scores.json, if there is one."""
    if not path.is_file():
        return
    _print_table(score_table(read_scores(path)))


def print_teach_summary(path: Path) -> None:
    """Print the cost table of a teach stage's summary.json, if there is one."""
    if not path.is_file():
        return
    from mentallama.files.record_files import read_json
    from mentallama.teach.summary import TeachSummary

    summary = TeachSummary.model_validate(read_json(path))
    _print_table(cost_table(summary))
    for line in refusal_lines(summary):
        typer.echo(printable(line))


def _print_table(table: Table) -> None:
    """Print a table whose names are text of others: [red] and :smile: are no markup."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False).print(table)


def cost_table(summary: TeachSummary) -> Table:
    """One row per teacher and task, and the total."""
    from rich.table import Table

    table = Table(
        title=f"Teach: {summary.questions:,} questions, prompts {summary.prompts_version}, {summary.prompt_mode}"
    )
    table.add_column("teacher")
    table.add_column("task")
    for column in COST_COLUMNS:
        table.add_column(column, justify="right")
    for row in summary.costs:
        table.add_row(printable(row.model), printable(row.task), *_total_cells([row]))
    table.add_section()
    table.add_row("all", "", *_total_cells(summary.costs))
    return table


def _total_cells(rows: Sequence[TaskCost]) -> list[str]:
    names = ("requests", "answered", "refused", "failed", "tokens_in", "tokens_out")
    costs = [row.cost for row in rows if row.cost is not None]
    return [f"{sum(getattr(row, name) for row in rows):,}" for name in names] + [
        f"{sum(costs):.4f}" if costs else "-"
    ]


def refusal_lines(summary: TeachSummary) -> list[str]:
    """One line per label that a teacher refused; a star marks the set's high-risk label."""
    refused = [row for row in summary.refusals if row.refused]
    lines = [
        f"{row.model}, {row.task}, {row.label}{' *' if row.high_risk else ''}: "
        f"{row.refused:,} of {row.questions:,} refused ({row.refusal_rate:.1%})"
        for row in refused
    ]
    return [*lines, "* the set's high-risk label"] if any(row.high_risk for row in refused) else lines


def score_table(scores: ScoreFile) -> Table:
    """One line per set, missing sets last with dashes; with `as_published`, the published scores beside ours."""
    from rich.table import Table

    table = Table(
        title=f"Test, {scores.form} form", caption=printable(score_caption(scores)), caption_justify="left"
    )
    for column in (*_score_titles(), *(PUBLISHED_COLUMNS if scores.as_published is not None else ())):
        table.add_column(column, justify="left" if column == "set" else "right")
    for name in scores.sets:
        table.add_row(printable(name), *_score_columns(scores, name), *_published_columns(scores, name))
    for name in scores.missing:
        table.add_row(printable(name), *[EMPTY_CELL] * (len(table.columns) - 1), style="dim")
    return table


def score_caption(scores: ScoreFile) -> str:
    """Notes below the table: why sets are missing, how outputs were aligned, why there is no published score."""
    lines = [f"{name}: {reason}" for name, reason in scores.missing_reasons.items()]
    lines += [
        f"{name}: answers {against.file} ({against.rows} rows)"
        + ("" if against.aligned_by == "rows" else ", reordered by reference text")
        for name, against in scores.matched_files.items()
        if against.aligned_by == "references" or not against.file.startswith("test_data")
    ]
    lines += [f"{name}: not used" for name in scores.unused[:5]]
    lines += [
        f"{name}, as published: no score, {result.reason}"
        for name, result in (scores.as_published or {}).items()
        if result.reason
    ]
    lines += [
        f"{name}, by its explanations alone: weighted F1 {format_percent(one.f1_against_gold)}; against the "
        "answers' labels "
        f"{format_percent(one.f1_against_answers)} ({one.n_predicted} of {one.rows} predicted)"
        for name, one in (scores.explanation_scores or {}).items()
    ]
    return "\n".join(lines)


def _terminal_metrics() -> list[registry.Metric]:
    return [metric for metric in registry.METRICS if metric.in_terminal]


def _score_titles() -> list[str]:
    first, *others = (metric.title for metric in _terminal_metrics())
    return ["set", "rows", first, "95 %", *others, *NO_LABEL_STATUSES]


def _score_columns(scores: ScoreFile, name: str) -> list[str]:
    one = scores.sets[name]
    ends = one.weighted_f1_interval
    interval = EMPTY_CELL if ends is None else "–".join(f"{end:.1f}" for end in ends)
    first, *others = (f"{one.metrics[metric.name]:.{metric.digits}f}" for metric in _terminal_metrics())
    counts = (one.unparsed, one.refused, one.truncated)
    return [str(one.n), first, interval, *others, *map(str, counts)]


def _published_columns(scores: ScoreFile, name: str) -> list[str]:
    if scores.as_published is None:
        return []
    one = scores.as_published[name]
    return [
        format_percent(one.weighted_f1),
        format_percent(one.accuracy),
        str(one.n_defaulted),
        str(one.n_differences),
    ]

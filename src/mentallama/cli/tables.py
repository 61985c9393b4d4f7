"""Tables for the terminal. A narrow one loses nothing: a table is printed in parts, each with the key columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mentallama.cli.console import echo_wrapped, terminal_width
from mentallama.errors import counted, printable
from mentallama.evaluate.kinds.part_table import (
    KIND_NOTES,
    KIND_TITLES,
    PART_NAMES,
    PARTS_MAJORITY,
    applied_metrics,
    part_columns,
)
from mentallama.evaluate.published.paper_results import format_percent
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.evaluate.scores import NO_LABEL_STATUSES
from mentallama.explanation_metrics.scoring import scored_columns
from mentallama.files.markdown import EMPTY_CELL
from mentallama.metrics import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mentallama.evaluate.scores import Scores
    from mentallama.explanation_metrics.base import ScoreColumn
    from mentallama.explanation_metrics.right_reason import RightReasonScore
    from mentallama.explanation_metrics.scoring import SetExplanationScores
    from mentallama.tasks.answer_kinds import AnswerKind
    from mentallama.teach.summary import TaskCost, TeachSummary

CELL_FRAME = 3
"""Columns of the terminal that a cell needs beside its text: a space on each side and a line."""

MIN_KEY_WIDTH = 10
"""A key column is not made narrower than this, in columns of the terminal."""

COST_COLUMNS = ("requests", "answered", "refused", "failed", "tokens in", "tokens out", "cost")
PUBLISHED_COLUMNS = ("F1 as published", "accuracy as published", "by default", "readers differ")

MAJORITY_NOTE = (
    f"majority: weighted F1 of the most frequent label of the training rows; {EMPTY_CELL}: there are none"
)

RIGHT_REASON_NOTE = (
    "right for a right reason: percent of all answers whose label is right, and whose explanation implies this label "
    "by itself, quotes the post, and quotes nothing else; explained: answers that give a reason"
)


@dataclass(frozen=True)
class WideTable:
    """Cells as text. The first `n_keys` columns name a row and are aligned to the left, the others to the right.

    A `total` is a last row behind a line.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_keys: int = 1
    total: tuple[str, ...] | None = None


def split_columns(widths: Sequence[int], n_keys: int, available: int | None) -> list[list[int]]:
    """Indices of the columns of each part: as many as fit into `available`, at least one beside the keys.

    `widths` are those of the cells' text; None for `available` means that everything fits.

    >>> split_columns([4, 6, 6, 6], 1, 26)
    [[0, 1, 2], [0, 3]]
    """
    keys = list(range(n_keys))
    parts = [keys.copy()]
    for column in range(n_keys, len(widths)):
        wanted = [*parts[-1], column]
        needed = 1 + sum(widths[index] + CELL_FRAME for index in wanted)
        if available is not None and needed > available and len(parts[-1]) > n_keys:
            parts.append([*keys, column])
        else:
            parts[-1] = wanted
    return parts


def narrow_keys(widths: Sequence[int], n_keys: int, available: int | None) -> list[int]:
    """The widths with the widest key columns narrowed so that all keys fit beside the widest other column.

    No key becomes narrower than `MIN_KEY_WIDTH`, so a table can still be wider than a tiny terminal.

    >>> narrow_keys([40, 8, 6], 2, 40)
    [16, 8, 6]
    """
    narrowed = list(widths)
    if available is None:
        return narrowed
    others = max(widths[n_keys:]) + CELL_FRAME + 1
    while sum(width + CELL_FRAME for width in narrowed[:n_keys]) + others > available:
        widest = max(range(n_keys), key=narrowed.__getitem__)
        if narrowed[widest] <= MIN_KEY_WIDTH:
            break
        narrowed[widest] -= 1
    return narrowed


def print_table(table: WideTable) -> None:
    """Print the title and the table; in parts if the terminal is too narrow, with long keys on several lines.

    A file or pipe gets one part.
    """
    from rich.cells import cell_len

    table = _printable_table(table)
    rows = [table.header, *table.rows, *([table.total] if table.total else [])]
    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]
    widths = narrow_keys(widths, table.n_keys, terminal_width())
    echo_wrapped(table.title)
    for part in split_columns(widths, table.n_keys, terminal_width()):
        _print_part(table, part, widths)


def _printable_table(table: WideTable) -> WideTable:
    """The table with cells that do not control the terminal: names and titles are text of others."""
    rows = tuple(tuple(map(printable, row)) for row in table.rows)
    return replace(table, title=printable(table.title), rows=rows)


def _print_part(table: WideTable, part: Sequence[int], widths: Sequence[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table()
    for index in part:
        justify: Literal["left", "right"] = "left" if index < table.n_keys else "right"
        shown.add_column(Text(table.header[index]), justify=justify, width=widths[index], overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(row[index]) for index in part))
    if table.total:
        shown.add_section()
        shown.add_row(*(Text(table.total[index]) for index in part))
    width = 1 + sum(widths[index] + CELL_FRAME for index in part)
    Console(width=width).print(shown)  # its own width, so that rich shortens no cell


def print_scores(path: Path) -> None:
    """Print the table of a scores.json and the notes below it, if there is one."""
    if not path.is_file():
        return
    scores = read_scores(path)
    for table in score_tables(scores):
        print_table(table)
    if scores.explanation_metrics:
        print_table(explanation_table(scores))
    for line in [*score_notes(scores), *explanation_notes(scores)]:
        echo_wrapped(printable(line))


def print_teach_summary(path: Path) -> None:
    """Print the cost table of a teach stage's summary.json, if there is one."""
    if not path.is_file():
        return
    from mentallama.files.record_files import read_record
    from mentallama.teach.summary import TeachSummary

    summary = read_record(path, TeachSummary)
    print_table(cost_table(summary))
    for line in (*refusal_lines(summary), *scale_lines(summary)):
        echo_wrapped(printable(line))


def scale_lines(summary: TeachSummary) -> list[str]:
    """Outcomes of the items of scales that were filled item by item, the most frequent first."""
    counts = sorted(summary.scale_items.items(), key=lambda entry: -entry[1])
    listed = "; ".join(f"{count:,} {outcome}" for outcome, count in counts)
    return [f"Items of scales: {listed}"] if counts else []


def cost_table(summary: TeachSummary) -> WideTable:
    """One row per teacher and task, and the total."""
    questions = counted(summary.questions, "question")
    return WideTable(
        f"Teach: {questions}, prompt {summary.prompt_mode}, version {summary.prompts_version}",
        ("teacher", "task", *COST_COLUMNS),
        tuple((row.model, row.task, *_total_cells([row])) for row in summary.costs),
        n_keys=2,
        total=("all", "", *_total_cells(summary.costs)),
    )


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


def score_tables(scores: ScoreFile) -> list[WideTable]:
    """A table for each kind of answer, whose metrics are its columns, and one of the parts of answers of each set."""
    tables = [score_table(scores, kind) for kind in registry.KIND_METRICS if kind in _kinds(scores)] or [
        score_table(scores)
    ]
    return [*tables, *(part_table(name, one) for name, one in scores.sets.items() if one.parts)]


def score_table(scores: ScoreFile, kind: AnswerKind = "choice") -> WideTable:
    """One row per set with scores; with `as_published`, the published scores beside ours."""
    answers = "" if kind == "choice" else f", answers: {KIND_TITLES[kind]}"
    published = scores.as_published is not None and kind == "choice"
    return WideTable(
        f"Test, {scores.form} form{answers}",
        (*_score_titles(scores, kind), *(PUBLISHED_COLUMNS if published else ())),
        tuple(
            (name, *_score_columns(scores, name), *(_published_columns(scores, name) if published else ()))
            for name, one in scores.sets.items()
            if one.kind == kind
        ),
    )


def part_table(name: str, scores: Scores) -> WideTable:
    """One row for each label, type of quotation or item of the answers of a set."""
    columns = part_columns(scores.kind)
    return WideTable(
        f"{name}, by {PART_NAMES[scores.kind]}",
        (PART_NAMES[scores.kind], *(column.title for column in columns)),
        tuple(
            (part, *(_number(column.value(scores, part), column.digits) for column in columns))
            for part in scores.parts
        ),
    )


def _number(value: float | None, digits: int) -> str:
    return EMPTY_CELL if value is None else f"{value:.{digits}f}"


def explanation_table(scores: ScoreFile) -> WideTable:
    """One row per set: right label for a right reason, in percent of all answers, and means of the other metrics."""
    by_set = scores.explanation_metrics or {}
    columns = [column for column in scored_columns(by_set.values()) if column.in_terminal]
    return WideTable(
        "Explanations",
        (
            "set",
            "answers",
            "explained",
            "right for a right reason",
            "95 %",
            *(column.title for column in columns),
        ),
        tuple(
            (
                name,
                str(one.rows),
                str(one.explained),
                *_right_reason_cells(one.right_reason),
                *(_mean_cell(one, column) for column in columns),
            )
            for name, one in by_set.items()
        ),
    )


def _right_reason_cells(score: RightReasonScore | None) -> tuple[str, str]:
    if score is None or score.share is None:
        return EMPTY_CELL, EMPTY_CELL
    interval = score.interval
    return f"{score.share:.1f}", EMPTY_CELL if interval is None else "–".join(
        f"{end:.1f}" for end in interval
    )


def _mean_cell(one: SetExplanationScores, column: ScoreColumn) -> str:
    mean = one.columns[column.name].mean if column.name in one.columns else None
    return EMPTY_CELL if mean is None else f"{mean:.{column.digits}f}"


def explanation_notes(scores: ScoreFile) -> list[str]:
    """Notes under the table: what the headline counts, what metrics could not score, their models, a judge's work."""
    sets: dict[tuple[str, str], list[str]] = {}
    for name, one in (scores.explanation_metrics or {}).items():
        for metric, reasons in one.unscored.items():
            for reason, n in reasons.items():
                sets.setdefault((metric, reason), []).append(f"{name} {n} of {one.explained}")
    lines = [RIGHT_REASON_NOTE] if scores.explanation_metrics else []
    lines += [
        f"{metric}, not scored, {reason}: {', '.join(named)}" for (metric, reason), named in sets.items()
    ]
    lines += [f"{metric}: computed with {model}" for metric, model in scores.metric_names.items()]
    return [*lines, *(() if scores.judge is None else scores.judge.notes())]


def score_notes(scores: ScoreFile) -> list[str]:
    """The floor, why sets are missing, how outputs were aligned, why there is no published score."""
    lines = [MAJORITY_NOTE] if scores.sets else []
    if any(one.parts for one in scores.sets.values()):
        lines = [f"{MAJORITY_NOTE}; {PARTS_MAJORITY}"]
    lines += [note for kind, note in KIND_NOTES.items() if note and kind in _kinds(scores)]
    lines += _undefined_notes(scores)
    lines += _missing_notes(scores.missing_reasons)
    if scores.samples:
        sizes = ", ".join(f"{name} {size.rows:,} of {size.of:,}" for name, size in scores.samples.items())
        lines.append(f"scores are on a random sample of the test rows: {sizes}")
    lines += [
        f"{name}: answers {against.file} ({counted(against.rows, 'row')})"
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
    return lines


def _kinds(scores: ScoreFile) -> set[AnswerKind]:
    return {one.kind for one in scores.sets.values()}


def _undefined_notes(scores: ScoreFile) -> list[str]:
    """Why metrics that the terminal shows have no value."""
    return [
        f"{name}: no {metric.title}: {one.undefined[metric.name]}"
        for name, one in scores.sets.items()
        for metric in _terminal_metrics(scores, one.kind)
        if metric.name in one.undefined
    ]


def _missing_notes(reasons: Mapping[str, str]) -> list[str]:
    """One line for each reason, with the sets that it holds for."""
    sets: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        sets.setdefault(reason.replace(f"{name}.csv", "SET.csv"), []).append(name)
    return [f"no score for {', '.join(names)}: {reason}" for reason, names in sets.items()]


def _terminal_metrics(scores: ScoreFile, kind: AnswerKind) -> list[registry.Metric | registry.KindMetric]:
    return [metric for metric in applied_metrics(kind, scores.sets.values()) if metric.in_terminal]


def _score_titles(scores: ScoreFile, kind: AnswerKind) -> list[str]:
    first, *others = (metric.title for metric in _terminal_metrics(scores, kind))
    return ["set", "rows", first, "95 %", "majority", *others, *NO_LABEL_STATUSES]


def _score_columns(scores: ScoreFile, name: str) -> list[str]:
    one = scores.sets[name]
    ends = one.weighted_f1_interval
    interval = EMPTY_CELL if ends is None else "–".join(f"{end:.1f}" for end in ends)
    first, *others = (
        _number(one.metrics.get(metric.name), metric.digits) for metric in _terminal_metrics(scores, one.kind)
    )
    counts = (one.unparsed, one.refused, one.truncated)
    majority = format_percent(scores.majority.get(name))
    return [str(one.n), first, interval, majority, *others, *map(str, counts)]


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

"""The sections of a page of several runs. To add one, write its builder and add a line to `COMPARISON_SECTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mentallama.evaluate.published.paper_results import load_paper_results
from mentallama.evaluate.scores import NO_LABEL_STATUSES
from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.comparability import is_synthetic, reasons_against_paper
from mentallama.report.comparison import ComparedRun, Comparison
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
)
from mentallama.report.paired_differences import PairedDifference
from mentallama.report.plots import SeriesRow, series_plot
from mentallama.report.sections.results import NOT_COMPARABLE

POSTS = {False: "posts of people", True: "synthetic posts"}
"""The posts that sets are scored on: scores on synthetic ones never stand beside the others, nor the paper's."""


def runs_section(comparison: Comparison) -> Section:
    """Which runs are compared."""
    rows = tuple(
        named_row(
            run.name,
            [
                Cell(run.scores.source.get("model") or run.scores.source.get("responses", EMPTY_CELL)),
                Cell(run.scores.form),
                count_cell(len(run.scores.sets)),
                count_cell(sum(scores.n for scores in run.scores.sets.values())),
                Cell(_kinds(run)),
            ],
        )
        for run in comparison.runs
    )
    header = ("run", "model", "form", "sets", "rows", "posts")
    text = f"{comparison.runs[0].name} is the run that the others are compared with."
    return Section("runs", "Runs", (TableBlock("Scored runs.", header, rows), Paragraph(text)))


def _kinds(run: ComparedRun) -> str:
    kinds = {is_synthetic(run.artifacts, name) for name in run.scores.sets}
    return " and ".join(POSTS[kind] for kind in (False, True) if kind in kinds) or EMPTY_CELL


def scores_section(comparison: Comparison) -> Section | None:
    """Scores on posts of people, beside the paper's."""
    return _score_section(comparison, synthetic=False)


def synthetic_section(comparison: Comparison) -> Section | None:
    """Scores on synthetic posts."""
    return _score_section(comparison, synthetic=True)


def _score_section(comparison: Comparison, *, synthetic: bool) -> Section | None:
    names = comparison.sets(synthetic)
    if not names:
        return None
    blocks: list[Block] = [_score_table(comparison, names, synthetic)]
    if synthetic:
        text = (
            "The test posts were written for this project: the scores show that the pipeline works and say nothing "
            "about posts of people."
        )
        blocks.insert(0, Paragraph(text))
    if any(sum(run is not None for run in comparison.scored(name, synthetic)) > 1 for name in names):
        blocks.append(_score_figure(comparison, names, synthetic))
    blocks += _difference_blocks(comparison, names, synthetic)
    blocks.append(_all_scores(comparison, names, synthetic))
    anchor = "synthetic" if synthetic else "scores"
    return Section(anchor, f"Scores on {POSTS[synthetic]}", tuple(blocks))


def _score_table(comparison: Comparison, names: Sequence[str], synthetic: bool) -> TableBlock:
    """A row for every set, with the scores of the runs that can be compared with the first."""
    first, model = comparison.runs[0], load_paper_results().highlighted()
    header = ["set", "rows", *(run.name for run in comparison.runs)]
    header += [] if synthetic else ["published rows", f"{model.name}, published"]
    rows = []
    for name in names:
        shown = _comparable(comparison, name, synthetic)
        count = next((run.scores.sets[name].n for run in shown if run is not None), None)
        cells = [count_cell(count)]
        cells += [number_cell(None if run is None else run.scores.sets[name].weighted_f1) for run in shown]
        if not synthetic:
            cells.append(count_cell(first.artifacts.published_test_rows(name)))
            cells.append(number_cell(model.weighted_f1.get(name)))
        reasons = Cell("; ".join(_reasons(comparison, name, synthetic)))
        rows.append(named_row(first.artifacts.set_name(name), [*cells, reasons]))
    caption = f"Weighted F1 on {POSTS[synthetic]}, in percent, where runs were scored on the same rows as {first.name}."
    return TableBlock(caption, (*header, NOT_COMPARABLE), tuple(rows))


def _comparable(comparison: Comparison, name: str, synthetic: bool) -> list[ComparedRun | None]:
    """The runs that scored a set, None in the place of those that cannot be compared with the first."""
    return [
        None if run is None or isinstance(comparison.differences.get((name, run.name)), str) else run
        for run in comparison.scored(name, synthetic)
    ]


def _all_scores(comparison: Comparison, names: Sequence[str], synthetic: bool) -> BlockGroup:
    """A row for every set and run, each with its own rows."""
    rows = tuple(
        named_row(
            run.artifacts.set_name(name),
            [
                Cell(run.name),
                count_cell(scores.n),
                number_cell(scores.weighted_f1),
                interval_cell(scores.weighted_f1_interval),
                number_cell(scores.accuracy),
                number_cell(scores.metrics.get("macro_f1")),
                number_cell(None if scores.calibration is None else scores.calibration.ece, 3),
            ],
        )
        for name in names
        for run in comparison.scored(name, synthetic)
        if run is not None
        for scores in (run.scores.sets[name],)
    )
    header = ("set", "run", "rows", "weighted F1", "95 %", "accuracy", "macro F1", "calibration error")
    table = TableBlock(f"All scores on {POSTS[synthetic]}.", header, rows, name="all")
    return BlockGroup(
        (table,), collapsed_title=f"All scores, {len(rows)} rows, also those that cannot be compared"
    )


def _reasons(comparison: Comparison, name: str, synthetic: bool) -> Iterator[str]:
    """Why runs cannot be compared with the first, and why those that can cannot be compared with the paper."""
    first = comparison.runs[0]
    for run in comparison.scored(name, synthetic):
        reason = None if run is None else comparison.differences.get((name, run.name))
        if run is not None and isinstance(reason, str):
            yield f"{run.name} with {first.name}: {reason}"
    if not synthetic:
        against_paper = dict.fromkeys(
            ", ".join(reasons_against_paper(run.artifacts, name))
            for run in _comparable(comparison, name, synthetic)
            if run is not None
        )
        yield from (f"with the paper: {reasons}" for reasons in against_paper if reasons)


def _score_figure(comparison: Comparison, names: Sequence[str], synthetic: bool) -> FigureBlock:
    first = comparison.runs[0]
    rows = []
    for name in names:
        points = [
            None
            if run is None
            else (run.scores.sets[name].weighted_f1, run.scores.sets[name].weighted_f1_interval)
            for run in _comparable(comparison, name, synthetic)
        ]
        rows.append(SeriesRow(first.artifacts.set_name(name), tuple(points)))
    series = [run.name for run in comparison.runs]
    caption = (
        f"Weighted F1 on {POSTS[synthetic]} with 95 % interval. Runs that cannot be compared with {first.name} "
        "on a set are left out."
    )
    in_words = f"Weighted F1 by set. {_in_words(rows, series)}."
    plot = series_plot("scores", rows, series, "weighted F1, percent", in_words)
    return FigureBlock(caption, plot, _series_data(rows, series, sign=False), name="plot")


def _difference_blocks(comparison: Comparison, names: Sequence[str], synthetic: bool) -> Iterator[Block]:
    first, *others = comparison.runs
    found = [
        (name, other, difference)
        for name in names
        for other in others
        if isinstance(difference := comparison.differences.get((name, other.name)), PairedDifference)
        and other in comparison.scored(name, synthetic)
    ]
    if not found:
        yield Paragraph(
            f"No run can be compared with {first.name} row by row on {POSTS[synthetic]}.", missing=True
        )
        return
    resampling = first.scores.resampling
    yield Paragraph(
        f"Differences are those of a run minus {first.name}, on the same rows with the same labels; intervals come "
        f"from {resampling.resamples:,} resamples of posts, drawn for both runs together. With many sets, about one "
        "interval in twenty leaves out 0 by chance."
    )
    rows = tuple(_difference_row(first, name, other, difference) for name, other, difference in found)
    header = (
        "set",
        "run",
        "rows",
        "difference, points",
        "95 %",
        f"only {first.name} right",
        "only the run right",
    )
    yield TableBlock(f"Differences in weighted F1 from {first.name}.", header, rows, name="differences")
    yield _difference_figure(comparison, list(dict.fromkeys(name for name, _, _ in found)))


def _difference_figure(comparison: Comparison, names: Sequence[str]) -> FigureBlock:
    first, *others = comparison.runs
    series = [other.name for other in others]
    plotted = [
        SeriesRow(
            first.artifacts.set_name(name),
            tuple(
                (part.difference, part.interval)
                if isinstance(part := comparison.differences.get((name, other)), PairedDifference)
                else None
                for other in series
            ),
        )
        for name in names
    ]
    label = f"weighted F1 minus that of {first.name}, points"
    in_words = f"Differences by set. {_in_words(plotted, series)}."
    plot = series_plot("differences", plotted, series, label, in_words, first_colour=1)
    caption = (
        f"Differences in weighted F1 from {first.name} with 95 % interval; the dotted line is no difference."
    )
    return FigureBlock(caption, plot, _series_data(plotted, series, sign=True), name="differences-plot")


def _difference_row(
    first: ComparedRun, name: str, other: ComparedRun, difference: PairedDifference
) -> PageRow:
    return named_row(
        first.artifacts.set_name(name),
        [
            Cell(other.name),
            count_cell(difference.rows),
            Cell(
                format_number(difference.difference, 2, sign=True),
                is_number=True,
                value=difference.difference,
            ),
            interval_cell(difference.interval, sign=True),
            count_cell(difference.only_first),
            count_cell(difference.only_second),
        ],
    )


def _in_words(rows: Sequence[SeriesRow], series: Sequence[str]) -> str:
    return "; ".join(
        f"{name}: "
        + ", ".join(
            f"{row.name} {format_number(point[0], 1)}" for row in rows if (point := row.points[index])
        )
        for index, name in enumerate(series)
    )


def _series_data(rows: Sequence[SeriesRow], series: Sequence[str], *, sign: bool) -> TableBlock:
    lines = tuple(
        named_row(
            row.name,
            [
                cell
                for point in row.points
                for cell in (
                    number_cell(None if point is None else point[0]),
                    interval_cell(None if point is None else point[1], sign=sign),
                )
            ],
        )
        for row in rows
    )
    header = ("set", *(part for name in series for part in (name, f"{name}, 95 %")))
    return TableBlock("Numbers of this plot.", header, lines)


def outcomes_section(comparison: Comparison) -> Section:
    """Answers without a label, by run."""
    rows = []
    for run in comparison.runs:
        of_run = list(run.scores.sets.values())
        total, parsed = sum(part.n for part in of_run), sum(part.parsed for part in of_run)
        counts = [count_cell(sum(getattr(part, status) for part in of_run)) for status in NO_LABEL_STATUSES]
        share = number_cell(100 * (total - parsed) / total if total else None)
        rows.append(named_row(run.name, [count_cell(total), count_cell(parsed), *counts, share]))
    header = ("run", "rows", "parsed", *NO_LABEL_STATUSES, "without a label, %")
    return Section(
        "outcomes", "Answers without a label", (TableBlock("Answers by outcome.", header, tuple(rows)),)
    )


def execution_section(comparison: Comparison) -> Section | None:
    """When, where and by which command the runs were made."""
    rows = tuple(_execution_row(run) for run in comparison.runs if run.artifacts.manifests)
    if not rows:
        return None
    header = ("run", "finished", "seconds", "command", "machine")
    table = TableBlock(
        "When and how the runs were made; seconds of all stages.", header, rows, name="execution"
    )
    return Section("provenance", "Provenance", (table,))


def _execution_row(run: ComparedRun) -> PageRow:
    manifests = run.artifacts.manifests.values()
    executions = [part.execution for part in manifests if part.execution is not None]
    commands = dict.fromkeys(part.command for part in executions if part.command is not None)
    machines = dict.fromkeys(part.machine for part in executions)
    return named_row(
        run.name,
        [
            Cell(max((part.finished for part in executions), default=EMPTY_CELL)),
            number_cell(sum(part.seconds for part in manifests), 1),
            Cell("; ".join(commands) or EMPTY_CELL),
            Cell("; ".join(machines) or EMPTY_CELL),
        ],
    )


COMPARISON_SECTIONS: tuple[Callable[[Comparison], Section | None], ...] = (
    runs_section,
    scores_section,
    synthetic_section,
    outcomes_section,
    execution_section,
)
"""In the order of the page."""

"""The sections of a page of several runs. To add one, write its builder and add a line to `COMPARISON_SECTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mentallama.evaluate.paper_results import load_paper_results
from mentallama.evaluate.scores import NO_LABEL_STATUSES
from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.comparability import reasons_against_paper
from mentallama.report.comparison import ComparedRun, Comparison
from mentallama.report.page_model import (
    Block,
    Cell,
    FigureBlock,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    interval_cell,
    key_value_table,
    named_row,
    number_cell,
)
from mentallama.report.paired_differences import PairedDifference
from mentallama.report.plots import SeriesRow, series_plot
from mentallama.report.sections.results import NOT_COMPARABLE

POSTS = {False: "posts of people", True: "synthetic posts"}
"""What sets are scored on: scores on synthetic posts never stand beside the others, nor beside the paper's."""


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
                count_cell(sum(run.scores.synthetic_rows.values())),
            ],
        )
        for run in comparison.runs
    )
    header = ("run", "model", "form", "sets", "rows", "about synthetic posts")
    text = f"{comparison.runs[0].name} is the run that the others are compared with."
    return Section("runs", "Runs", (TableBlock("Scored runs.", header, rows), Paragraph(text)))


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
    anchor = "synthetic" if synthetic else "scores"
    return Section(anchor, f"Scores on {POSTS[synthetic]}", tuple(blocks))


def _score_table(comparison: Comparison, names: Sequence[str], synthetic: bool) -> TableBlock:
    runs, model = comparison.runs, load_paper_results().highlighted()
    header = ["set", *(f"{run.name}, {what}" for run in runs for what in ("rows", "weighted F1", "95 %"))]
    header += [] if synthetic else ["published rows", f"{model.name}, published"]
    rows = []
    for name in names:
        cells = [cell for run in comparison.scored(name, synthetic) for cell in _score_cells(run, name)]
        if not synthetic:
            rows_published = runs[0].artifacts.published_test_rows(name)
            cells += [count_cell(rows_published), number_cell(model.weighted_f1.get(name))]
        reasons = "; ".join(_reasons(comparison, name, synthetic))
        rows.append(named_row(runs[0].artifacts.set_name(name), [*cells, Cell(reasons)]))
    caption = f"Weighted F1 on {POSTS[synthetic]}, in percent."
    return TableBlock(caption, (*header, NOT_COMPARABLE), tuple(rows))


def _score_cells(run: ComparedRun | None, name: str) -> list[Cell]:
    if run is None:
        return [count_cell(None), number_cell(None), interval_cell(None)]
    scores = run.scores.sets[name]
    return [count_cell(scores.n), number_cell(scores.weighted_f1), interval_cell(scores.weighted_f1_interval)]


def _reasons(comparison: Comparison, name: str, synthetic: bool) -> Iterator[str]:
    """Why runs cannot be compared with the first, and why any cannot be compared with the paper."""
    first = comparison.runs[0]
    for run in comparison.scored(name, synthetic):
        if run is None:
            continue
        reason = comparison.differences.get((name, run.name))
        if isinstance(reason, str):
            yield f"{run.name} with {first.name}: {reason}"
        against_paper = () if synthetic else reasons_against_paper(run.artifacts, name)
        if against_paper:
            yield f"{run.name} with the paper: {', '.join(against_paper)}"


def _score_figure(comparison: Comparison, names: Sequence[str], synthetic: bool) -> FigureBlock:
    first, *others = comparison.runs
    rows = []
    for name in names:
        points = [
            None
            if run is None
            else (run.scores.sets[name].weighted_f1, run.scores.sets[name].weighted_f1_interval)
            for run in comparison.scored(name, synthetic)
        ]
        for index, other in enumerate(others, 1):
            if isinstance(comparison.differences.get((name, other.name)), str):
                points[index] = None
        rows.append(SeriesRow(first.artifacts.set_name(name), tuple(points)))
    series = [run.name for run in comparison.runs]
    caption = (
        f"Weighted F1 on {POSTS[synthetic]} with 95 % interval. Runs that cannot be compared with {first.name} "
        "on a set are left out."
    )
    plot = series_plot(
        "scores", rows, series, "weighted F1, percent", f"Weighted F1 by set. {_in_words(rows, series)}"
    )
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
        for name in dict.fromkeys(name for name, _, _ in found)
    ]
    label = f"weighted F1 minus that of {first.name}, points"
    plot = series_plot(
        "differences", plotted, series, label, f"Differences by set. {_in_words(plotted, series)}"
    )
    caption = (
        f"Differences in weighted F1 from {first.name} with 95 % interval; the dotted line is no difference."
    )
    yield FigureBlock(caption, plot, _series_data(plotted, series, sign=True), name="differences-plot")


def _difference_row(
    first: ComparedRun, name: str, other: ComparedRun, difference: PairedDifference
) -> PageRow:
    return named_row(
        first.artifacts.set_name(name),
        [
            Cell(other.name),
            count_cell(difference.rows),
            Cell(f"{difference.difference:+.2f}", is_number=True, value=difference.difference),
            interval_cell(difference.interval, sign=True),
            count_cell(difference.only_first),
            count_cell(difference.only_second),
        ],
    )


def _in_words(rows: Sequence[SeriesRow], series: Sequence[str]) -> str:
    return "; ".join(
        f"{name}: " + ", ".join(f"{row.name} {point[0]:.1f}" for row in rows if (point := row.points[index]))
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
    rows, facts = [], []
    for run in comparison.runs:
        manifests = run.artifacts.manifests
        executions = [part.execution for part in manifests.values() if part.execution is not None]
        if manifests:
            seconds = sum(part.seconds for part in manifests.values())
            finished = max((part.finished for part in executions), default=EMPTY_CELL)
            rows.append(named_row(run.name, [Cell(finished), number_cell(seconds, 1)]))
        values = (value for part in executions for value in (part.command, part.machine))
        facts += [(run.name, value) for value in dict.fromkeys(values) if value is not None]
    if not rows:
        return None
    table = TableBlock("Finished, and seconds of all stages.", ("run", "finished", "seconds"), tuple(rows))
    machines = key_value_table("Commands and machines.", ("run", "command or machine"), facts, "execution")
    return Section("provenance", "Provenance", (table, *([machines] if facts else [])))


COMPARISON_SECTIONS: tuple[Callable[[Comparison], Section | None], ...] = (
    runs_section,
    scores_section,
    synthetic_section,
    outcomes_section,
    execution_section,
)
"""In the order of the page."""

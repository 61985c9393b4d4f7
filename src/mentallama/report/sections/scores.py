"""The sections about scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mentallama.evaluate.paper_results import ModelScores, comparison_rows, load_paper_results
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import NO_LABEL_STATUSES, Scores
from mentallama.metrics import registry
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
    heat_table,
    missing_note,
    named_row,
    number_cell,
)
from mentallama.report.plots import ForestRow, forest_plot, reliability_plot
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.tasks import Task

THIS_RUN = "this run"
NO_SCORES = "There is no evaluate/scores.json in this run, so nothing is known of its scores."


def score_sections(material: RunArtifacts, tasks: Mapping[str, Task]) -> list[Section]:
    """Table 2, the plot, every set and question, confusion, answers without a label, calibration."""
    scores = material.scores
    if scores is None:
        return [Section("results", "Results", missing_note(NO_SCORES))]
    return [
        Section("results", "Results beside the paper", tuple(_paper_comparison(scores, material))),
        Section("sets", "Every set and question", tuple(_set_table(scores, tasks))),
        Section("grave", "The label whose miss costs most", tuple(_high_risk(scores))),
        Section("confusion", "What was taken for what", tuple(_confusion_tables(scores))),
        Section("unread", "Answers that gave no label", tuple(_answers_without_label(scores))),
        Section("calibration", "Whether probabilities mean what they say", tuple(_calibration(scores))),
        *_as_published(scores),
        *_explanation_labels(scores),
    ]


def _paper_comparison(scores: ScoreFile, material: RunArtifacts) -> list[Block]:
    unseen = _held_out_sets(material)
    kept = {name: value for name, value in scores.weighted_f1().items() if name in unseen}
    blocks: list[Block] = [_paper_table(scores.weighted_f1(), "Weighted F1 on the test sets, in percent.")]
    if kept:
        blocks.append(
            Paragraph(f"{', '.join(kept)}: held out in this run, to be compared with the table below.")
        )
        blocks.append(
            _paper_table(kept, "Weighted F1 of models trained without the sets below.", held_out=True)
        )
    if scores.sets:
        blocks.append(_forest_figure(scores, unseen))
    blocks.append(Paragraph(f"Published numbers: {load_paper_results().source}."))
    if scores.missing_reasons:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in scores.missing_reasons.items())
        blocks.append(Paragraph(f"Without a score: {reasons}.", missing=True))
    return blocks


def _held_out_sets(material: RunArtifacts) -> frozenset[str]:
    """Sets that the collected data allow to be called unseen."""
    held_out = material.collect_summary.held_out if material.collect_summary is not None else None
    return frozenset(held_out.sets) if held_out is not None and held_out.claim else frozenset()


def _paper_table(ours: Mapping[str, float], caption: str, held_out: bool = False) -> TableBlock:
    header, lines = comparison_rows([ModelScores(name=THIS_RUN, weighted_f1=dict(ours))], held_out)
    rows = [
        named_row(name, (Cell(value, is_number=True) for value in values), highlighted=name == THIS_RUN)
        for name, *values in lines
    ]
    return TableBlock(caption, ("model", *header[1:]), tuple(rows))


def _forest_figure(scores: ScoreFile, unseen: frozenset[str]) -> FigureBlock:
    paper = load_paper_results()
    marked = paper.highlighted().weighted_f1
    held_out = paper.highlighted(held_out=True).weighted_f1
    order = [name for name in paper.columns if name in scores.sets]
    order += [name for name in scores.sets if name not in order]
    whiskers = [
        ForestRow(
            paper.columns.get(name, name),
            scores.sets[name].weighted_f1,
            scores.sets[name].weighted_f1_interval,
            (held_out if name in unseen else marked).get(name),
        )
        for name in order
    ]
    values = ", ".join(f"{one.name} {one.value:.1f}" for one in whiskers)
    description = f"Weighted F1 by set, this run: {values}. The tables above give the published values."
    caption = (
        f"Weighted F1 with 95 % interval ({scores.resampling.resamples:,} resamples of posts). "
        f"Diamond: {paper.highlighted_model} as published on the full test sets"
        + (", for sets held out here its held-out value." if unseen else ".")
    )
    return FigureBlock(
        caption, forest_plot(whiskers, f"{paper.highlighted_model}, published", description), description
    )


def _set_table(scores: ScoreFile, tasks: Mapping[str, Task]) -> list[Block]:
    first, *others = (metric.title for metric in registry.METRICS)
    header = ("set", "rows", "published rows", "posts", first, "95 %", *others)
    rows: list[PageRow] = []
    for name, one in scores.sets.items():
        expected = tasks[name].published_rows.test if name in tasks else None
        rows.append(named_row(name, _score_cells(one, expected)))
        rows += [
            named_row(question, _score_cells(part), is_subrow=True)
            for question, part in one.by_question.items()
        ]
    note = (
        "A score on fewer rows than published is no score on the published test set. "
        "Intervals come from drawing posts, not rows. Unparsed, refused and truncated answers count as wrong."
    )
    return [
        TableBlock("Test rows by set and question; shares in percent.", header, tuple(rows)),
        Paragraph(note),
    ]


def _score_cells(one: Scores, expected: int | None = None) -> list[Cell]:
    interval = (
        "–"
        if one.weighted_f1_interval is None
        else "–".join(f"{end:.1f}" for end in one.weighted_f1_interval)
    )
    first, *others = (number_cell(one.metrics[m.name], m.digits) for m in registry.METRICS)
    counts = [count_cell(one.n), count_cell(expected), count_cell(one.posts)]
    return [*counts, first, Cell(interval, is_number=True), *others]


def _high_risk(scores: ScoreFile) -> list[Block]:
    rows = [
        named_row(
            name, [Cell(grave.label), count_cell(grave.n), count_cell(grave.hits), number_cell(grave.recall)]
        )
        for name, one in scores.sets.items()
        if (grave := one.high_risk) is not None
    ]
    if not rows:
        return list(missing_note("No task here names such a label."))
    lead = (
        "Each task may name one label that must not be missed. "
        "Recall is the share of its rows that was found."
    )
    header = ("set", "label", "rows", "found", "recall, %")
    return [Paragraph(lead), TableBlock("Recall of the grave label.", header, tuple(rows))]


def _confusion_tables(scores: ScoreFile) -> list[Block]:
    lead = (
        "Rows are gold labels, columns what was answered, shaded by their share of the row. "
        "Recall, precision and F1 are in percent."
    )
    tables = tuple(_confusion_table(name, one) for name, one in scores.sets.items())
    return [Paragraph(lead), BlockGroup(tables)]


def _confusion_table(name: str, one: Scores) -> TableBlock:
    lost = [column for column in NO_LABEL_STATUSES if getattr(one, column)]
    columns = [*one.per_class, *lost]
    counts = [[one.confusion[gold][column] for column in columns] for gold in one.per_class]
    wholes = [score.support for score in one.per_class.values()]
    heat = heat_table(
        f"{name}, {one.n:,} rows", "gold", list(one.per_class), columns, counts, row_totals=wholes
    )
    rows = tuple(
        PageRow(
            (
                *line.cells,
                number_cell(score.recall, 1),
                number_cell(score.precision, 1),
                number_cell(score.f1, 1),
            )
        )
        for line, score in zip(heat.rows, one.per_class.values(), strict=True)
    )
    header = (*heat.header, "recall", "precision", "F1")
    return TableBlock(heat.caption, header, rows, vertical_headers=heat.vertical_headers)


def _answers_without_label(scores: ScoreFile) -> list[Block]:
    lead = (
        "An answer that could not be read, was refused or broke off is counted here "
        "and is wrong everywhere else."
    )
    rows = [
        named_row(
            name,
            [
                count_cell(one.n),
                count_cell(one.parsed),
                *(count_cell(getattr(one, column)) for column in NO_LABEL_STATUSES),
                number_cell(100 * (one.n - one.parsed) / one.n),
            ],
        )
        for name, one in scores.sets.items()
    ]
    header = ("set", "rows", "parsed", *NO_LABEL_STATUSES, "without a label, %")
    return [Paragraph(lead), TableBlock("What became of the answers.", header, tuple(rows))]


def _calibration(scores: ScoreFile) -> list[Block]:
    found = {name: one.calibration for name, one in scores.sets.items() if one.calibration is not None}
    if not found:
        return list(missing_note("These answers came without probabilities."))
    rows = [
        named_row(name, [count_cell(one.n_ece), number_cell(one.brier, 3), number_cell(one.ece, 3)])
        for name, one in found.items()
    ]
    lead = (
        "Brier score: 0 is best, 2 is worst. Expected calibration error: mean gap between a label's "
        "probability and the share of such answers that is right, over ten bins; 0 is best."
    )
    header = ("set", "rows read", "Brier score", "calibration error")
    plots = tuple(
        FigureBlock("", reliability_plot(one.bins, name, label), label, small=True)
        for name, one in found.items()
        if one.n_ece
        and (label := f"{name}: share right against probability; calibration error {one.ece:.3f}.")
    )
    return [Paragraph(lead), TableBlock("Calibration.", header, tuple(rows)), BlockGroup(plots)]


def _as_published(scores: ScoreFile) -> Sequence[Section]:
    if scores.as_published is None:
        return ()
    lead = (
        "The published scripts look for the first known word in what stands before “Reasoning:” and "
        "count unreadable answers as the negative or last label. This is what they would have said of "
        "the same answers."
    )
    rows = [
        named_row(
            name,
            [
                number_cell(scores.sets[name].weighted_f1),
                number_cell(one.weighted_f1),
                number_cell(scores.sets[name].accuracy),
                number_cell(one.accuracy),
                count_cell(one.n_defaulted),
                count_cell(one.n_differences),
                Cell(one.reason or ""),
            ],
        )
        for name, one in scores.as_published.items()
    ]
    header = (
        "set",
        "weighted F1",
        "as published",
        "accuracy",
        "as published",
        "read by default",
        "readers differ",
        "why there is no score",
    )
    table = TableBlock("Our reader and the published one.", header, tuple(rows))
    return [Section("as-published", "Read as published", (Paragraph(lead), table))]


def _explanation_labels(scores: ScoreFile) -> Sequence[Section]:
    if not scores.explanation_scores:
        return ()
    lead = (
        f"A label reader ({scores.label_reader}) that has not seen these posts tells the label from the explanation alone, "
        "its answer taken out. Where it agrees with the answers, explanations stand for the labels that they are "
        "given for."
    )
    rows = [
        named_row(
            name,
            [
                count_cell(one.rows),
                count_cell(one.n_predicted),
                number_cell(one.f1_against_answers),
                number_cell(one.f1_against_gold),
            ],
        )
        for name, one in scores.explanation_scores.items()
    ]
    header = ("set", "answers", "told", "weighted F1 against the answers", "against gold")
    table = TableBlock("Labels told from explanations.", header, tuple(rows))
    return [Section("from-explanations", "Labels told from explanations", (Paragraph(lead), table))]

"""Sections on scores: beside the paper's, by set, confusion, calibration, the published reader, explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mentallama.evaluate.paper_results import ModelScores, comparison_rows, load_paper_results
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import NO_LABEL_STATUSES, Scores
from mentallama.files.markdown import EMPTY_CELL
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
NO_SCORES = "There is no evaluate/scores.json in this run, so there are no scores."


def results_section(artifacts: RunArtifacts) -> Section:
    """Weighted F1 beside the paper's models."""
    if artifacts.scores is None:
        return Section("results", "Results", missing_note(NO_SCORES))
    blocks = _paper_comparison(artifacts.scores, _held_out_sets(artifacts))
    return Section("results", "Results compared with the paper", tuple(blocks))


def sets_section(artifacts: RunArtifacts) -> Section | None:
    """All metrics of every set and question."""
    return _section(artifacts, "sets", "Scores by set and question", lambda s: _set_table(s, artifacts.tasks))


def high_risk_section(artifacts: RunArtifacts) -> Section | None:
    """Recall of the labels whose misses cost most."""
    return _section(artifacts, "high-risk", "Recall of high-risk labels", _high_risk)


def confusion_section(artifacts: RunArtifacts) -> Section | None:
    """A confusion matrix for each set."""
    return _section(artifacts, "confusion", "Confusion matrices", _confusion_tables)


def no_label_section(artifacts: RunArtifacts) -> Section | None:
    """Counts of unparsed, refused and truncated answers."""
    return _section(artifacts, "no-label", "Answers without a label", _answers_without_label)


def calibration_section(artifacts: RunArtifacts) -> Section | None:
    """Brier score, expected calibration error and reliability plots."""
    return _section(artifacts, "calibration", "Calibration of probabilities", _calibration)


def as_published_section(artifacts: RunArtifacts) -> Section | None:
    """Our scores beside those of the published reader, if it was run."""
    if artifacts.scores is None or artifacts.scores.as_published is None:
        return None
    return _section(artifacts, "as-published", "Scores of the published reader", _as_published)


def explanation_labels_section(artifacts: RunArtifacts) -> Section | None:
    """Scores of labels predicted from explanations alone, if a label reader was given."""
    if artifacts.scores is None or not artifacts.scores.explanation_scores:
        return None
    return _section(artifacts, "explanations", "Labels predicted from explanations", _explanation_labels)


def _section(
    artifacts: RunArtifacts, section_id: str, title: str, blocks: Callable[[ScoreFile], Sequence[Block]]
) -> Section | None:
    """A section of blocks made from the scores; None without scores."""
    return None if artifacts.scores is None else Section(section_id, title, tuple(blocks(artifacts.scores)))


def _paper_comparison(scores: ScoreFile, unseen: frozenset[str]) -> list[Block]:
    held_out = {name: value for name, value in scores.weighted_f1().items() if name in unseen}
    blocks: list[Block] = [_paper_table(scores.weighted_f1(), "Weighted F1 on the test sets, in percent.")]
    if held_out:
        blocks.append(
            Paragraph(f"{', '.join(held_out)}: held out in this run; compare with the table below.")
        )
        blocks.append(
            _paper_table(
                held_out, "Weighted F1 of models that were not trained on these sets.", held_out=True
            )
        )
    if scores.sets:
        blocks.append(_forest_figure(scores, unseen))
    blocks.append(Paragraph(f"Published numbers: {load_paper_results().source}."))
    if scores.missing_reasons:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in scores.missing_reasons.items())
        blocks.append(Paragraph(f"Without a score: {reasons}.", missing=True))
    return blocks


def _held_out_sets(artifacts: RunArtifacts) -> frozenset[str]:
    """Sets that no model of this run saw, as far as the collected data show."""
    summary = artifacts.collect_summary
    held_out = None if summary is None else summary.held_out
    return frozenset(held_out.sets) if held_out is not None and held_out.verified else frozenset()


def _paper_table(ours: Mapping[str, float], caption: str, held_out: bool = False) -> TableBlock:
    header, lines = comparison_rows([ModelScores(name=THIS_RUN, weighted_f1=dict(ours))], held_out)
    rows = [
        named_row(name, (Cell(value, is_number=True) for value in values), highlighted=name == THIS_RUN)
        for name, *values in lines
    ]
    return TableBlock(caption, ("model", *header[1:]), tuple(rows))


def _forest_figure(scores: ScoreFile, unseen: frozenset[str]) -> FigureBlock:
    paper = load_paper_results()
    full = paper.highlighted().weighted_f1
    held_out = paper.highlighted(held_out=True).weighted_f1
    order = [name for name in paper.sets if name in scores.sets]
    order += [name for name in scores.sets if name not in order]
    rows = [
        ForestRow(
            name,
            scores.sets[name].weighted_f1,
            scores.sets[name].weighted_f1_interval,
            (held_out if name in unseen else full).get(name),
        )
        for name in order
    ]
    values = ", ".join(f"{row.name} {row.value:.1f}" for row in rows)
    description = f"Weighted F1 by set, this run: {values}. The tables above give the published values."
    caption = (
        f"Weighted F1 with 95 % interval ({scores.resampling.resamples:,} resamples of posts). "
        f"Diamond: {paper.highlighted_model} as published on the full test sets"
        + ("; for sets held out here, its held-out score." if unseen else ".")
    )
    return FigureBlock(
        caption, forest_plot(rows, f"{paper.highlighted_model}, published", description), description
    )


def _set_table(scores: ScoreFile, tasks: Mapping[str, Task]) -> list[Block]:
    first, *others = (metric.title for metric in registry.METRICS)
    header = ("set", "rows", "published rows", "posts", first, "95 %", *others)
    rows: list[PageRow] = []
    for name, set_scores in scores.sets.items():
        published = tasks[name].published_rows if name in tasks else None
        expected = None if published is None else published.test
        rows.append(named_row(name, _score_cells(set_scores, expected)))
        rows += [
            named_row(question, _score_cells(part), is_subrow=True)
            for question, part in set_scores.by_question.items()
        ]
    note = (
        "A score on fewer rows than published is not a score on the published test set. "
        "Intervals resample posts, not rows. Unparsed, refused and truncated answers count as wrong."
    )
    return [
        TableBlock("Test rows by set and question; shares in percent.", header, tuple(rows)),
        Paragraph(note),
    ]


def _score_cells(set_scores: Scores, expected: int | None = None) -> list[Cell]:
    interval = (
        EMPTY_CELL
        if set_scores.weighted_f1_interval is None
        else "–".join(f"{end:.1f}" for end in set_scores.weighted_f1_interval)
    )
    first, *others = (number_cell(set_scores.metrics[m.name], m.digits) for m in registry.METRICS)
    counts = [count_cell(set_scores.n), count_cell(expected), count_cell(set_scores.posts)]
    return [*counts, first, Cell(interval, is_number=True), *others]


def _high_risk(scores: ScoreFile) -> list[Block]:
    rows = [
        named_row(
            name, [Cell(score.label), count_cell(score.n), count_cell(score.hits), number_cell(score.recall)]
        )
        for name, set_scores in scores.sets.items()
        if (score := set_scores.high_risk) is not None
    ]
    if not rows:
        return list(missing_note("No task here has a high-risk label."))
    lead = "A task may name one label that must not be missed. Recall is the share of its rows that were predicted."
    header = ("set", "label", "rows", "predicted", "recall, %")
    return [Paragraph(lead), TableBlock("Recall of the high-risk label.", header, tuple(rows))]


def _confusion_tables(scores: ScoreFile) -> list[Block]:
    lead = (
        "Rows are the labels of the data set, columns are the answers, shaded by their share of the row. "
        "Recall, precision and F1 are in percent."
    )
    tables = tuple(_confusion_table(name, set_scores) for name, set_scores in scores.sets.items())
    return [Paragraph(lead), BlockGroup(tables)]


def _confusion_table(name: str, set_scores: Scores) -> TableBlock:
    outcomes = [column for column in NO_LABEL_STATUSES if getattr(set_scores, column)]
    columns = [*set_scores.per_class, *outcomes]
    counts = [[set_scores.confusion[gold][column] for column in columns] for gold in set_scores.per_class]
    totals = [score.support for score in set_scores.per_class.values()]
    heat = heat_table(
        f"{name}, {set_scores.n:,} rows",
        "label",
        list(set_scores.per_class),
        columns,
        counts,
        row_totals=totals,
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
        for line, score in zip(heat.rows, set_scores.per_class.values(), strict=True)
    )
    header = (*heat.header, "recall", "precision", "F1")
    return TableBlock(heat.caption, header, rows, vertical_headers=heat.vertical_headers)


def _answers_without_label(scores: ScoreFile) -> list[Block]:
    lead = (
        "Answers that name no label, refuse or break off are counted here and count as wrong everywhere else."
    )
    rows = [
        named_row(
            name,
            [
                count_cell(set_scores.n),
                count_cell(set_scores.parsed),
                *(count_cell(getattr(set_scores, column)) for column in NO_LABEL_STATUSES),
                number_cell(100 * (set_scores.n - set_scores.parsed) / set_scores.n),
            ],
        )
        for name, set_scores in scores.sets.items()
    ]
    header = ("set", "rows", "parsed", *NO_LABEL_STATUSES, "without a label, %")
    return [Paragraph(lead), TableBlock("Answers by outcome.", header, tuple(rows))]


def _calibration(scores: ScoreFile) -> list[Block]:
    by_set = {
        name: set_scores.calibration
        for name, set_scores in scores.sets.items()
        if set_scores.calibration is not None
    }
    if not by_set:
        return list(missing_note("These answers have no probabilities."))
    rows = [
        named_row(name, [count_cell(part.n_ece), number_cell(part.brier, 3), number_cell(part.ece, 3)])
        for name, part in by_set.items()
    ]
    lead = (
        "Brier score: 0 is best, 2 is worst. Expected calibration error: mean gap between the probability of "
        "an answer and the accuracy of such answers, over ten bins; 0 is best."
    )
    header = ("set", "rows parsed", "Brier score", "calibration error")
    plots = tuple(
        FigureBlock("", reliability_plot(part.bins, name, label), label, small=True)
        for name, part in by_set.items()
        if part.n_ece
        and (label := f"{name}: accuracy against probability; calibration error {part.ece:.3f}.")
    )
    return [
        Paragraph(lead),
        TableBlock("Brier score and calibration error.", header, tuple(rows)),
        BlockGroup(plots),
    ]


def _as_published(scores: ScoreFile) -> list[Block]:
    lead = (
        "The published scripts look for the first known word in the text before “Reasoning:” and "
        "count answers without one as the negative or last label. These are their scores for the same answers."
    )
    rows = [
        named_row(
            name,
            [
                number_cell(scores.sets[name].weighted_f1),
                number_cell(published.weighted_f1),
                number_cell(scores.sets[name].accuracy),
                number_cell(published.accuracy),
                count_cell(published.n_defaulted),
                count_cell(published.n_differences),
                Cell(published.reason or ""),
            ],
        )
        for name, published in (scores.as_published or {}).items()
    ]
    header = (
        "set",
        "weighted F1",
        "as published",
        "accuracy",
        "as published",
        "by default",
        "readers differ",
        "why there is no score",
    )
    return [Paragraph(lead), TableBlock("Our reader and the published one.", header, tuple(rows))]


def _explanation_labels(scores: ScoreFile) -> list[Block]:
    lead = (
        f"A label reader ({scores.label_reader}) that has not seen these posts predicts the label from the explanation "
        "alone, with the answer removed. Where it agrees with the answers, explanations support the labels they are "
        "given for."
    )
    rows = [
        named_row(
            name,
            [
                count_cell(part.rows),
                count_cell(part.n_predicted),
                number_cell(part.f1_against_answers),
                number_cell(part.f1_against_gold),
            ],
        )
        for name, part in (scores.explanation_scores or {}).items()
    ]
    header = ("set", "answers", "predicted", "weighted F1 against the answers", "against the labels")
    return [Paragraph(lead), TableBlock("Labels predicted from explanations.", header, tuple(rows))]

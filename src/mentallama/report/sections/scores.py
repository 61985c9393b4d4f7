"""Sections on scores: by set, high-risk labels, confusion, outcomes, calibration, the published reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mentallama.evaluate.kinds.part_table import KIND_NOTES, KIND_TITLES, PARTS_PROBABILITY, applied_metrics
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import NO_LABEL_STATUSES, Scores
from mentallama.metrics import registry
from mentallama.metrics.calibration import CalibrationScores
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
    interval_cell,
    missing_note,
    named_row,
    number_cell,
)
from mentallama.report.plots import reliability_plot
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.parts import part_confusions
from mentallama.tasks.answer_kinds import AnswerKind


def sets_section(artifacts: RunArtifacts) -> Section | None:
    """All metrics of every set and question."""
    return _section(artifacts, "sets", "Scores by set and question", _set_table)


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


def _section(
    artifacts: RunArtifacts,
    section_id: str,
    title: str,
    blocks: Callable[[RunArtifacts, ScoreFile], Sequence[Block]],
) -> Section | None:
    """A section of blocks made from the scores; None without scores."""
    scores = artifacts.scores
    return None if scores is None else Section(section_id, title, tuple(blocks(artifacts, scores)))


def _set_table(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    kinds = [kind for kind in registry.KIND_METRICS if any(one.kind == kind for one in scores.sets.values())]
    blocks: list[Block] = []
    for kind in kinds:
        blocks.append(_kind_table(artifacts, scores, kind, is_only=kinds == ["choice"]))
        blocks += [Paragraph(KIND_NOTES[kind])] if KIND_NOTES[kind] else []
    note = (
        "A score on fewer rows than published is not a score on the published test set. "
        "Intervals resample posts, not rows. Unparsed, refused and truncated answers count as wrong."
    )
    return [*blocks, *_undefined_metrics(artifacts, scores), Paragraph(note)]


def _kind_table(artifacts: RunArtifacts, scores: ScoreFile, kind: AnswerKind, *, is_only: bool) -> TableBlock:
    """The sets of one kind of answer; their metrics are the columns."""
    metrics = applied_metrics(kind, scores.sets.values())
    first, *others = (metric.title for metric in metrics)
    published = ("published rows",) if kind == "choice" else ()  # the published sets ask for one label
    header = ("set", "rows", *published, "posts", first, "95 %", *others)
    rows: list[PageRow] = []
    for name, set_scores in scores.sets.items():
        if set_scores.kind != kind:
            continue
        expected = artifacts.published_test_rows(name)
        rows.append(named_row(artifacts.set_name(name), _score_cells(set_scores, metrics, expected)))
        rows += [
            named_row(question, _score_cells(part, metrics), is_subrow=True)
            for question, part in set_scores.by_question.items()
        ]
    answers = "" if is_only else f"; an answer is {KIND_TITLES[kind]}"
    caption = f"Test rows by set and question{answers}; {_UNITS[kind]}."
    return TableBlock(caption, header, tuple(rows), name="" if kind == "choice" else kind)


_UNITS: Mapping[AnswerKind, str] = {
    "choice": "shares in percent",
    "ordinal": "shares in percent, kappa and Spearman’s correlation up to 1",
    "multi": "in percent",
    "spans": "in percent",
    "scale": "shares in percent, kappa and correlation up to 1",
}


def _score_cells(
    set_scores: Scores,
    metrics: Sequence[registry.Metric | registry.KindMetric],
    expected: int | None = None,
) -> list[Cell]:
    first, *others = (number_cell(set_scores.metrics.get(metric.name), metric.digits) for metric in metrics)
    published = [count_cell(expected)] if set_scores.kind == "choice" else []
    counts = [count_cell(set_scores.n), *published, count_cell(set_scores.posts)]
    return [*counts, first, interval_cell(set_scores.weighted_f1_interval), *others]


def _undefined_metrics(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    """Why metrics of whole sets have no value."""
    titles = {metric.name: metric.title for of_kind in registry.KIND_METRICS.values() for metric in of_kind}
    sentences = [
        f"{artifacts.set_name(name)} has no {titles.get(metric, metric)}: {reason}."
        for name, one in scores.sets.items()
        for metric, reason in one.undefined.items()
    ]
    return [Paragraph(" ".join(sentences), missing=True)] if sentences else []


def _high_risk(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    rows = [
        named_row(
            artifacts.set_name(name),
            [Cell(score.label), count_cell(score.n), count_cell(score.hits), number_cell(score.recall)],
        )
        for name, set_scores in scores.sets.items()
        if (score := set_scores.high_risk) is not None
    ]
    if not rows:
        return list(missing_note("No task here has a high-risk label."))
    lead = "A task may name one label that must not be missed. Recall is the share of its rows that were predicted."
    header = ("set", "label", "rows", "predicted", "recall, %")
    return [Paragraph(lead), TableBlock("Recall of the high-risk label.", header, tuple(rows))]


def _confusion_tables(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    lead = (
        "Rows are the labels of the data set, columns are the answers, shaded by their share of the row. "
        "Recall, precision and F1 are in percent."
    )
    whole = [(artifacts.set_name(name), one) for name, one in scores.sets.items() if not one.parts]
    blocks: list[Block] = []
    if whole:
        levels = " Levels stand in their order." if any(one.kind == "ordinal" for _, one in whole) else ""
        tables = tuple(_confusion_table(name, set_scores) for name, set_scores in whole)
        blocks += [Paragraph(lead + levels), BlockGroup(tables)]
    return [
        *blocks,
        *part_confusions(artifacts, scores),
    ]


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
    return TableBlock(heat.caption, header, rows, vertical_headers=heat.vertical_headers, name=name)


def _answers_without_label(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    lead = (
        "Answers that name no label, refuse or break off are counted here and count as wrong everywhere else."
    )
    rows = [
        named_row(
            artifacts.set_name(name),
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


def _calibration(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    by_set = {
        artifacts.set_name(name): set_scores.calibration
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
    if any(set_scores.parts and set_scores.calibration for set_scores in scores.sets.values()):
        lead = f"{lead} {PARTS_PROBABILITY}"
    header = ("set", "rows parsed", "Brier score", "calibration error")
    plots = tuple(
        FigureBlock("", reliability_plot(part.bins, name, label), size="small", name=name)
        for name, part in by_set.items()
        if part.n_ece
        and (label := f"{name}: accuracy against probability; calibration error {part.ece:.3f}.")
    )
    return [
        Paragraph(lead),
        TableBlock("Brier score and calibration error.", header, tuple(rows)),
        *([BlockGroup(plots), _bin_table(by_set)] if plots else []),
    ]


def _bin_table(by_set: Mapping[str, CalibrationScores]) -> BlockGroup:
    """The numbers of the reliability plots."""
    rows = tuple(
        named_row(
            name,
            [
                interval_cell((part.low, part.high)),
                count_cell(part.n),
                number_cell(part.mean_probability, 3),
                number_cell(part.accuracy, 3),
            ],
        )
        for name, scores in by_set.items()
        for part in scores.bins
        if part.n
    )
    header = ("set", "probability", "answers", "mean probability", "accuracy")
    table = TableBlock("Numbers of the reliability plots, 0–1.", header, rows, name="bins")
    return BlockGroup((table,), collapsed_title="Numbers of these plots")


def _as_published(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    lead = (
        "The published scripts look for the first known word in the text before “Reasoning:” and "
        "count answers without one as the negative or last label. These are their scores for the same answers."
    )
    rows = [
        named_row(
            artifacts.set_name(name),
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
        "weighted F1 as published",
        "accuracy",
        "accuracy as published",
        "by default",
        "readers differ",
        "why there is no score",
    )
    return [Paragraph(lead), TableBlock("Our reader and the published one.", header, tuple(rows))]

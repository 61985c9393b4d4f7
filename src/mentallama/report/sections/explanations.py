"""Section on explanations: how many there are and how long, what they quote, their scores, examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import mean, quantiles

from mentallama.explanation_metrics.base import ScoreColumn
from mentallama.explanation_metrics.scoring import SetExplanationScores, scored_columns
from mentallama.report.answer_survey import AnswerSurvey, SetAnswers, ShownAnswer, mark_spans
from mentallama.report.page_model import (
    Block,
    Cell,
    FigureBlock,
    PageRow,
    Paragraph,
    PostExample,
    Section,
    TableBlock,
    count_cell,
    interval_cell,
    named_row,
    number_cell,
)
from mentallama.report.plots import histogram_plot
from mentallama.report.run_artifacts import RunArtifacts

HISTOGRAM_BINS = 20
WIDTHS = (1, 2, 5, 10, 20, 50, 100)
"""Widths of a histogram's bins, in words."""


def explanations_section(artifacts: RunArtifacts) -> Section | None:
    """The section on explanations; None if it has no answers to labelled test rows."""
    scored = artifacts.scores
    by_set = {} if artifacts.answers is None else artifacts.answers.by_set
    metrics = {} if scored is None else scored.explanation_metrics or {}
    if not by_set and not metrics:
        return None
    blocks = [
        *(_set_blocks(artifacts, by_set) if by_set else ()),
        *(_metric_blocks(artifacts, metrics) if metrics else ()),
        *(
            ()
            if scored is None or scored.judge is None
            else (Paragraph(f"{note}.") for note in scored.judge.notes())
        ),
        *_gate_findings(artifacts),
        *(() if artifacts.answers is None else _examples(artifacts, artifacts.answers)),
    ]
    return Section("explanations", "Explanations", tuple(blocks))


def _set_blocks(artifacts: RunArtifacts, by_set: Mapping[str, SetAnswers]) -> Iterator[Block]:
    words = [length for counts in by_set.values() for length in counts.words]
    if not words:
        yield Paragraph("None of the answers to the test rows has an explanation.", missing=True)
    else:
        yield Paragraph(
            "Answers to labelled test rows. A quotation is what stands in quotation marks; it is verbatim if the post "
            "has it word for word. Evidence spans are passages of the post that the model marks itself."
        )
    yield _explanation_table(artifacts, by_set)
    if words:
        yield _length_figure(words)


def _explanation_table(artifacts: RunArtifacts, by_set: Mapping[str, SetAnswers]) -> TableBlock:
    order = [name for name in artifacts.tasks if name in by_set]
    order += [name for name in by_set if name not in order]
    header = (
        "set",
        "answers",
        "with explanation",
        "with explanation, %",
        "words, median",
        "words, middle half",
        "quotations",
        "verbatim, %",
        "with evidence, %",
        "of the post, %",
    )
    rows = tuple(_explanation_row(artifacts.set_name(name), by_set[name]) for name in order)
    caption = "Explanations, their quotations and evidence spans; the last column is the mean share that spans cover."
    return TableBlock(caption, header, rows)


def _explanation_row(name: str, counts: SetAnswers) -> PageRow:
    low, median, high = _quartiles(counts.words)
    return named_row(
        name,
        [
            count_cell(counts.answers),
            count_cell(len(counts.words)),
            number_cell(_percent(len(counts.words), counts.answers), 1),
            number_cell(median, 0),
            interval_cell(None if low is None or high is None else (low, high), 0),
            count_cell(counts.quotes),
            number_cell(_percent(counts.verbatim_quotes, counts.quotes), 1),
            number_cell(_percent(counts.evidence, counts.answers), 1),
            number_cell(100 * mean(counts.evidence_shares) if counts.evidence_shares else None, 1),
        ],
    )


def _quartiles(values: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """The three quartiles; None without values.

    >>> _quartiles([1, 2, 3, 4, 5])
    (2.0, 3.0, 4.0)
    """
    if len(values) < 2:
        only = float(values[0]) if values else None
        return only, only, only
    low, median, high = quantiles(values, n=4, method="inclusive")
    return low, median, high


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _length_figure(words: Sequence[int]) -> FigureBlock:
    longest = max(words)
    width = next(
        (width for width in WIDTHS if longest < width * HISTOGRAM_BINS), longest // HISTOGRAM_BINS + 1
    )
    edges = list(range(0, longest + width + 1, width))
    counts = [sum(low <= length < high for length in words) for low, high in pairwise(edges)]
    _, median, _ = _quartiles(words)
    span = f"from {min(words):,} to {longest:,} words, median {median:.0f}"
    description = f"Length of {len(words):,} explanations: {span}."
    rows = tuple(
        named_row(f"{low}–{high - 1}" if width > 1 else str(low), [count_cell(count)])
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    )
    data = TableBlock("Numbers of this plot.", ("words", "answers"), rows)
    plot = histogram_plot(edges, counts, "words of the explanation", description)
    return FigureBlock("Length of the explanations, all sets.", plot, data, name="lengths")


def _metric_blocks(artifacts: RunArtifacts, by_set: Mapping[str, SetExplanationScores]) -> Iterator[Block]:
    """The share of answers that are right for a right reason, and the means of all metrics."""
    if any(part.right_reason is not None for part in by_set.values()):
        yield Paragraph(
            "Right label for a right reason: the label is right, the explanation alone implies it, and it quotes the "
            "post and nothing else. An explanation that quotes nothing does not count, since nothing in it can be "
            "looked up. Answers whose consistency could not be decided are left out."
        )
        yield _right_reason_table(artifacts, by_set)
    columns = scored_columns(by_set.values())
    header = ("set", "explanations", *(title for column in columns for title in (column.title, "95 %")))
    rows = tuple(
        named_row(
            artifacts.set_name(name),
            [count_cell(part.explained), *(cell for column in columns for cell in _mean_cells(part, column))],
        )
        for name, part in by_set.items()
    )
    caption = "Means of the explanation metrics, over the explanations that each could score."
    yield TableBlock(caption, header, rows, name="explanation-metrics")


def _mean_cells(part: SetExplanationScores, column: ScoreColumn) -> tuple[Cell, Cell]:
    score = part.columns.get(column.name)
    mean, interval = (None, None) if score is None else (score.mean, score.interval)
    return number_cell(mean, column.digits), interval_cell(interval, column.digits)


def _right_reason_table(artifacts: RunArtifacts, by_set: Mapping[str, SetExplanationScores]) -> TableBlock:
    header = (
        "set",
        "answers",
        "left out",
        "right for a right reason, %",
        "95 %",
        "right, %",
        "and consistent, %",
        "of these quoting nothing, % of answers",
    )
    rows = tuple(
        named_row(
            artifacts.set_name(name),
            [
                count_cell(score.n),
                count_cell(score.undecided),
                number_cell(score.share, 1),
                interval_cell(score.interval, 1),
                number_cell(score.right, 1),
                number_cell(score.consistent, 1),
                number_cell(score.unquoted, 1),
            ],
        )
        for name, part in by_set.items()
        if (score := part.right_reason) is not None
    )
    return TableBlock("Right label for a right reason.", header, rows, name="right-reason")


def _gate_findings(artifacts: RunArtifacts) -> Iterator[Block]:
    """The gates that failed teachers' responses, most first; the section on gates has the details."""
    report = artifacts.gates
    if report is None or not report.responses:
        return
    failing = sorted((gate for gate in report.gates if gate.failed), key=lambda gate: -gate.failed)
    listed = ", ".join(
        f"{gate.gate} {gate.failed:,} ({100 * gate.failed / gate.judged:.1f} %)" for gate in failing
    )
    yield Paragraph(
        f"Gates that failed some of the {report.responses:,} responses from which explanations for training were "
        f"chosen: {listed or 'none'}."
    )


def _examples(artifacts: RunArtifacts, answers: AnswerSurvey) -> Iterator[Block]:
    shown = answers.shown()
    if shown:
        yield Paragraph(
            "Examples, about synthetic posts that were written for this project. Evidence is marked. Posts of people "
            "are never shown on this page."
        )
    for example in shown:
        yield _example(artifacts, example)


def _example(artifacts: RunArtifacts, shown: ShownAnswer) -> PostExample:
    question, reading = shown.question, shown.prediction.reading
    probability = shown.prediction.probabilities.get(reading.label or "")
    facts = [
        ("question", question.question),
        ("label of the data set", question.label),
        ("answer", reading.label or reading.status),
        *([] if probability is None else [("probability", f"{probability:.2f}")]),
        ("explanation", reading.explanation),
    ]
    parts = mark_spans(question.text, shown.prediction.evidence)
    return PostExample(f"A synthetic post, {artifacts.set_name(question.set)}.", parts, tuple(facts))

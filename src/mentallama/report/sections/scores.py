"""The sections about scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mentallama.evaluate.paper_results import Line, pool, published_numbers
from mentallama.evaluate.score_file import ScoreFile
from mentallama.metrics.classification import LOST, Scores
from mentallama.report.page_model import (
    Block,
    Cell,
    Figure,
    Group,
    Row,
    Section,
    Table,
    Text,
    count,
    matrix,
    missing,
    number,
    row,
)
from mentallama.report.plots import Whisker, forest, reliability
from mentallama.report.run_artifacts import Material
from mentallama.tasks import Task

OURS = "this run"
ABSENT = "There is no evaluate/scores.json in this run, so nothing is known of its scores."


def result_sections(material: Material, tasks: Mapping[str, Task]) -> list[Section]:
    """Table 2, the plot, every set and question, confusion, unread answers, calibration."""
    scores = material.scores
    if scores is None:
        return [Section("results", "Results", missing(ABSENT))]
    return [
        Section("results", "Results beside the paper", tuple(_pooled(scores, material))),
        Section("sets", "Every set and question", tuple(_every(scores, tasks))),
        Section("grave", "The label whose miss costs most", tuple(_grave(scores))),
        Section("confusion", "What was taken for what", tuple(_confusion(scores))),
        Section("unread", "Answers that gave no label", tuple(_lost(scores))),
        Section("calibration", "Whether probabilities mean what they say", tuple(_calibration(scores))),
        *_as_published(scores),
        *_from_explanations(scores),
    ]


def _pooled(scores: ScoreFile, material: Material) -> list[Block]:
    unseen = _unseen(material)
    kept = {name: value for name, value in scores.weighted_f1().items() if name in unseen}
    blocks: list[Block] = [_table2(scores.weighted_f1(), "Weighted F1 on the test sets, in percent.")]
    if kept:
        blocks.append(Text(f"{', '.join(kept)}: held out in this run, to be compared with the table below."))
        blocks.append(_table2(kept, "Weighted F1 of models trained without the sets below.", held_out=True))
    if scores.sets:
        blocks.append(_forest(scores, unseen))
    blocks.append(Text(f"Published numbers: {published_numbers().source}."))
    if scores.missing_reasons:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in scores.missing_reasons.items())
        blocks.append(Text(f"Without a score: {reasons}.", missing=True))
    return blocks


def _unseen(material: Material) -> frozenset[str]:
    """Sets that the collected data allow to be called unseen."""
    held_out = material.collected.held_out if material.collected is not None else None
    return frozenset(held_out.sets) if held_out is not None and held_out.claim else frozenset()


def _table2(ours: Mapping[str, float], caption: str, held_out: bool = False) -> Table:
    header, lines = pool([Line(name=OURS, weighted_f1=dict(ours))], held_out)
    rows = [
        row(name, (Cell(value, number=True) for value in values), ours=name == OURS)
        for name, *values in lines
    ]
    return Table(caption, ("model", *header[1:]), tuple(rows))


def _forest(scores: ScoreFile, unseen: frozenset[str]) -> Figure:
    paper = published_numbers()
    marked = paper.marked().weighted_f1
    held_out = paper.marked(held_out=True).weighted_f1
    order = [name for name in paper.columns if name in scores.sets]
    order += [name for name in scores.sets if name not in order]
    whiskers = [
        Whisker(
            paper.columns.get(name, name),
            scores.sets[name].weighted_f1,
            scores.sets[name].interval,
            (held_out if name in unseen else marked).get(name),
        )
        for name in order
    ]
    values = ", ".join(f"{one.name} {one.value:.1f}" for one in whiskers)
    description = f"Weighted F1 by set, this run: {values}. The tables above give the published values."
    caption = (
        f"Weighted F1 with 95 % interval ({scores.resampling.resamples:,} resamples of posts). "
        f"Diamond: {paper.mark} as published on the full test sets"
        + (", for sets held out here its held-out value." if unseen else ".")
    )
    return Figure(caption, forest(whiskers, f"{paper.mark}, published", description), description)


def _every(scores: ScoreFile, tasks: Mapping[str, Task]) -> list[Block]:
    measures = ("weighted F1", "95 %", "accuracy", "macro F1", "micro F1")
    header = ("set", "rows", "published rows", "posts", *measures)
    rows: list[Row] = []
    for name, one in scores.sets.items():
        expected = tasks[name].expected.test if name in tasks else None
        rows.append(row(name, _measures(one, expected)))
        rows += [row(question, _measures(part), part=True) for question, part in one.questions.items()]
    note = (
        "A score on fewer rows than published is no score on the published test set. "
        "Intervals come from drawing posts, not rows. Unread, refused and cut answers count as wrong."
    )
    return [Table("Test rows by set and question; shares in percent.", header, tuple(rows)), Text(note)]


def _measures(one: Scores, expected: int | None = None) -> list[Cell]:
    interval = "–" if one.interval is None else "–".join(f"{end:.1f}" for end in one.interval)
    shares = [number(share) for share in (one.accuracy, one.macro_f1, one.micro_f1)]
    counts = [count(one.n), count(expected), count(one.posts)]
    return [*counts, number(one.weighted_f1), Cell(interval, number=True), *shares]


def _grave(scores: ScoreFile) -> list[Block]:
    rows = [
        row(name, [Cell(grave.label), count(grave.n), count(grave.found), number(grave.recall)])
        for name, one in scores.sets.items()
        if (grave := one.grave) is not None
    ]
    if not rows:
        return list(missing("No task here names such a label."))
    lead = (
        "Each task may name one label that must not be missed. "
        "Recall is the share of its rows that was found."
    )
    header = ("set", "label", "rows", "found", "recall, %")
    return [Text(lead), Table("Recall of the grave label.", header, tuple(rows))]


def _confusion(scores: ScoreFile) -> list[Block]:
    lead = (
        "Rows are gold labels, columns what was answered, shaded by their share of the row. "
        "Recall, precision and F1 are in percent."
    )
    tables = tuple(_confusion_of(name, one) for name, one in scores.sets.items())
    return [Text(lead), Group(tables)]


def _confusion_of(name: str, one: Scores) -> Table:
    lost = [column for column in LOST if getattr(one, column)]
    columns = [*one.per_class, *lost]
    counts = [[one.confusion[gold][column] for column in columns] for gold in one.per_class]
    wholes = [score.support for score in one.per_class.values()]
    heat = matrix(f"{name}, {one.n:,} rows", "gold", list(one.per_class), columns, counts, wholes=wholes)
    rows = tuple(
        Row((*line.cells, number(score.recall, 1), number(score.precision, 1), number(score.f1, 1)))
        for line, score in zip(heat.rows, one.per_class.values(), strict=True)
    )
    header = (*heat.header, "recall", "precision", "F1")
    return Table(heat.caption, header, rows, upright=heat.upright)


def _lost(scores: ScoreFile) -> list[Block]:
    lead = (
        "An answer that could not be read, was refused or broke off is counted here "
        "and is wrong everywhere else."
    )
    rows = [
        row(
            name,
            [
                count(one.n),
                count(one.read),
                *(count(getattr(one, column)) for column in LOST),
                number(100 * (one.n - one.read) / one.n),
            ],
        )
        for name, one in scores.sets.items()
    ]
    header = ("set", "rows", "read", *LOST, "without a label, %")
    return [Text(lead), Table("What became of the answers.", header, tuple(rows))]


def _calibration(scores: ScoreFile) -> list[Block]:
    found = {name: one.calibration for name, one in scores.sets.items() if one.calibration is not None}
    if not found:
        return list(missing("These answers came without probabilities."))
    rows = [
        row(name, [count(one.n), number(one.brier, 3), number(one.ece, 3)]) for name, one in found.items()
    ]
    lead = (
        "Brier score: 0 is best, 2 is worst. Expected calibration error: mean gap between a label's "
        "probability and the share of such answers that is right, over ten bins; 0 is best."
    )
    header = ("set", "rows read", "Brier score", "calibration error")
    plots = tuple(
        Figure("", reliability(one.bins, name, label), label, small=True)
        for name, one in found.items()
        if one.n and (label := f"{name}: share right against probability; calibration error {one.ece:.3f}.")
    )
    return [Text(lead), Table("Calibration.", header, tuple(rows)), Group(plots)]


def _as_published(scores: ScoreFile) -> Sequence[Section]:
    if scores.as_published is None:
        return ()
    lead = (
        "The published scripts look for the first known word in what stands before “Reasoning:” and "
        "count unreadable answers as the negative or last label. This is what they would have said of "
        "the same answers."
    )
    rows = [
        row(
            name,
            [
                number(scores.sets[name].weighted_f1),
                number(one.weighted_f1),
                number(scores.sets[name].accuracy),
                number(one.accuracy),
                count(one.by_default),
                count(one.differ),
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
    table = Table("Our reader and the published one.", header, tuple(rows))
    return [Section("as-published", "Read as published", (Text(lead), table))]


def _from_explanations(scores: ScoreFile) -> Sequence[Section]:
    if not scores.from_explanations:
        return ()
    lead = (
        f"A label reader ({scores.reader}) that has not seen these posts tells the label from the explanation alone, "
        "its answer taken out. Where it agrees with the answers, explanations stand for the labels that they are "
        "given for."
    )
    rows = [
        row(name, [count(one.rows), count(one.told), number(one.of_answers), number(one.of_gold)])
        for name, one in scores.from_explanations.items()
    ]
    header = ("set", "answers", "told", "weighted F1 against the answers", "against gold")
    table = Table("Labels told from explanations.", header, tuple(rows))
    return [Section("from-explanations", "Labels told from explanations", (Text(lead), table))]

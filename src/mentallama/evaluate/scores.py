"""Scores of rows, and of sets: the metrics of the registry, a confidence interval, counts and calibration.

Unparsed, refused and truncated answers are misses of the gold label and never a class of their own. Answers of several
parts (`tasks.answer_kinds`) are counted by part: a class of F1 is a label that is present, an item with a level, or a
token in a quotation of a type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mentallama.evaluate.kinds.part_counts import (
    class_names,
    counts_by_row,
    high_risk_parts,
    part_confusions,
    scored_answers,
)
from mentallama.evaluate.kinds.part_probabilities import (
    answer_probability,
    high_risk_probability,
    mean_brier_score,
)
from mentallama.evaluate.kinds.token_positions import gold_positions, predicted_positions
from mentallama.metrics import registry
from mentallama.metrics.bootstrap import (
    Resampling,
    Statistic,
    bootstrap_interval,
    post_indices,
)
from mentallama.metrics.calibration import CalibrationScores, calibration_scores
from mentallama.metrics.classification import (
    ConfusionCounts,
    percent,
    round_interval,
    round_score,
    weighted_f1,
)
from mentallama.metrics.kinds.answer_levels import ClassTotals, ScoredAnswers
from mentallama.metrics.selective_prediction import Abstention, ReviewRecall, RiskCoverage
from mentallama.records import READING_STATUSES, Example, Reading, ReadingStatus, Record
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import NONE, AnswerKind
from mentallama.text.fingerprint import key_hash, text_key

NO_LABEL_STATUSES = READING_STATUSES[1:]
"""The three outcomes without a label: unparsed, refused, truncated. They are the last columns of confusion counts."""

NOTHING_TO_FIND = "no gold answer has a label, quotation or filled item that could be found"


class ScoredRow(Record):
    """One labelled row with its score.

    `predicted` is a label exactly if `status` is "parsed": an unparsed, refused or truncated answer is wrong and is
    never a class. `probability` (0-1) is the model's probability of `predicted`, `high_risk_probability` that
    of the set's high-risk label; `brier` is the row's Brier score over all labels (0 best, 2 worst). All are None where
    there are no probabilities.

    Answers of several parts are their canonical text (`tasks.answer_values`). Those made of quotations are positions,
    so that no text of a post stands here: `sleep: 3-5; low mood: ?4` is a passage of tokens 3 and 4 of the post,
    counted from 0, and one of 4 tokens that does not stand in it. The probability of several parts is the product of
    theirs, and None for quotations; their Brier score is the mean over parts.

    `post_id` tells posts of one run apart. `post_hash` is that of the post's letters, by which the same post is found
    in other runs and in outputs of other tools; "" where the text is not known.
    """

    example_id: str
    set: str
    question: str
    post_id: str
    post_hash: str = ""
    gold: str
    status: ReadingStatus
    predicted: str | None = None
    probability: float | None = None
    high_risk_probability: float | None = None
    brier: float | None = None

    @property
    def correct(self) -> bool:
        """Whether the predicted label is the gold label."""
        return self.predicted == self.gold


def score_row(
    example: Example, reading: Reading, probabilities: Mapping[str, float], task: Task
) -> ScoredRow:
    """Score one answer against the example's gold label.

    The text of the example is cleaned, as posts of a run are; it is needed where answers are made of quotations.

    Raises
    ------
    ValueError
        The example has no gold label, or a gold answer quotes what does not stand in the text.
    """
    if example.label is None:
        raise ValueError(f"example {example.id} has no label to score against")
    predicted = reading.label if reading.status == "parsed" else None
    gold, answer = _as_scored(task, example.text, example.label, predicted)
    return ScoredRow(
        example_id=example.id,
        set=example.task,
        question=example.question,
        post_id=example.post_id,
        post_hash=f"{key_hash(text_key(example.text) or example.text):016x}" if example.text else "",
        gold=gold,
        status=reading.status,
        predicted=answer,
        probability=None if predicted is None else answer_probability(task, predicted, probabilities),
        high_risk_probability=high_risk_probability(task, probabilities),
        brier=mean_brier_score(task, example.label, probabilities),
    )


def _as_scored(task: Task, text: str, gold: str, predicted: str | None) -> tuple[str, str | None]:
    """Gold answer and prediction as scored rows hold them."""
    if task.kind != "spans":
        return gold, predicted
    positions = gold_positions(task, text, gold)
    return positions, None if predicted is None else predicted_positions(task, text, predicted, positions)


class ClassScore(Record):
    """Scores of one label, in percent; None where the denominator is 0 (see `support` and `predicted`)."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


class HighRiskScore(Record):
    """Recall, in percent, of the label whose misses are most costly; None if no row has it as its gold label.

    `n` rows have the label, of which `hits` were predicted. Of answers of several parts it is the label that is
    present, the type that is quoted, or an item at that level.
    """

    label: str
    recall: float | None
    n: int
    hits: int


class PartScore(Record):
    """One part of the answers of several parts.

    `n` rows have a gold level of it, all rows of other kinds than scale. `metrics` are those of
    `metrics.registry.PART_METRICS`, `undefined` those without a value, and why. `confusion` counts rows: gold level ->
    predicted level, unparsed, refused or truncated; in scales also "not filled".
    """

    n: int
    metrics: dict[str, float] = {}
    undefined: dict[str, str] = {}
    confusion: dict[str, dict[str, int]]


class Scores(Record):
    """All metrics of one list of rows. Values are rounded to 4 decimals."""

    n: int
    posts: int
    kind: AnswerKind = "choice"
    """Kind of answer of the task."""
    metrics: dict[str, float]
    """Name in `metrics.registry` (`metrics_of` the kind) -> value; in percent unless the title says otherwise."""
    undefined: dict[str, str] = {}
    """Name of a metric that these rows give no value -> why."""
    weighted_f1_interval: tuple[float, float] | None
    """95 % bootstrap interval over posts; None with fewer than two posts."""
    parsed: int
    unparsed: int
    refused: int
    truncated: int
    high_risk: HighRiskScore | None
    calibration: CalibrationScores | None
    risk_coverage: RiskCoverage | None = None
    """None where there are no probabilities."""
    review: ReviewRecall | None = None
    """Recall of the high-risk label where people review the rows that most probably have it."""
    abstention: Abstention | None = None
    """Scores of the answers above a threshold that is chosen on validation rows; None without a run of a recipe."""
    per_class: dict[str, ClassScore]
    """By label, by `ITEM: LEVEL` in scales, by type in spans, where it counts tokens instead of rows."""
    confusion: dict[str, dict[str, int]]
    """Gold label -> predicted label, unparsed, refused or truncated -> rows; empty for answers of several parts."""
    parts: dict[str, PartScore] = {}
    """By label, item or type of answers of several parts."""
    by_question: dict[str, Scores] = {}
    """The same by question, for a set that asks several."""

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """The main figures; confusion counts and classes are asked for by name."""
        counts = {name: getattr(self, name) for name in ("n", "posts", *READING_STATUSES)}
        shown = {**self.metrics, "weighted_f1_interval": self.weighted_f1_interval, **counts}
        return list(shown.items())

    @property
    def weighted_f1(self) -> float:
        """Weighted F1, in percent."""
        return self.metrics["weighted_f1"]

    @property
    def accuracy(self) -> float:
        """Share of all rows that are correct, in percent."""
        return self.metrics["accuracy"]

    @property
    def macro_f1(self) -> float:
        """Macro F1, in percent."""
        return self.metrics["macro_f1"]


def compute_scores(rows: Sequence[ScoredRow], task: Task, resampling: Resampling | None = None) -> Scores:
    """All metrics of one set's rows, and by question where the set asks several.

    Raises
    ------
    ValueError
        There are no rows, or nothing in their gold answers can be found (`nothing_to_find`): they have no score.
    """
    resampling = resampling or Resampling()
    rows_by_question = {name: [row for row in rows if row.question == name] for name in task.questions}
    by_question = {
        name: _scores_of_rows(part, task, resampling)
        for name, part in rows_by_question.items()
        if part and len(task.questions) > 1 and not nothing_to_find(part, task)
    }
    return _scores_of_rows(rows, task, resampling).model_copy(update={"by_question": by_question})


def nothing_to_find(rows: Sequence[ScoredRow], task: Task) -> bool:
    """Whether all gold answers are without any label, quotation or filled item, so that F1 has no value."""
    return task.is_composite and all(row.gold == NONE for row in rows)


def counts_by_post(rows: Sequence[ScoredRow], task: Task) -> ConfusionCounts:
    """Counts of each post that F1 is computed from, posts in order of their first row.

    Confusion counts as in `confusion_by_post`; of answers of several parts hits, gold and predicted of each class, of
    shape (posts, classes, 3).
    """
    if not task.is_composite:
        return confusion_by_post(rows, list(task.labels))
    posts = post_indices([row.post_id for row in rows])
    counts = counts_by_row(task, [row.gold for row in rows], [row.predicted for row in rows])
    sums = np.zeros((int(posts.max(initial=-1)) + 1, *counts.shape[1:]), dtype=np.int64)
    np.add.at(sums, posts, counts)
    return sums


def class_totals(counts: ConfusionCounts, task: Task) -> ClassTotals:
    """Hits, gold and predicted of each class, from counts of `counts_by_post`."""
    return ClassTotals.of_counts(counts) if task.is_composite else ClassTotals.of_confusion(counts)


def weighted_f1_of(task: Task) -> Statistic:
    """Weighted F1, in percent, of counts of `counts_by_post`; NaN where no class occurs in gold answers."""
    return (lambda sums: ClassTotals.of_counts(sums).weighted_f1()) if task.is_composite else weighted_f1


def _scores_of_rows(rows: Sequence[ScoredRow], task: Task, resampling: Resampling) -> Scores:
    if not rows:
        raise ValueError(f"{task.set}: no rows to score")
    if nothing_to_find(rows, task):
        raise ValueError(f"{task.set}: {NOTHING_TO_FIND}")
    by_post = counts_by_post(rows, task)
    counts: ConfusionCounts = by_post.sum(axis=0)
    classes = class_totals(counts, task)
    golds, predicted = [row.gold for row in rows], [row.predicted for row in rows]
    answers = None if task.kind == "choice" else scored_answers(task, golds, predicted, classes)
    metrics, undefined = _metric_values(counts, answers, task.kind)
    outcomes = Counter(row.status for row in rows)
    return Scores(
        n=len(rows),
        posts=len(by_post),
        kind=task.kind,
        metrics=metrics,
        undefined=undefined,
        weighted_f1_interval=round_interval(bootstrap_interval(by_post, weighted_f1_of(task), resampling)),
        parsed=outcomes["parsed"],
        unparsed=outcomes["unparsed"],
        refused=outcomes["refused"],
        truncated=outcomes["truncated"],
        high_risk=_high_risk_score(rows, task),
        calibration=calibration_scores(
            [row.brier for row in rows if row.brier is not None],
            [(row.probability, row.correct) for row in rows if row.probability is not None],
        ),
        per_class=_class_scores(classes, class_names(task)),
        confusion={} if task.is_composite else _confusion_by_name(counts, list(task.labels)),
        parts={} if answers is None or not task.is_composite else _part_scores(rows, task, answers),
    )


def _metric_values(
    counts: ConfusionCounts, answers: ScoredAnswers | None, kind: AnswerKind
) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics with a value, and why others have none."""
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for metric in registry.metrics_of(kind):
        if isinstance(metric, registry.Metric):
            values[metric.name] = round_score(metric.compute(counts))
        else:
            assert answers is not None, "choice has no metrics of its kind"
            _add_value(metric, answers, values, undefined)
    return values, undefined


def _add_value(
    metric: registry.KindMetric,
    answers: ScoredAnswers,
    values: dict[str, float],
    undefined: dict[str, str],
) -> None:
    """Compute a metric, and add it to one of the two; to neither if it does not apply to the task."""
    if not metric.applies(answers):
        return
    value = metric.compute(answers)
    if value is None:
        undefined[metric.name] = metric.undefined
    else:
        values[metric.name] = round_score(value)


def _part_scores(rows: Sequence[ScoredRow], task: Task, answers: ScoredAnswers) -> dict[str, PartScore]:
    golds, outcomes = [row.gold for row in rows], [row.predicted or row.status for row in rows]
    confusions = part_confusions(task, golds, outcomes, NO_LABEL_STATUSES)
    parts = {}
    for index, part in enumerate(task.parts):
        values: dict[str, float] = {}
        undefined: dict[str, str] = {}
        for metric in registry.PART_METRICS[task.kind]:
            _add_value(metric, answers.of_part(index), values, undefined)
        confusion = confusions[part.name]
        n = sum(sum(confusion[level].values()) for level in part.levels)
        parts[part.name] = PartScore(n=n, metrics=values, undefined=undefined, confusion=confusion)
    return parts


def confusion_by_post(rows: Sequence[ScoredRow], labels: Sequence[str]) -> ConfusionCounts:
    """Confusion counts of each post, shape (posts, labels, labels + 3), posts in order of their first row."""
    column = {name: index for index, name in enumerate((*labels, *NO_LABEL_STATUSES))}
    posts: dict[str, int] = {}
    cells = [
        (posts.setdefault(row.post_id, len(posts)), column[row.gold], column[row.predicted or row.status])
        for row in rows
    ]
    counts = np.zeros((len(posts), len(labels), len(column)), dtype=np.int64)
    np.add.at(counts, tuple(np.array(cells).T), 1)
    return counts


def _class_scores(classes: ClassTotals, names: Sequence[str]) -> dict[str, ClassScore]:
    columns = zip(
        names, classes.hits.tolist(), classes.gold.tolist(), classes.predicted.tolist(), strict=True
    )
    return {
        label: ClassScore(
            precision=percent(hits, predicted),
            recall=percent(hits, gold),
            f1=percent(2 * hits, gold + predicted),
            support=gold,
            predicted=predicted,
        )
        for label, hits, gold, predicted in columns
    }


def _high_risk_score(rows: Sequence[ScoredRow], task: Task) -> HighRiskScore | None:
    if task.high_risk_label is None:
        return None
    hits = n = 0
    for row in rows:
        gold = high_risk_parts(task, row.gold)
        n += len(gold)
        hits += len(gold & high_risk_parts(task, row.predicted))
    return HighRiskScore(label=task.high_risk_label, recall=percent(hits, n), n=n, hits=hits)


def _confusion_by_name(counts: ConfusionCounts, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """The confusion counts by name, zeros included."""
    columns = (*labels, *NO_LABEL_STATUSES)
    lines = zip(labels, counts.tolist(), strict=True)
    return {gold: dict(zip(columns, line, strict=True)) for gold, line in lines}

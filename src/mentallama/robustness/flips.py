"""Flips: labels that differ between a post and its perturbed copy, and their rates with intervals over posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.bootstrap import Interval, Resampling, bootstrap_interval, mean_interval
from mentallama.metrics.classification import percent, round_score, weighted_f1
from mentallama.records import Example, Reading, ReadingStatus, Record
from mentallama.tasks import Task


class FlipRow(Record):
    """One answer and that to the perturbed copy: a line of `flips.jsonl.zst`. Labels are None unless parsed."""

    example_id: str
    post_id: str
    set: str
    question: str
    model: str
    perturbation: str
    gold: str | None
    label: str | None
    status: ReadingStatus
    perturbed_label: str | None
    perturbed_status: ReadingStatus


class FlipScore(Record):
    """How one perturbation changes one model's answers about one set; percentages are rounded to 4 decimals.

    `pairs` counts the rows where both answers have a label, `flips` those of them whose labels differ, `rate` is their
    share in percent with its 95 % `interval` over posts. `lost` had a label before and none after, `gained` the
    reverse; rows without a label on either side count in none of these. `unchanged` rows are those that the
    perturbation leaves as they are, so they were not asked about again.

    `toward_high_risk` and `from_high_risk` count the flips that end and begin at the set's high-risk label; None for a
    set without one. `f1_before` and `f1_after` are weighted F1 over the same `labelled` rows, with their difference
    `f1_change`; answers without a label count as wrong. They are None without labelled rows.
    """

    model: str
    perturbation: str
    set: str
    pairs: int
    posts: int
    flips: int
    rate: float | None
    interval: Interval | None
    lost: int
    gained: int
    unchanged: int
    toward_high_risk: int | None
    from_high_risk: int | None
    labelled: int
    f1_before: float | None
    f1_after: float | None
    f1_change: float | None
    f1_change_interval: Interval | None


class NegationScore(Record):
    """How one model answers minimal pairs about one question.

    Of `pairs` whose texts were both answered, the model gave the right label to `stated` of the texts that state the
    symptom. Of these, `changed` got the right other label once the statement was negated: `rate` in percent, with its
    95 % interval over pairs. High is good.
    """

    model: str
    set: str
    question: str
    pairs: int
    stated: int
    changed: int
    rate: float | None
    interval: Interval | None


def flip_row(example: Example, model: str, perturbation: str, before: Reading, after: Reading) -> FlipRow:
    """Compare the answers to an example before and after a perturbation."""
    return FlipRow(
        example_id=example.id,
        post_id=example.post_id,
        set=example.task,
        question=example.question,
        model=model,
        perturbation=perturbation,
        gold=example.label,
        label=before.label,
        status=before.status,
        perturbed_label=after.label,
        perturbed_status=after.status,
    )


@dataclass
class PairedAnswers:
    """The answers of one model about one set before and after one perturbation."""

    posts: list[str] = field(default_factory=list)
    labels: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
    """(before, after, gold) by row."""
    unchanged: int = 0

    def add(self, row: FlipRow) -> None:
        self.posts.append(row.post_id)
        self.labels.append((row.label, row.perturbed_label, row.gold))

    def score(self, model: str, perturbation: str, task: Task, resampling: Resampling) -> FlipScore:
        """The rates of this comparison."""
        both = [
            (post, before, after)
            for post, (before, after, _) in zip(self.posts, self.labels, strict=True)
            if before is not None and after is not None
        ]
        flipped = [before != after for _, before, after in both]
        posts = [post for post, _, _ in both]
        high_risk = task.high_risk_label
        changes = [(before, after) for _, before, after in both if before != after]
        return FlipScore(
            model=model,
            perturbation=perturbation,
            set=task.set,
            pairs=len(both),
            posts=len(set(posts)),
            flips=sum(flipped),
            rate=percent(sum(flipped), len(both)),
            interval=_percent_interval(flipped, posts, resampling),
            lost=sum(before is not None and after is None for before, after, _ in self.labels),
            gained=sum(before is None and after is not None for before, after, _ in self.labels),
            unchanged=self.unchanged,
            toward_high_risk=None if high_risk is None else sum(after == high_risk for _, after in changes),
            from_high_risk=None if high_risk is None else sum(before == high_risk for before, _ in changes),
            **self._f1_change(list(task.labels), resampling),
        )

    def _f1_change(self, labels: Sequence[str], resampling: Resampling) -> dict[str, Any]:
        """Weighted F1 before and after over the labelled rows, and the difference with its interval."""
        counts = self._confusion_by_post(labels)
        if not len(counts):
            return {
                "labelled": 0,
                **dict.fromkeys(("f1_before", "f1_after", "f1_change", "f1_change_interval")),
            }
        before, after = weighted_f1(counts.sum(axis=0))
        interval = bootstrap_interval(counts, _f1_difference, resampling)
        return {
            "labelled": int(counts[:, 0].sum()),
            "f1_before": round_score(float(before)),
            "f1_after": round_score(float(after)),
            "f1_change": round_score(float(after - before)),
            "f1_change_interval": _rounded(interval),
        }

    def _confusion_by_post(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Confusion counts before and after, shape (posts, 2, labels, labels + 1); the last column: no label."""
        column: Mapping[str | None, int] = {name: index for index, name in enumerate((*labels, None))}
        posts: dict[str, int] = {}
        cells = [
            (posts.setdefault(post, len(posts)), side, column[gold], column[answer])
            for post, (before, after, gold) in zip(self.posts, self.labels, strict=True)
            if gold is not None
            for side, answer in enumerate((before, after))
        ]
        counts = np.zeros((len(posts), 2, len(labels), len(labels) + 1), dtype=np.int64)
        if cells:
            np.add.at(counts, tuple(np.array(cells).T), 1)
        return counts


def _f1_difference(counts: NDArray[Any]) -> NDArray[np.float64]:
    scores = weighted_f1(counts)
    difference: NDArray[np.float64] = scores[:, 1] - scores[:, 0]
    return difference


@dataclass
class NegatedPairs:
    """Answers to minimal pairs about one question: for each pair, whether either text got its right label."""

    answers: list[tuple[bool, bool]] = field(default_factory=list)

    def score(self, model: str, name: str, question: str, resampling: Resampling) -> NegationScore:
        """The share of statements understood whose negation was understood too."""
        changed = [negated for stated, negated in self.answers if stated]
        return NegationScore(
            model=model,
            set=name,
            question=question,
            pairs=len(self.answers),
            stated=len(changed),
            changed=sum(changed),
            rate=percent(sum(changed), len(changed)),
            interval=_percent_interval(changed, list(map(str, range(len(changed)))), resampling),
        )


def _percent_interval(
    values: Sequence[bool], posts: Sequence[str], resampling: Resampling
) -> Interval | None:
    """Interval of a share in percent, over posts.

    Resampling equal values gives no interval; theirs is the exact one of Clopper and Pearson (1934), of the posts.
    """
    if not values:
        return None
    if len(set(values)) > 1:
        return _rounded(mean_interval([100.0 * value for value in values], posts, resampling))
    beyond = 100 * (1 - ((1 - resampling.confidence) / 2) ** (1 / len(set(posts))))
    return _rounded((100 - beyond, 100.0) if values[0] else (0.0, beyond))


def _rounded(interval: Interval | None) -> Interval | None:
    return None if interval is None else (round_score(interval[0]), round_score(interval[1]))

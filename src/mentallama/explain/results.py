"""Schemas of the files of the explain stage: evidence by answer and method, its tests by set, and the time it took."""

from __future__ import annotations

from mentallama.explain.deletion import DeletionCurve
from mentallama.metrics.bootstrap import Interval
from mentallama.records import Record, Span


class Plausibility(Record):
    """Agreement of evidence with the passages that annotators marked for the same label, 0-1.

    `token_f1` and `iou_f1` are of the quoted passages, `auprc` is of the ranking of all words.
    """

    token_f1: float
    iou_f1: float
    auprc: float


class EvidenceRow(Record):
    """The evidence of one method for one answer, without any text: a line of `evidence.jsonl.zst`.

    `label` is the answer's, of quotations their types. `spans` are what would be quoted.
    `units` and `weights` are all parts of the post and their contributions to the label's log-odds.
    `top` is about the words with the largest weights, `matched` about random words in passages of the same lengths.
    `plausibility` is None unless annotators marked passages for this label.
    """

    example_id: str
    post_id: str
    set: str
    question: str
    label: str
    method: str
    spans: tuple[Span, ...] = ()
    units: tuple[tuple[int, int], ...] = ()
    weights: tuple[float, ...] = ()
    completeness_gap: float | None = None
    top: DeletionCurve
    matched: DeletionCurve
    plausibility: Plausibility | None = None

    @property
    def contributions(self) -> tuple[Span, ...]:
        """The units as spans."""
        return tuple(
            Span(start=start, end=end, weight=weight)
            for (start, end), weight in zip(self.units, self.weights, strict=True)
        )


class Estimate(Record):
    """A mean over answers, with its 95 % interval over posts; without one if there are fewer than two posts."""

    value: float
    interval: Interval | None = None


class PairedEstimate(Estimate):
    """A mean paired difference. `p_value` is that of a two-sided permutation test over posts, adjusted by Holm's method
    over the methods of the set."""

    p_value: float


class Contrast(Record):
    """Differences of a method from another choice of words. Positive comprehensiveness and negative sufficiency are in
    the method's favour."""

    comprehensiveness: PairedEstimate
    sufficiency: PairedEstimate


class PlausibilityMeans(Record):
    """Means over the `rows` answers for whose label annotators marked passages, 0-1."""

    rows: int
    token_f1: Estimate
    iou_f1: Estimate
    auprc: Estimate


class MethodFaithfulness(Record):
    """One method on one set.

    `removed` and `kept` are mean probabilities of the label by share of words, as in the deletion curve.
    `against_random` compares with random words, `against_matched` with random passages of the same lengths.
    `completeness_gap` is the mean, None if the method does not claim that its weights add up.
    """

    comprehensiveness: Estimate
    sufficiency: Estimate
    removed: tuple[float, ...]
    kept: tuple[float, ...]
    matched_comprehensiveness: Estimate
    matched_sufficiency: Estimate
    against_random: Contrast | None = None
    against_matched: Contrast
    completeness_gap: float | None = None
    plausibility: PlausibilityMeans | None = None


class SetFaithfulness(Record):
    """The methods on the answers about `posts` posts of a set, `rows` in number, of `of` answers.

    `probability` is the mean probability of the explained labels.
    """

    rows: int
    posts: int
    of: int
    probability: float
    methods: dict[str, MethodFaithfulness]


class FaithfulnessFile(Record):
    """`faithfulness.json`. `shares` are the shares of words that were left out or kept.

    `skipped` counts predictions that were not explained, by reason.
    """

    model: str
    seed: int
    methods: tuple[str, ...]
    shares: tuple[float, ...]
    sets: dict[str, SetFaithfulness]
    skipped: dict[str, int] = {}


class MethodTiming(Record):
    """Seconds that a method took on `rows` answers: a line of `metrics.jsonl`. Tests of its evidence do not count."""

    method: str
    rows: int
    seconds: float

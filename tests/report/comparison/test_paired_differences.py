"""Differences of two runs on the same rows, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mentallama.evaluate.scores import ScoredRow
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.comparison.paired_differences import (
    PairedDifference,
    RecallDifference,
    RowPair,
    adjust_over_sets,
    pair_rows,
    paired_difference,
)
from mentallama.report.comparison.systems import keyed_rows
from tests.factories.answer_kinds import task_of_kind

LABELS = ("yes", "no")


def row(post: str, gold: str, predicted: str | None, question: str = "stress", form: str = "i") -> ScoredRow:
    return ScoredRow(
        example_id=f"{post}{question}{form}",
        set="dreaddit",
        question=question,
        post_id=post,
        gold=gold,
        status="unparsed" if predicted is None else "parsed",
        predicted=predicted,
    )


def pairs_of(first: list[ScoredRow], second: list[ScoredRow]) -> list[RowPair]:
    return pair_rows(keyed_rows(first), keyed_rows(second))


FIRST = [row("a", "yes", "yes"), row("b", "yes", "no"), row("c", "no", "no"), row("d", "no", "yes")]
SECOND = [row("d", "no", "no"), row("a", "yes", "yes"), row("b", "yes", None), row("c", "no", "no")]


def test_rows_are_paired_by_post_and_question_whatever_their_order_and_form() -> None:
    other_form = [row(each.post_id, each.gold, each.predicted, form="c") for each in SECOND]
    pairs = pairs_of(FIRST, other_form)
    assert [(one.post_id, other.post_id) for one, other in pairs] == [(name, name) for name in "abcd"]


def test_the_difference_is_that_of_the_two_scores() -> None:
    """First: F1 of yes is 2·1/(2+2) = 0.5 and of no 0.5, so 50. Second: yes 2·1/(2+1), no 2·2/(2+2), so 83.3."""
    pairs = pairs_of(FIRST, SECOND)
    found = paired_difference(pairs, LABELS, Resampling(resamples=200))
    assert found.rows == 4
    assert found.difference == pytest.approx((2 / 3 + 1) / 2 * 100 - 50)
    assert (found.only_first, found.only_second) == (0, 1)
    assert found.interval is not None
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_a_run_does_not_differ_from_itself() -> None:
    pairs = pairs_of(FIRST, FIRST)
    found = paired_difference(pairs, LABELS, Resampling(resamples=50))
    assert (found.difference, found.interval) == (0.0, (0.0, 0.0))
    assert (found.only_first, found.only_second) == (0, 0)


def test_opposite_runs_differ_by_everything() -> None:
    right = [row(each.post_id, each.gold, each.gold) for each in FIRST]
    wrong = [row(each.post_id, each.gold, None) for each in FIRST]
    pairs = pairs_of(wrong, right)
    assert paired_difference(pairs, LABELS, Resampling(resamples=50)).interval == (100.0, 100.0)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (FIRST[:3], "other rows"),
        ([*FIRST, row("e", "no", "no")], "other rows"),
        ([*FIRST[:3], row("d", "no", "yes", "another question")], "other rows"),
        ([*FIRST[:3], row("d", "yes", "yes")], "other labels"),
    ],
)
def test_other_rows_and_labels_are_no_pairs(second: list[ScoredRow], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pairs_of(FIRST, second)


def test_a_text_that_occurs_twice_is_paired_in_order() -> None:
    twice = [row("a", "yes", "yes"), row("a", "yes", "no")]
    assert [one.predicted == other.predicted for one, other in pairs_of(twice, twice)] == [True, True]


def test_a_post_is_the_same_whatever_its_id_and_its_copies_are_drawn_together() -> None:
    """In the first system two copies of a text are one post, in the second each has an id of its own."""
    first = [row("a", "yes", "yes"), row("a", "yes", "no"), row("b", "no", "no")]
    first = [each.model_copy(update={"post_hash": f"hash of {each.post_id}"}) for each in first]
    second = [each.model_copy(update={"post_id": str(number)}) for number, each in enumerate(first)]
    assert paired_difference(pairs_of(first, second), LABELS, Resampling(resamples=50)).interval == (0.0, 0.0)


def _systems(*groups: tuple[int, str, str | None, str | None]) -> list[tuple[ScoredRow, ScoredRow]]:
    """Pairs of rows, one per post, from groups: number of rows, gold label, first and second system's label."""
    return [
        (row(f"p{group}-{number}", gold, one), row(f"p{group}-{number}", gold, other))
        for group, (size, gold, one, other) in enumerate(groups)
        for number in range(size)
    ]


def test_both_tests_are_those_of_the_counts() -> None:
    # 12 rows only the second gets right, 2 only the first: 2 · (C(14,0) + C(14,1) + C(14,2)) / 2^14 = 212 / 16,384.
    pairs = _systems((12, "no", "yes", "no"), (2, "yes", "yes", "no"), (30, "yes", "yes", "yes"))
    found = paired_difference(pairs, LABELS, Resampling(resamples=400))
    assert (found.only_first, found.only_second) == (2, 12)
    assert found.mcnemar_p == pytest.approx(212 / 16384)
    assert found.bootstrap_p is not None
    assert 1 / 401 <= found.bootstrap_p <= 0.05


def test_one_post_has_no_test_of_f1_and_no_verdict() -> None:
    found = paired_difference(_systems((1, "no", "yes", "no")), LABELS, Resampling(resamples=50))
    assert (found.interval, found.bootstrap_p, found.verdict) == (None, None, "not separable")
    assert adjust_over_sets({"dreaddit": found})["dreaddit"].adjusted_p is None


def test_p_values_are_corrected_for_the_number_of_sets() -> None:
    base = paired_difference(_systems((9, "no", "no", "no")), LABELS, Resampling(resamples=50))
    raw = {"DR": 0.01, "CLP": 0.04, "dreaddit": 0.03}
    found = adjust_over_sets({name: replace(base, bootstrap_p=p) for name, p in raw.items()})
    assert {name: part.adjusted_p for name, part in found.items()} == pytest.approx(
        {"DR": 0.03, "CLP": 0.06, "dreaddit": 0.06}
    )


def test_higher_f1_with_lower_recall_of_the_high_risk_label_is_not_better() -> None:
    # The second system answers "no" more often: 40 more rows right, but 10 of 50 high-risk rows lost.
    pairs = _systems((40, "no", "yes", "no"), (10, "yes", "yes", "no"), (40, "yes", "yes", "yes"))
    found = paired_difference(pairs, LABELS, Resampling(resamples=400), "yes")
    assert found.direction == 1
    assert found.recall is not None
    assert (found.recall.rows, found.recall.difference) == (50, pytest.approx(-20.0))
    assert found.recall.interval is not None
    assert found.recall.interval[1] < 0
    assert found.verdict == "higher F1, but lower recall of “yes”"
    swapped = paired_difference([(b, a) for a, b in pairs], LABELS, Resampling(resamples=400), "yes")
    assert swapped.verdict == "lower F1, but higher recall of “yes”"


def test_a_loss_of_recall_within_the_interval_is_still_better() -> None:
    pairs = _systems((40, "no", "yes", "no"), (1, "yes", "yes", "no"), (49, "yes", "yes", "yes"))
    found = paired_difference(pairs, LABELS, Resampling(resamples=400), "yes")
    assert found.recall is not None
    assert found.recall.difference == pytest.approx(-2)
    assert found.verdict == "better"


def test_a_set_without_high_risk_rows_is_judged_by_f1() -> None:
    pairs = _systems((40, "no", "yes", "no"), (20, "no", "no", "no"))
    found = paired_difference(pairs, LABELS, Resampling(resamples=400), "yes")
    assert found.recall is None
    assert found.verdict == "better"


DIFFERENCE = PairedDifference(90, 5.0, (1.0, 9.0), 1, 9, 0.02, 0.01)
RECALL = RecallDifference("suicide", 30, 0.0, (-1.0, 1.0))
INTERVALS = {1: (0.5, 9.0), 0: (-2.0, 2.0), -1: (-9.0, -0.5)}


@pytest.mark.parametrize(
    ("f1", "recall", "verdict"),
    [
        (1, 1, "better"),
        (1, 0, "better"),
        (1, -1, "higher F1, but lower recall of “suicide”"),
        (0, 1, "not separable in F1, but higher recall of “suicide”"),
        (0, 0, "not separable"),
        (0, -1, "not separable in F1, but lower recall of “suicide”"),
        (-1, 1, "lower F1, but higher recall of “suicide”"),
        (-1, 0, "worse"),
        (-1, -1, "worse"),
    ],
)
def test_verdicts(f1: int, recall: int, verdict: str) -> None:
    of_recall = replace(RECALL, interval=INTERVALS[recall])
    assert replace(DIFFERENCE, interval=INTERVALS[f1], recall=of_recall).verdict == verdict


def test_a_difference_that_the_correction_does_not_keep_is_none() -> None:
    assert DIFFERENCE.verdict == "better"
    assert replace(DIFFERENCE, adjusted_p=0.051).verdict == "not separable"
    assert replace(DIFFERENCE, adjusted_p=0.05).verdict == "better"


def test_answers_of_several_labels() -> None:
    """First: sleep hit 1 of 2, said 1, so 2/3; appetite hit 0 of 1, said 1, so 0. Second: both right, so 1 and 1.

    Weighted by the gold labels: (2·2/3 + 0) / 3 against 100. Recall of sleep: 1 of 2 against 2 of 2.
    """
    task = task_of_kind("multi", high_risk_label="sleep")
    golds, said = ["sleep", "sleep; appetite", "none"], ["sleep", "none", "appetite"]
    first = [row(str(n), gold, answer) for n, (gold, answer) in enumerate(zip(golds, said, strict=True))]
    second = [row(str(n), gold, gold) for n, gold in enumerate(golds)]
    found = paired_difference(
        pairs_of(first, second), list(task.labels), Resampling(resamples=50), task.high_risk_label, task
    )
    assert found.difference == pytest.approx(100 - 100 * (2 * 2 / 3) / 3)
    assert (found.only_first, found.only_second) == (0, 2)
    assert found.recall is not None
    assert (found.recall.label, found.recall.rows, found.recall.difference) == ("sleep", 2, 50.0)

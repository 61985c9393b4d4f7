"""Differences of two runs on the same rows, worked out by hand."""

from __future__ import annotations

import pytest

from mentallama.evaluate.scores import ScoredRow
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.paired_differences import pair_rows, paired_difference

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


FIRST = [row("a", "yes", "yes"), row("b", "yes", "no"), row("c", "no", "no"), row("d", "no", "yes")]
SECOND = [row("d", "no", "no"), row("a", "yes", "yes"), row("b", "yes", None), row("c", "no", "no")]


def test_rows_are_paired_by_post_and_question_whatever_their_order_and_form() -> None:
    other_form = [row(each.post_id, each.gold, each.predicted, form="c") for each in SECOND]
    pairs = pair_rows(FIRST, other_form)
    assert not isinstance(pairs, str)
    assert [(one.post_id, other.post_id) for one, other in pairs] == [(name, name) for name in "abcd"]


def test_the_difference_is_that_of_the_two_scores() -> None:
    """First: F1 of yes is 2·1/(2+2) = 0.5 and of no 0.5, so 50. Second: yes 2·1/(2+1), no 2·2/(2+2), so 83.3."""
    pairs = pair_rows(FIRST, SECOND)
    assert not isinstance(pairs, str)
    found = paired_difference(pairs, LABELS, Resampling(resamples=200))
    assert found.rows == 4
    assert found.difference == pytest.approx((2 / 3 + 1) / 2 * 100 - 50)
    assert (found.only_first, found.only_second) == (0, 1)
    assert found.interval is not None
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_a_run_does_not_differ_from_itself() -> None:
    pairs = pair_rows(FIRST, FIRST)
    assert not isinstance(pairs, str)
    found = paired_difference(pairs, LABELS, Resampling(resamples=50))
    assert (found.difference, found.interval) == (0.0, (0.0, 0.0))
    assert (found.only_first, found.only_second) == (0, 0)


def test_opposite_runs_differ_by_everything() -> None:
    right = [row(each.post_id, each.gold, each.gold) for each in FIRST]
    wrong = [row(each.post_id, each.gold, None) for each in FIRST]
    pairs = pair_rows(wrong, right)
    assert not isinstance(pairs, str)
    assert paired_difference(pairs, LABELS, Resampling(resamples=50)).interval == (100.0, 100.0)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (FIRST[:3], "other rows: 4 and 3, of which 3 are the same"),
        ([*FIRST, row("e", "no", "no")], "other rows: 4 and 5, of which 4 are the same"),
        (
            [*FIRST[:3], row("d", "no", "yes", "another question")],
            "other rows: 4 and 4, of which 3 are the same",
        ),
        ([*FIRST[:3], row("d", "yes", "yes")], "other labels on 1 of 4 rows"),
    ],
)
def test_other_rows_and_labels_are_no_pairs(second: list[ScoredRow], reason: str) -> None:
    assert pair_rows(FIRST, second) == reason


def test_a_text_that_occurs_twice_is_paired_in_order() -> None:
    twice = [row("a", "yes", "yes"), row("a", "yes", "no")]
    pairs = pair_rows(twice, twice)
    assert not isinstance(pairs, str)
    assert [one.predicted == other.predicted for one, other in pairs] == [True, True]
    assert pair_rows(twice, twice[:1]) == "other rows: 2 and 1, of which 1 are the same"

"""Selective prediction: curves, thresholds and review budgets, worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.selective_prediction import (
    AbstentionTarget,
    ReviewRecall,
    choose_threshold,
    review_recall,
    risk_coverage,
)

NAN = float("nan")


def test_the_curve_of_five_answers() -> None:
    # In order of probability: right, right, wrong, right, wrong; wrong shares 0, 0, 1/3, 1/4, 2/5.
    curve = risk_coverage(
        np.array([0.5, 0.9, 0.7, 0.8, NAN, 0.6]), np.array([False, True, False, True, True, True])
    )
    assert curve is not None
    assert (curve.n, curve.n_without_probability) == (5, 1)
    assert [(point.coverage, point.risk) for point in curve.points] == [
        (0.2, 0.0),
        (0.4, 0.0),
        (0.6, 0.333333),
        (0.8, 0.25),
        (1.0, 0.4),
    ]
    assert curve.aurc == pytest.approx((1 / 3 + 1 / 4 + 2 / 5) / 5, abs=1e-6)


def test_there_is_no_curve_without_probabilities() -> None:
    assert risk_coverage(np.array([NAN, NAN]), np.array([True, False])) is None


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.7, 0.9]), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_equal_probabilities_give_the_mean_over_their_orders(rows: list[tuple[float, bool]]) -> None:
    areas = [
        np.mean(np.cumsum([not right for _, right in order]) / np.arange(1, len(rows) + 1))
        for order in itertools.permutations(rows)
        if all(first[0] >= second[0] for first, second in itertools.pairwise(order))
    ]
    curve = risk_coverage(np.array([p for p, _ in rows]), np.array([right for _, right in rows]))
    assert curve is not None
    assert curve.aurc == pytest.approx(np.mean(areas), abs=1e-6)


PROBABILITIES = np.array([0.9, 0.8, 0.8, 0.7, 0.6, NAN])
CORRECT = np.array([True, True, False, True, False, False])


@pytest.mark.parametrize(
    ("target", "threshold"),
    [
        ({"accuracy": 1.0}, 0.9),
        ({"accuracy": 0.7}, 0.7),  # accuracies from the top: 1, 2/3, 3/4, 3/5: the widest coverage counts
        ({"accuracy": 0.6}, 0.6),
        ({"coverage": 0.5}, 0.8),  # three of six rows
        ({"coverage": 0.1}, 0.9),
        ({"coverage": 0.8}, 0.6),
    ],
)
def test_the_threshold_reaches_the_target(target: dict[str, float], threshold: float) -> None:
    assert choose_threshold(PROBABILITIES, CORRECT, AbstentionTarget(**target)) == threshold


def test_a_target_out_of_reach_has_no_threshold() -> None:
    assert choose_threshold(PROBABILITIES, CORRECT, AbstentionTarget(coverage=0.9)) is None
    assert choose_threshold(PROBABILITIES, ~CORRECT & False, AbstentionTarget(accuracy=0.1)) is None
    assert choose_threshold(np.array([NAN]), np.array([True]), AbstentionTarget(coverage=0.5)) is None


def _review(probabilities: list[float], high_risk: list[int]) -> ReviewRecall:
    has_label = np.isin(np.arange(len(probabilities)), high_risk)
    posts = np.arange(len(probabilities))
    return review_recall(np.array(probabilities), has_label, posts, "suicide", Resampling(resamples=200))


def test_recall_at_budgets_of_100_rows() -> None:
    # Row 0 is the most probable one. Of four high-risk rows one is among the first, two among the first five, and
    # three among the first ten.
    found = _review([1 - row / 100 for row in range(100)], [0, 4, 9, 50])
    assert (found.n, found.high_risk_rows, found.reason) == (100, 4, None)
    assert [(part.budget, part.reviewed, part.recall) for part in found.budgets] == [
        (0.01, 1, 25.0),
        (0.05, 5, 50.0),
        (0.10, 10, 75.0),
    ]
    for part in found.budgets:
        assert part.interval is not None
        assert part.recall is not None
        assert part.interval[0] <= part.recall <= part.interval[1]


def test_ties_and_rows_without_a_probability_count_by_expectation() -> None:
    # One row at 0.9, then 20 rows at 0.8 of which two are high-risk: of ten rows, nine are any of the 20.
    # The rows without a probability come last.
    found = _review([0.9] + [0.8] * 20 + [0.1] * 59 + [NAN] * 20, [0, 5, 10, 99])
    assert [part.recall for part in found.budgets] == pytest.approx(
        [25.0, 25 * (1 + 2 * 4 / 20), 25 * (1 + 2 * 9 / 20)]
    )
    alone = _review([0.5] * 10 + [NAN] * 10, [15])
    assert alone.budgets[2].recall == 0


def test_a_budget_below_one_row_and_missing_rows_have_a_reason() -> None:
    small = _review([0.9] * 30, [0])
    assert small.budgets[0].recall is None
    assert small.budgets[0].reason == "this share of 30 rows is less than one row"
    assert small.budgets[2].reviewed == 3
    assert _review([NAN] * 5, [0]).reason == "these answers have no probabilities"
    assert _review([0.5] * 5, []).reason == "no row has the label suicide"


def test_the_intervals_of_review_draw_posts() -> None:
    # Every post has four equal rows; drawing rows one by one would make the intervals half as wide.
    draw = np.random.default_rng(2)
    probabilities, has_label = draw.random(200), draw.random(200) < 0.3
    alone, repeated = (
        review_recall(
            np.repeat(probabilities, times),
            np.repeat(has_label, times),
            np.repeat(np.arange(200), times),
            "yes",
            Resampling(resamples=500),
        )
        for times in (1, 4)
    )
    assert alone.budgets[2].interval == pytest.approx(repeated.budgets[2].interval, abs=1e-3)

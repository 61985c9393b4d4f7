"""Correlations with intervals over posts, and the ceiling of one rater against the others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.correlation import CORRELATIONS, correlate, correlate_all, leave_one_rater_out

FEW = Resampling(resamples=100)
ORACLES = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}

pairs_with_ties = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30)


def names(count: int) -> list[str]:
    return [f"post-{number}" for number in range(count)]


@pytest.mark.parametrize("method", list(CORRELATIONS))
@settings(max_examples=50)
@given(pairs=pairs_with_ties, data=st.data())
def test_weights_repeat_items(method, pairs, data) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    x, y = np.array(pairs, dtype=float).T
    found = CORRELATIONS[method](x, y, np.array([weights, [1] * len(pairs)], dtype=float))
    for value, times in zip(found, (weights, [1] * len(pairs)), strict=True):
        repeated_x, repeated_y = np.repeat(x, times), np.repeat(y, times)
        if len(np.unique(repeated_x)) < 2 or len(np.unique(repeated_y)) < 2:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(ORACLES[method](repeated_x, repeated_y)[0], abs=1e-9)


def test_kendall_in_blocks_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 40, size=1500).astype(float)
    y = x + rng.integers(0, 60, size=1500)
    assert correlate("kendall", x, y, ["same post"] * 1500, FEW).value == pytest.approx(
        stats.kendalltau(x, y)[0]
    )


@pytest.mark.parametrize("method", list(CORRELATIONS))
def test_the_interval_resamples_items(method) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    y = np.round(x + rng.normal(size=80))
    drawn = [ORACLES[method](x[rows], y[rows])[0] for rows in rng.integers(80, size=(500, 80))]
    found = correlate(method, x, y, names(80), Resampling()).interval
    assert found == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.05)


def test_a_posts_items_are_drawn_together() -> None:
    # Each item four times says no more than once: the interval must not shrink.
    rng = np.random.default_rng(2)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    once = correlate("pearson", x, y, names(40), FEW)
    four_times = correlate("pearson", np.tile(x, 4), np.tile(y, 4), names(40) * 4, FEW)
    assert four_times.interval == pytest.approx(once.interval)
    assert four_times.items == 160


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1.0], [2.0], "fewer than two items"),
        ([3.0, 3.0, 3.0], [1.0, 2.0, 3.0], "one of the variables does not vary"),
    ],
)
def test_what_has_no_correlation_says_why(x, y, reason) -> None:
    scores = correlate_all(list(CORRELATIONS), x, y, names(len(x)), FEW)
    assert {(s.value, s.interval, s.reason) for s in scores.values()} == {(None, None, reason)}


def test_one_post_has_a_value_and_no_interval() -> None:
    score = correlate("pearson", [1, 2, 3], [2, 4, 6], ["a", "a", "a"], FEW)
    assert score.value == pytest.approx(1)
    assert score.interval is None


def test_equal_resamples_of_an_awkward_number_are_undefined_not_noise() -> None:
    # 0.1 + 0.1 + 0.1 is not 3 · 0.1: the variance of equal values must still count as none.
    value = CORRELATIONS["pearson"](np.array([0.1, 5.0]), np.array([1.0, 2.0]), np.array([[3.0, 0.0]]))
    assert np.isnan(value).all()


def test_the_ceiling_by_hand() -> None:
    ratings = np.array([[0, 1, 2], [1, 1, 3], [3, 2, 1], [2, 3, 3], [0, 0, 1.0]])
    expected = np.mean(
        [stats.pearsonr(ratings[:, r], np.delete(ratings, r, axis=1).mean(axis=1))[0] for r in range(3)]
    )
    ceiling = leave_one_rater_out(["pearson"], ratings, names(5), FEW)["pearson"]
    assert ceiling.value == pytest.approx(expected)
    assert ceiling.items == 5


def test_the_ceiling_leaves_out_items_that_lack_a_rating() -> None:
    ratings = np.array([[0, 1], [1, 1], [3, 2], [2, np.nan]])
    assert leave_one_rater_out(["kendall"], ratings, names(4), FEW)["kendall"].items == 3


def test_one_rater_has_no_ceiling() -> None:
    score = leave_one_rater_out(["pearson"], np.array([[1.0], [2.0]]), names(2), FEW)["pearson"]
    assert (score.value, score.reason) == (None, "there is one rater")


def test_a_rater_who_never_varies_leaves_no_ceiling() -> None:
    ratings = np.array([[3, 1], [3, 2], [3, 3.0]])
    score = leave_one_rater_out(["pearson"], ratings, names(3), FEW)["pearson"]
    assert (score.value, score.reason) == (None, "one of the variables does not vary")


def test_raters_who_cancel_each_other_out_leave_no_ceiling() -> None:
    # Each rater varies, but the mean of the two others is 1.5 everywhere for the first.
    ratings = np.array([[0, 0, 3], [1, 1, 2], [2, 2, 1], [3, 3, 0.0]])
    score = leave_one_rater_out(["pearson"], ratings, names(4), FEW)["pearson"]
    assert (score.value, score.interval) == (None, None)

"""The sequential test: decisions worked by hand, its edges, and its error rates."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.metrics.sequential_test import sequential_test

# At 5 and 15 %: a poor row adds ln(0.15/0.05) = 1.0986, a good one ln(0.85/0.95) = -0.1112.
# Reject from ln(0.9/0.05) = 2.8904, accept from ln(0.1/0.95) = -2.2513.


def test_good_rows_alone_are_accepted_at_the_21st() -> None:
    assert sequential_test([], 0.05, 0.15).min_remaining == 21  # 2.2513 / 0.1112 = 20.24
    assert sequential_test([False] * 20, 0.05, 0.15).result == "rate more"
    found = sequential_test([False] * 30, 0.05, 0.15)
    assert (found.result, found.rated, found.min_remaining) == ("accept", 21, 0)


def test_three_poor_rows_at_once_are_rejected() -> None:
    found = sequential_test([True, True, True, False], 0.05, 0.15)  # 3.2958
    assert (found.result, found.rated, found.poor) == ("reject", 3, 3)
    assert sequential_test([True, True], 0.05, 0.15).result == "rate more"  # 2.1972


def test_one_poor_row_takes_ten_more_good_ones() -> None:
    # 1.0986 - 2.2513 is (1.0986 + 2.2513) / 0.1112 = 30.12 good rows away
    assert sequential_test([True], 0.05, 0.15).min_remaining == 31
    assert sequential_test([True] + [False] * 30, 0.05, 0.15).min_remaining == 1
    assert sequential_test([True] + [False] * 31, 0.05, 0.15).result == "accept"


def test_order_counts_and_a_decision_is_final() -> None:
    assert sequential_test([False] * 21 + [True] * 9, 0.05, 0.15).result == "accept"
    assert sequential_test([True] * 9 + [False] * 21, 0.05, 0.15).result == "reject"


def test_shares_at_the_edges() -> None:
    assert sequential_test([True], 0, 0.1).result == "reject"  # no poor row is acceptable
    assert sequential_test([False], 0.5, 1).result == "accept"  # only poor rows are unacceptable
    for shares in ((0.1, 0.1), (0.2, 0.1), (-0.1, 0.1), (0.5, 1.1)):
        with pytest.raises(ValueError, match="must be below"):
            sequential_test([], *shares)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.3), st.floats(0.02, 0.4))
def test_min_remaining_good_rows_decide_the_test(poor: list[bool], acceptable: float, gap: float) -> None:
    found = sequential_test(poor, acceptable, acceptable + gap)
    if found.result == "rate more":
        assert (
            sequential_test(poor + [False] * (found.min_remaining - 1), acceptable, acceptable + gap).result
            == "rate more"
        )
        assert (
            sequential_test(poor + [False] * (found.min_remaining + 1), acceptable, acceptable + gap).result
            == "accept"
        )


def test_error_rates_stay_within_walds_bounds() -> None:
    # Wald: alpha' <= alpha / (1 - beta) = 0.0556 and beta' <= beta / (1 - alpha) = 0.1053. Over 1,000 runs the standard
    # error is at most 0.01, so 0.09 and 0.14 are more than three away.
    chance, runs = np.random.default_rng(7), 1000

    def share(poor: float, result: str) -> float:
        tests = (sequential_test((chance.random(2000) < poor).tolist(), 0.05, 0.15) for _ in range(runs))
        results = Counter(test.result for test in tests)
        assert results["rate more"] == 0
        return results[result] / runs

    assert 0.005 < share(0.05, "reject") < 0.09
    assert 0.02 < share(0.15, "accept") < 0.14
    assert math.isclose(share(0.5, "reject"), 1, abs_tol=0.01)

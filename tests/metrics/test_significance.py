"""Tests between two systems, against statsmodels and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from mentallama.metrics.bootstrap import BootstrapDistribution, Resampling, bootstrap_distribution
from mentallama.metrics.significance import bootstrap_p_value, holm, mcnemar_exact, sign_flip_p_value

COUNTS = st.integers(0, 60)


@given(COUNTS, COUNTS)
def test_mcnemar_equals_statsmodels(only_first: int, only_second: int) -> None:
    oracle = (
        mcnemar([[7, only_first], [only_second, 5]], exact=True).pvalue if only_first + only_second else 1
    )
    assert mcnemar_exact(only_first, only_second) == pytest.approx(oracle, rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_no_tests_need_no_correction() -> None:
    assert holm([]) == []


def test_the_p_value_is_the_share_at_least_as_far_away() -> None:
    # Distances from the estimate 2: 1, 2, 3, 0 and unknown. Two of four are at least 2, and the sample is: 3 / 5.
    distribution = BootstrapDistribution(9, np.array(2.0), np.array([1.0, 4.0, 5.0, 2.0, np.nan]))
    assert bootstrap_p_value(distribution) == 3 / 5


def test_equal_systems_have_p_1() -> None:
    differences = bootstrap_distribution(np.zeros((30, 1)), lambda sums: sums[..., 0], Resampling())
    assert differences is not None
    assert bootstrap_p_value(differences) == 1


def test_the_level_of_the_bootstrap_test_is_kept() -> None:
    # Without a difference about one test in twenty finds one: 500 tests have a standard error of 0.01.
    draw = np.random.default_rng(3)
    found = 0
    for _ in range(500):
        gains = draw.choice([-1, 0, 1], p=[0.15, 0.7, 0.15], size=(200, 1))
        distribution = bootstrap_distribution(
            gains, lambda sums: sums[..., 0] / 200, Resampling(resamples=300)
        )
        assert distribution is not None
        found += bootstrap_p_value(distribution) <= 0.05
    assert 0.02 <= found / 500 <= 0.08


def test_a_real_difference_is_found() -> None:
    gains = np.array([[1]] * 30 + [[0]] * 70)
    distribution = bootstrap_distribution(gains, lambda sums: sums[..., 0] / 100, Resampling(resamples=499))
    assert distribution is not None
    assert bootstrap_p_value(distribution) == 1 / 500


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0] * 5, 2 / 2**5),
        ([-1.0] * 5, 2 / 2**5),
        ([1.0, 2.0, -1.0], 6 / 8),  # of eight sums, those of 2 or more and of -2 or less
        ([3.0], 1.0),
        ([0.0, 0.0], 1.0),
    ],
)
def test_sign_flips_by_hand(differences: list[float], expected: float) -> None:
    assert sign_flip_p_value(differences) == pytest.approx(expected)


def test_many_sign_flips_are_drawn_and_p_is_never_0() -> None:
    p_value = sign_flip_p_value([1.0] * 40, seed=3, resamples=499)
    assert p_value == pytest.approx(2 / 500)  # both tails count the observed sample
    drawn = np.random.default_rng(1).normal(0.35, 1, 200)
    assert sign_flip_p_value(drawn.tolist(), seed=5) == sign_flip_p_value(drawn.tolist(), seed=5) < 0.001

"""Metrics of ordered levels, worked by hand and against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score
from sklearn.metrics import mean_absolute_error as sklearn_mean_absolute_error

from mentallama.metrics.kinds.ordinal import (
    linear_correlation,
    mean_absolute_error,
    quadratic_weighted_kappa,
    rank_correlation,
    worst_case_absolute_error,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    gold, predicted = zip(*pairs, strict=True)
    return np.array(gold, np.float64), np.array(predicted, np.float64)


def test_kappa_by_hand() -> None:
    # gold 0 1 2 3, said 0 2 2 1: squared distances 0 1 0 4, mean 5/4
    # every gold number by every predicted one: said 0: 0+1+4+9 = 14; said 2, twice: 4+1+0+1 = 6 each; said 1:
    # 1+0+1+4 = 6; mean 32/16 = 2.  kappa = 1 - 1.25/2 = 0.375
    assert quadratic_weighted_kappa(*columns([(0, 0), (1, 2), (2, 2), (3, 1)])) == pytest.approx(0.375)


def test_kappa_takes_the_distances_of_the_numbers() -> None:
    # levels 0, 1, 10: gold 0 1 10, said 0 1 1: squared distances 0 0 81, mean 27
    # said 0: 0+1+100 = 101; said 1, twice: 1+0+81 = 82 each; mean 265/9.  kappa = 1 - 27*9/265
    assert quadratic_weighted_kappa(*columns([(0, 0), (1, 1), (10, 1)])) == pytest.approx(1 - 243 / 265)


@settings(max_examples=40)
@given(PAIRS)
def test_kappa_and_error_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = columns(pairs)
    assert mean_absolute_error(gold, predicted) == pytest.approx(sklearn_mean_absolute_error(gold, predicted))
    assume(len({*gold, *predicted}) > 1)
    expected = cohen_kappa_score(gold, predicted, labels=list(range(5)), weights="quadratic")
    assert quadratic_weighted_kappa(gold, predicted) == pytest.approx(expected)


@given(PAIRS)
def test_rank_correlation_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    gold, predicted = columns(pairs)
    if len(set(gold)) == 1 or len(set(predicted)) == 1:
        assert rank_correlation(gold, predicted) is None
    else:
        assert rank_correlation(gold, predicted) == pytest.approx(spearmanr(gold, predicted).statistic)
        assert linear_correlation(gold, predicted) == pytest.approx(np.corrcoef(gold, predicted)[0, 1])


def test_without_pairs_or_variation_there_is_no_value() -> None:
    nothing = np.array([])
    assert quadratic_weighted_kappa(nothing, nothing) is None
    assert mean_absolute_error(nothing, nothing) is None
    assert worst_case_absolute_error(nothing, nothing, nothing, (0, 3)) is None
    assert quadratic_weighted_kappa(*columns([(2, 2), (2, 2)])) is None
    assert rank_correlation(*columns([(1, 2)])) is None


def test_the_worst_case_of_unanswered_rows_by_hand() -> None:
    # levels 0 to 3; two answers, 1 and 0 off; two rows without one, whose gold levels 3 and 1 are at most 3 and 2 off
    gold, predicted = columns([(0, 1), (2, 2)])
    assert worst_case_absolute_error(gold, predicted, np.array([3.0, 1.0]), (0, 1, 2, 3)) == 6 / 4
    assert worst_case_absolute_error(gold, predicted, np.array([]), (0, 1, 2, 3)) == mean_absolute_error(
        gold, predicted
    )


@given(PAIRS, st.lists(st.integers(0, 4), max_size=6), st.data())
def test_no_guess_of_the_missing_levels_is_worse_than_the_worst_case(
    pairs: list[tuple[int, int]], missing: list[int], data: st.DataObject
) -> None:
    guesses = [data.draw(st.integers(0, 4)) for _ in missing]
    gold, predicted = columns(pairs)
    worst = worst_case_absolute_error(gold, predicted, np.array(missing, np.float64), range(5))
    filled = mean_absolute_error(*columns([*pairs, *zip(missing, guesses, strict=True)]))
    assert worst is not None
    assert filled is not None
    assert filled <= worst + 1e-12

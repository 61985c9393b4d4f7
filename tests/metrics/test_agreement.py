"""Agreement between raters: published examples, oracles, and what has no value."""

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as oracle_kappa

from mentallama.metrics.agreement import (
    NO_VARIANCE,
    TOO_FEW,
    fleiss_kappa,
    gwet_ac,
    intraclass_correlations,
    krippendorff_alpha,
)
from mentallama.metrics.bootstrap import Resampling

FEW = Resampling(resamples=100)
NAN = np.nan

FOUR_OBSERVERS = np.array(
    [
        [1, 1, NAN, 1],
        [2, 2, 3, 2],
        [3, 3, 3, 3],
        [3, 3, 3, 3],
        [2, 2, 2, 2],
        [1, 2, 3, 4],
        [4, 4, 4, 4],
        [1, 1, 2, 1],
        [2, 2, 2, 2],
        [NAN, 5, 5, 5],
        [NAN, NAN, 1, 1],
        [NAN, NAN, 3, NAN],
    ]
)
"""Reliability data of Krippendorff (2011) with missing values, also the example of Gwet (2014), table 2.10."""

FOUR_JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]]
)
"""Six targets rated by four judges: Shrout and Fleiss (1979), table 2."""

ratings_0_to_3 = arrays(
    np.float64, st.tuples(st.integers(3, 12), st.just(3)), elements=st.integers(0, 3).map(float)
)


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_example(level, value) -> None:
    score = krippendorff_alpha(FOUR_OBSERVERS, level, FEW)
    assert score.value == pytest.approx(value, abs=5e-4)
    assert score.items == 11  # one unit has a single rating


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@settings(max_examples=25)
@given(ratings=ratings_0_to_3, missing=st.integers(0, 2))
def test_alpha_equals_the_krippendorff_package(level, ratings, missing) -> None:
    ratings = ratings.copy()
    ratings[:missing, 0] = NAN
    score = krippendorff_alpha(ratings, level, FEW)
    if len(np.unique(ratings[~np.isnan(ratings)])) == 1:
        assert (score.value, score.interval, score.reason) == (None, None, NO_VARIANCE)
    else:
        expected = krippendorff.alpha(reliability_data=ratings.T, level_of_measurement=level)
        assert score.value == pytest.approx(expected, abs=1e-10)


@settings(max_examples=25)
@given(ratings=ratings_0_to_3)
def test_kappa_equals_statsmodels(ratings) -> None:
    score = fleiss_kappa(ratings, FEW)
    if len(np.unique(ratings)) == 1:
        assert (score.value, score.reason) == (None, NO_VARIANCE)
    else:
        assert score.value == pytest.approx(oracle_kappa(aggregate_raters(ratings)[0]), abs=1e-10)


def test_kappa_leaves_out_items_that_lack_a_rating() -> None:
    complete = FOUR_OBSERVERS[~np.isnan(FOUR_OBSERVERS).any(axis=1)]
    assert fleiss_kappa(FOUR_OBSERVERS, FEW) == fleiss_kappa(complete, FEW)
    assert fleiss_kappa(FOUR_OBSERVERS, FEW).items == 8


def test_ac1_of_gwets_example() -> None:
    score = gwet_ac(FOUR_OBSERVERS, (1, 2, 3, 4, 5), "identity", FEW)
    assert score.value == pytest.approx(0.77544, abs=5e-6)


@pytest.mark.parametrize(("weights", "value"), [("linear", 0.85873914), ("quadratic", 0.91400072)])
def test_ac2_of_gwets_example_as_his_package_computes_it(weights, value) -> None:
    assert gwet_ac(FOUR_OBSERVERS, (1, 2, 3, 4, 5), weights, FEW).value == pytest.approx(value, abs=1e-8)


def test_ac1_by_hand() -> None:
    # Two raters, three items, categories 0 and 1: they agree on two of three; shares 1/2 and 1/2, chance 2·(1/2·1/2).
    ratings = np.array([[0, 0], [1, 1], [0, 1.0]])
    assert gwet_ac(ratings, (0, 1), "identity", FEW).value == pytest.approx((2 / 3 - 1 / 2) / (1 - 1 / 2))


def test_ac2_holds_where_all_ratings_are_equal_and_alpha_does_not() -> None:
    ratings = np.full((6, 3), 3.0)
    assert gwet_ac(ratings, (0, 1, 2, 3), "linear", FEW).value == 1.0
    assert krippendorff_alpha(ratings, "ordinal", FEW).reason == NO_VARIANCE
    assert {score.reason for score in intraclass_correlations(ratings, FEW).values()} == {NO_VARIANCE}


def test_a_rating_outside_the_categories_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the categories"):
        gwet_ac(np.array([[1, 5.0]]), (1, 2, 3), "linear", FEW)


def test_intraclass_correlations_of_shrout_and_fleiss() -> None:
    scores = intraclass_correlations(FOUR_JUDGES, FEW)
    assert {name: round(score.value, 2) for name, score in scores.items()} == {
        "ICC(1,1)": 0.17,
        "ICC(2,1)": 0.29,
        "ICC(3,1)": 0.71,
        "ICC(1,k)": 0.44,
        "ICC(2,k)": 0.62,
        "ICC(3,k)": 0.91,
    }


@settings(max_examples=25)
@given(ratings=ratings_0_to_3, shift=st.floats(-50, 50), scale=st.floats(0.1, 20))
def test_intraclass_correlations_do_not_depend_on_the_scale(ratings, shift, scale) -> None:
    plain, changed = (intraclass_correlations(r, FEW) for r in (ratings, scale * ratings + shift))
    for name, score in plain.items():
        if score.value is not None and abs(score.value) < 1e3:
            assert changed[name].value == pytest.approx(score.value, abs=1e-6)


@pytest.mark.parametrize(
    "ratings", [np.empty((0, 3)), np.array([[1, 2.0]]), np.array([[1, NAN], [NAN, 2.0]])]
)
def test_too_few_items_have_no_agreement(ratings) -> None:
    scores = [
        krippendorff_alpha(ratings, "ordinal", FEW),
        fleiss_kappa(ratings, FEW),
        gwet_ac(ratings, (1, 2), "linear", FEW),
        *intraclass_correlations(ratings, FEW).values(),
    ]
    assert [(score.value, score.interval, score.reason) for score in scores] == [(None, None, TOO_FEW)] * 9


def test_the_interval_resamples_items() -> None:
    # The slow way: draw items and compute alpha anew.
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, size=60)
    ratings = np.stack(
        [np.where(rng.random(60) < 0.7, truth, rng.integers(0, 4, 60)) for _ in range(3)], axis=1
    )
    drawn = [
        krippendorff.alpha(
            reliability_data=ratings[rng.integers(60, size=60)].T, level_of_measurement="ordinal"
        )
        for _ in range(500)
    ]
    found = krippendorff_alpha(ratings.astype(float), "ordinal", Resampling()).interval
    assert found == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.05)


def test_the_same_seed_gives_the_same_interval() -> None:
    first, again, other = (
        gwet_ac(FOUR_OBSERVERS, range(1, 6), "linear", Resampling(seed=s)) for s in (1, 1, 2)
    )
    assert first == again != other

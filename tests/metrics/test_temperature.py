"""Temperature scaling, with and without shifts of the intercepts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy.special import expit

from mentallama.metrics.temperature import calibrate_out_of_fold, fit_calibration, fit_logit_scale


def test_the_temperature_by_hand() -> None:
    # Of four posts with log-odds 4 for "a", three are "a": the best log-odds is ln 3, so T = 4 / ln 3.
    logits, truth = np.tile([2.0, -2.0], (4000, 1)), np.tile([0, 0, 0, 1], 1000)
    found = fit_calibration(logits, truth, shift_intercepts=False)
    assert found.temperature == pytest.approx(4 / np.log(3), rel=5e-3)
    assert found.intercept_shifts.tolist() == [0, 0]
    np.testing.assert_allclose(found.apply(logits[:1]), [[np.log(3) / 2, -np.log(3) / 2]], rtol=5e-3)


def test_on_few_posts_the_prior_prevails() -> None:
    # One post, right, log-odds 2: without a prior T would go to its bound. The derivative of
    # ln(T)^2 / 2 + ln(1 + exp(-u)), u = 2 / T, by ln T is zero where ln T = -u / (1 + exp(u)).
    found = fit_calibration(np.array([[1.0, -1.0]]), np.array([0]), shift_intercepts=False).temperature
    assert np.log(found) == pytest.approx(-2 / found * expit(-2 / found), abs=1e-4)
    assert 0.75 < found < 1
    # Shifts s and -s: the derivative of s^2 + ln(1 + exp(-2 s)) is zero where s = 1 / (1 + exp(2 s)).
    shifts = fit_calibration(np.zeros((1, 2)), np.array([0]), shift_intercepts=True).intercept_shifts
    assert shifts[0] == pytest.approx(expit(-2 * shifts[0]), abs=1e-4)


@pytest.mark.parametrize("shift", [False, True])
def test_without_posts_nothing_is_calibrated(shift: bool) -> None:
    nothing, unseen = np.zeros((0, 3)), np.array([[-np.inf, 1.0, -1.0]])
    for logits, truth in ((nothing, np.zeros(0, np.int64)), (unseen, np.array([0]))):
        found = fit_calibration(logits, truth, shift)
        assert (found.temperature, found.intercept_shifts.tolist()) == (1, [0, 0, 0])


def test_shifts_are_recovered_on_many_posts() -> None:
    # Logits that know nothing, labels 3 : 2 : 1; the shifts are the logarithms of that, less their mean.
    truth = np.tile([0, 0, 0, 1, 1, 2], 1000)
    found = fit_calibration(np.zeros((6000, 3)), truth, shift_intercepts=True)
    expected = np.log([3, 2, 1]) - np.log(6) / 3
    np.testing.assert_allclose(found.intercept_shifts, expected, atol=5e-3)
    assert fit_calibration(np.zeros((6000, 3)), truth, shift_intercepts=False).intercept_shifts.tolist() == [
        0,
        0,
        0,
    ]


def test_scale_and_shifts_are_recovered_together() -> None:
    draw = np.random.default_rng(5)
    logits = draw.normal(size=(20000, 3)) * 3
    logits -= logits.mean(axis=1, keepdims=True)
    true = logits / 2 + [0.5, 0.25, -0.75]
    # The highest of logits with Gumbel noise has the probabilities of their softmax.
    found = fit_calibration(
        logits, (true + draw.gumbel(size=true.shape)).argmax(axis=1), shift_intercepts=True
    )
    assert found.temperature == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(found.intercept_shifts, [0.5, 0.25, -0.75], atol=0.1)


@effort(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 6))
def test_shifts_sum_to_nothing_and_rows_without_their_label_are_passed_over(
    seed: int, rows: int, labels: int
) -> None:
    draw = np.random.default_rng(seed)
    logits, truth = draw.normal(size=(rows, labels)), draw.integers(0, labels, rows)
    logits[0, (truth[0] + 1) % labels] = -np.inf  # a wrong label that a fit had not seen
    found = fit_calibration(logits, truth, shift_intercepts=True)
    assert found.intercept_shifts.sum() == pytest.approx(0, abs=1e-9)
    assert np.isfinite(found.intercept_shifts).all()
    assert 0.05 <= found.temperature <= 20
    unseen = np.where(np.arange(labels) == 1, -np.inf, logits[:1])
    more = fit_calibration(np.vstack([unseen, logits, unseen]), np.r_[1, truth, 1], shift_intercepts=True)
    assert more.temperature == found.temperature
    np.testing.assert_array_equal(more.intercept_shifts, found.intercept_shifts)


def test_shifts_are_judged_on_posts_they_were_not_fitted_to() -> None:
    draw = np.random.default_rng(3)
    logits, truth = draw.normal(size=(30, 2)), draw.integers(0, 2, 30)
    assert calibrate_out_of_fold(logits, truth, False, 3) is logits
    found = calibrate_out_of_fold(logits, truth, True, 3)
    first = np.arange(30) % 3 == 0
    expected = fit_calibration(logits[~first], truth[~first], True).apply(logits[first])
    np.testing.assert_array_equal(found[first], expected)
    other = calibrate_out_of_fold(logits, np.where(first, 1 - truth, truth), True, 3)
    np.testing.assert_array_equal(other[first], found[first])
    assert not np.allclose(other[~first], found[~first])


def test_the_logit_scale_is_the_inverse_of_the_temperature() -> None:
    # Both maximise one posterior, by different searches.
    logits, targets = np.tile([2.0, -2.0], (4000, 1)), np.tile([0, 0, 0, 1], 1000)
    scale = fit_logit_scale(logits, targets)
    assert scale == pytest.approx(np.log(3) / 4, rel=5e-3)
    assert scale == pytest.approx(1 / fit_calibration(logits, targets, False).temperature, rel=1e-4)

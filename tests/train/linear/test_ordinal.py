"""Regression on ordered levels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from mentallama.train.linear.ordinal import fit_levels

ONE_EACH = np.ones(8)


def test_two_levels_are_a_logistic_regression() -> None:
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(40, 3))
    targets = (matrix[:, 0] + draw.normal(size=40) > 0).astype(np.int64)
    weights, intercepts = fit_levels(csr_matrix(matrix), targets, np.arange(2.0), np.ones(40), 0.7)
    expected = LogisticRegression(C=0.7, tol=1e-8).fit(matrix, targets)
    np.testing.assert_allclose(weights[:, 1] - weights[:, 0], expected.coef_[0], atol=2e-3)
    assert intercepts[1] - intercepts[0] == pytest.approx(expected.intercept_[0], abs=2e-3)


def test_the_fit_is_a_stationary_point_of_the_penalised_likelihood() -> None:
    draw = np.random.default_rng(1)
    matrix, numbers = draw.normal(size=(30, 4)), np.array([0.0, 1.0, 3.0])
    targets, sample_weights = draw.integers(0, 3, 30), draw.uniform(0.5, 2, 30)
    weights, intercepts = fit_levels(csr_matrix(matrix), targets, numbers, sample_weights, 2.0)
    slope = (weights[:, 2] - weights[:, 0]) / 3
    # One direction for all levels, by their numbers: 0, 1 and 3 have mean 4/3.
    np.testing.assert_allclose(weights, np.outer(slope, numbers - 4 / 3), atol=1e-12)

    def loss(parameters: np.ndarray) -> float:
        logits = np.outer(matrix @ parameters[:4], numbers) + parameters[4:]
        likelihood = log_softmax(logits, axis=1)[np.arange(30), targets]
        return float(parameters[:4] @ parameters[:4] / 2 - 2.0 * sample_weights @ likelihood)

    gradient = approx_fprime(np.concatenate([slope, intercepts]), loss, 1e-6)
    assert np.abs(gradient).max() < 0.01


def test_a_graded_word_moves_the_mean_level_and_every_cumulative_probability() -> None:
    grade = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    matrix = csr_matrix(np.c_[grade, np.ones(8)])
    weights, intercepts = fit_levels(matrix, grade, np.arange(4.0), ONE_EACH, 100.0)
    probabilities = softmax(np.c_[np.arange(0, 3.1, 0.5), np.ones(7)] @ weights + intercepts, axis=1)
    assert probabilities[::2].argmax(axis=1).tolist() == [0, 1, 2, 3]
    at_least = probabilities[:, ::-1].cumsum(axis=1)[:, ::-1]
    np.testing.assert_allclose(at_least[:, 0], 1)
    assert (np.diff(at_least[:, 1:], axis=0) > 0).all()
    assert (np.diff(at_least, axis=1) <= 0).all()


def test_intercepts_alone_give_the_shares_of_the_levels() -> None:
    # No feature tells the levels apart: the likelihood is highest at their shares, 2, 2, 3 and 1 of 8.
    targets = np.array([0, 0, 1, 1, 2, 2, 2, 3])
    _, intercepts = fit_levels(csr_matrix((8, 1)), targets, np.arange(4.0), ONE_EACH, 1.0)
    np.testing.assert_allclose(softmax(intercepts), [0.25, 0.25, 0.375, 0.125], atol=1e-4)

"""Ordered levels as a function of one score."""

from __future__ import annotations

import numpy as np
import pytest

from mentallama.analysts.linear.level_scale import LevelScale

EVEN = np.array([-0.5, 0.0, 0.5])


def test_log_odds_at_a_score_worked_by_hand() -> None:
    # Logits -1, 0, 1 at score 2: p = e^-1, 1, e over their sum 4.0862.
    scale = LevelScale(EVEN, np.zeros(3), 0.0)
    assert scale.log_odds(2.0, 2) == pytest.approx(np.log(np.e / (1 + np.exp(-1))))
    assert scale.log_odds(2.0, 1) == pytest.approx(-np.log(np.e + np.exp(-1)))
    # The middle level is likeliest at score 0, and no score moves it in both directions alike.
    assert scale.slope(0.0, 1) == 0
    assert scale.slope(0.0, 2) == pytest.approx(0.5 + 0.25)


def test_numbers_are_recovered_from_weights() -> None:
    direction = np.array([1.0, -2.0, 0.5])
    weights = np.outer(direction, np.array([0.0, 1.0, 3.0]) - 4 / 3)
    scale = LevelScale.of_weights(weights, np.zeros(3), np.full(3, 1 / 3))
    np.testing.assert_allclose(scale.numbers, (np.array([0, 1, 3]) - 4 / 3) / 3)
    # Equal intercepts and an even prior: the mean of the numbers is that of score 0.
    assert scale.usual_score == pytest.approx(0, abs=1e-9)


def test_the_usual_score_gives_the_mean_level_of_the_prior() -> None:
    weights, prior = np.outer([1.0], EVEN), np.array([0.2, 0.2, 0.6])
    scale = LevelScale.of_weights(weights, np.array([0.3, -0.1, -0.2]), prior)
    logits = scale.numbers * scale.usual_score + scale.intercepts
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert float(scale.numbers @ probabilities) == pytest.approx(0.2)


def test_a_head_that_has_learnt_nothing_has_evenly_spaced_levels() -> None:
    scale = LevelScale.of_weights(np.zeros((4, 3)), np.zeros(3), np.full(3, 1 / 3))
    np.testing.assert_array_equal(scale.numbers, EVEN)

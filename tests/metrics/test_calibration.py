"""Calibration worked by hand."""

from __future__ import annotations

from mentallama.metrics.calibration import brier_score, calibration_bins, calibration_scores


def test_brier_score_ends() -> None:
    assert brier_score("a", {"a": 1.0, "b": 0.0}) == 0.0
    assert brier_score("a", {"a": 0.0, "b": 1.0}) == 2.0
    assert brier_score("a", {}) is None


def test_calibration_by_hand() -> None:
    # 0.9 correct and 0.9 wrong share a bin: |0.9 - 0.5| = 0.4, two rows; 0.65 correct: 0.35, one row
    # ECE = (2 * 0.4 + 0.35) / 3 = 0.383333; mean Brier score = (0.02 + 1.62 + 0.245) / 3
    scores = calibration_scores([0.02, 1.62, 0.245], [(0.9, True), (0.9, False), (0.65, True)])
    assert scores is not None
    assert (scores.n_ece, scores.ece) == (3, 0.383333)
    assert (scores.n_brier, scores.brier) == (3, 0.628333)
    assert [part.n for part in scores.bins] == [0, 0, 0, 0, 0, 0, 1, 0, 2, 0]


def test_bins_hold_their_upper_end() -> None:
    # 0.1 + 0.2 is 0.30000000000000004: it still belongs to (0.2, 0.3]
    bins = calibration_bins([(0.1 + 0.2, True), (0.0, False), (1.0, True)])
    assert [part.n for part in bins] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_without_probabilities_there_is_no_calibration() -> None:
    assert calibration_scores([], []) is None


def test_calibration_when_nothing_was_parsed() -> None:
    scores = calibration_scores([0.5], [])
    assert scores is not None
    assert (scores.n_brier, scores.n_ece, scores.ece) == (1, 0, None)

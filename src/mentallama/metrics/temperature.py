"""Fit temperatures that turn logits into calibrated probabilities.

Methods: temperature scaling, and vector scaling with one scale for all labels (Guo et al. 2017, "On Calibration of
Modern Neural Networks", section 4.2).

Temperatures must be fitted on posts that the model was not trained on. Both fits maximise the same posterior: the
likelihood of the labels times a log-normal prior on the temperature around 1. Without the prior, the lowest loss on a
few posts, which almost any model separates, is reached at certainty; from a hundred posts on the prior hardly matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

FloatArray = NDArray[np.float64]
LabelIndices = NDArray[np.int64]

TEMPERATURE_BOUNDS = (0.05, 20.0)
"""Bounds of the search, far wider than the range of the best values on the published sets (0.3 to 2.4)."""


@dataclass(frozen=True)
class LogitCalibration:
    """Logits are divided by the temperature, then `intercept_shifts` are added: shape (labels,), sum 0."""

    temperature: float
    intercept_shifts: FloatArray

    def apply(self, logits: FloatArray) -> FloatArray:
        """Calibrated logits of the same shape, (..., labels)."""
        calibrated: FloatArray = logits / self.temperature + self.intercept_shifts
        return calibrated


def fit_calibration(logits: FloatArray, targets: LabelIndices, shift_intercepts: bool) -> LogitCalibration:
    """Fit the maximum a posteriori calibration; with shifts this is vector scaling with one scale for all labels.

    The prior of the temperature is log-normal, that of the shifts normal, both with standard deviation 1.

    Parameters
    ----------
    logits
        Shape (posts, labels); -inf if the model of the fold did not know the label.
    targets
        Shape (posts,): column of the correct label.
    """
    known = np.isfinite(logits[np.arange(len(targets)), targets])
    logits, targets = logits[known], targets[known]
    n_labels = logits.shape[1]

    def loss(parameters: FloatArray) -> float:
        scaled = logits / np.exp(parameters[0]) + parameters[1:]
        return 0.5 * float(parameters @ parameters) + _negative_log_likelihood(scaled, targets)

    bounds = [
        tuple(np.log(TEMPERATURE_BOUNDS)),
        *([(-5.0, 5.0) if shift_intercepts else (0.0, 0.0)] * n_labels),
    ]
    best = minimize(loss, np.zeros(1 + n_labels), method="L-BFGS-B", bounds=bounds).x
    return LogitCalibration(float(np.exp(best[0])), best[1:] - best[1:].mean())


def fit_logit_scale(logits: FloatArray, targets: LabelIndices) -> float:
    """Fit the factor (1 / temperature) that calibrates logits of shape (rows, labels), all finite.

    The posterior is that of `fit_calibration` without shifts. The bounded scalar search is kept because its last digits
    differ from those of L-BFGS-B, and scores of the label consistency gate depend on them.
    """

    def loss(log_scale: float) -> float:
        return 0.5 * log_scale**2 + _negative_log_likelihood(np.exp(log_scale) * logits, targets)

    low, high = TEMPERATURE_BOUNDS
    bounds = (-np.log(high), np.log(1 / low))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def calibrate_out_of_fold(
    logits: FloatArray, targets: LabelIndices, shift_intercepts: bool, n_folds: int
) -> FloatArray:
    """Calibrate each fold with a fit on the other folds, so that shifts are evaluated on posts they were not fitted to.

    Row i belongs to fold i % n_folds. Without shifts the logits are returned unchanged, since a temperature does not
    change which label is most likely.
    """
    if not shift_intercepts:
        return logits
    calibrated = logits.copy()
    for fold in range(n_folds):
        others = np.arange(len(targets)) % n_folds != fold
        calibration = fit_calibration(logits[others], targets[others], shift_intercepts)
        calibrated[~others] = calibration.apply(logits[~others])
    return calibrated


def _negative_log_likelihood(logits: FloatArray, targets: LabelIndices) -> float:
    """Negative log-likelihood of the targets in nats, summed over the rows."""
    return -float(log_softmax(logits, axis=1)[np.arange(len(targets)), targets].sum())

"""Turn scores into probabilities on posts that the fit has not seen (Guo et al. 2017, "On Calibration of Modern
Neural Networks", section 4.2: temperature scaling, and vector scaling with one scale for all labels).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from mentallama.analysts.linear.features import FloatArray
from mentallama.train.linear.trainer import PostIndices

TEMPERATURE_BOUNDS = (0.05, 20.0)
"""Bounds of the search: far beyond what was ever best on the published sets (0.3 to 2.4)."""


@dataclass(frozen=True)
class LogitCalibration:
    """Logits are divided by the temperature, then moved by `shifts`, shape (labels,), which sum to 0."""

    temperature: float
    intercept_shifts: FloatArray

    def apply(self, logits: FloatArray) -> FloatArray:
        calibrated: FloatArray = logits / self.temperature + self.intercept_shifts
        return calibrated


def fit_calibration(logits: FloatArray, targets: PostIndices, shift_intercepts: bool) -> LogitCalibration:
    """The most likely calibration under a prior of none: temperature log-normal, shifts normal, deviation 1.

    On a few posts, which any weights can separate, the lowest loss alone would lie at certainty; on a hundred the prior
    no longer counts. With shifts this is vector scaling (Guo et al. 2017) with one scale for all labels.

    Parameters
    ----------
    logits
        Shape (posts, labels), -inf where a fit had not seen the label.
    truth
        Shape (posts,): the right label's column.
    """
    seen = np.isfinite(logits[np.arange(len(targets)), targets])
    logits, targets = logits[seen], targets[seen]
    labels = logits.shape[1]

    def loss(free: FloatArray) -> float:
        likely = log_softmax(logits / np.exp(free[0]) + free[1:], axis=1)
        return 0.5 * float(free @ free) - float(likely[np.arange(len(targets)), targets].sum())

    bounds = [
        tuple(np.log(TEMPERATURE_BOUNDS)),
        *([(-5.0, 5.0) if shift_intercepts else (0.0, 0.0)] * labels),
    ]
    best = minimize(loss, np.zeros(1 + labels), method="L-BFGS-B", bounds=bounds).x
    return LogitCalibration(float(np.exp(best[0])), best[1:] - best[1:].mean())


def calibrate_out_of_fold(logits: FloatArray, truth: PostIndices, shift: bool, folds: int) -> FloatArray:
    """Calibrate each fold by the others, so that the shifts are judged on posts they were not fitted to."""
    if not shift:
        return logits  # a temperature changes no label
    calibrated = logits.copy()
    for fold in range(folds):
        others = np.arange(len(truth)) % folds != fold
        calibrated[~others] = fit_calibration(logits[others], truth[others], shift).apply(logits[~others])
    return calibrated

"""Regression on ordered levels, for the heads of ordinal answers and of the items of scales.

The adjacent-categories logit model (Agresti 2010, "Analysis of Ordinal Categorical Data", section 4.1): the log-odds of
a level against the next lower one are `x @ w + constant`, with the same `w` for all levels, as in the proportional-odds
model. It is a softmax whose weights are the outer product of the levels' numbers and `w`. So it is stored and
calibrated as any other head, and its decisions are divided among words exactly (`analysts.linear.level_scale`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

FloatArray = NDArray[np.float64]


def fit_levels(
    matrix: Any,
    targets: NDArray[np.int64],
    numbers: FloatArray,
    sample_weights: FloatArray,
    C: float,
) -> tuple[FloatArray, FloatArray]:
    """Fit one weight per feature, shared by all levels, and an intercept per level.

    It minimises `||w||² / 2 + C * weighted negative log-likelihood`, as logistic regression does; intercepts are not
    penalised.

    Parameters
    ----------
    matrix
        Features, shape (rows, features); sparse.
    targets
        The level of each row, as an index into `numbers`; every level occurs.
    numbers
        Positions of the levels among those of the task, ascending, shape (levels,).
    sample_weights
        Shape (rows,).

    Returns
    -------
    Weights of shape (features, levels) and intercepts of shape (levels,); both sum to 0 over the levels.
    """
    centred_numbers = numbers - numbers.mean()
    features = matrix.shape[1]
    rows = np.arange(len(targets))
    transposed = matrix.T.tocsr()

    def loss_and_gradient(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights, intercepts = parameters[:features], parameters[features:]
        logits = np.outer(matrix @ weights, centred_numbers) + intercepts
        log_probabilities = log_softmax(logits, axis=1)
        residuals = np.exp(log_probabilities)
        residuals[rows, targets] -= 1
        residuals *= C * sample_weights[:, None]
        loss = weights @ weights / 2 - C * float(sample_weights @ log_probabilities[rows, targets])
        by_weight = weights + transposed @ (residuals @ centred_numbers)
        return float(loss), np.concatenate([by_weight, residuals.sum(axis=0)])

    start = np.zeros(features + len(numbers))
    best = minimize(loss_and_gradient, start, method="L-BFGS-B", jac=True).x
    weights, intercepts = best[:features], best[features:]
    return np.outer(weights, centred_numbers), intercepts - intercepts.mean()

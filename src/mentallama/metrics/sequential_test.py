"""Wald's sequential probability ratio test, which stops a rating as soon as the result is decided."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

ALPHA, BETA = 0.05, 0.10
"""Risk of rejecting data with the acceptable share of poor rows, and of accepting data with the unacceptable one."""


@dataclass(frozen=True)
class SequentialTestResult:
    """State of the test after `rated` rows.

    `min_remaining` is the smallest number of further rows that can decide the test, if none of them is poor.
    """

    result: Literal["accept", "reject", "rate more"]
    rated: int
    poor: int
    min_remaining: int


def sequential_test(
    poor: Iterable[bool],
    acceptable: float,
    unacceptable: float,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> SequentialTestResult:
    """Wald's sequential probability ratio test on the share of poor rows (Wald 1945, section 5).

    Stops at the first row that decides the test; later rows do not count.

    Parameters
    ----------
    poor
        Whether each row is poor, in the order of rating.
    acceptable, unacceptable
        Shares of poor rows (0-1), the first below the second.
    alpha, beta
        Risk of rejecting at the acceptable share, and of accepting at the unacceptable one.

    Raises
    ------
    ValueError
        The shares are not in order or not within 0-1.

    Examples
    --------
    >>> sequential_test([False] * 20, 0.05, 0.15)
    SequentialTestResult(result='rate more', rated=20, poor=0, min_remaining=1)
    >>> sequential_test([False] * 21, 0.05, 0.15).result
    'accept'
    """
    if not 0 <= acceptable < unacceptable <= 1:
        raise ValueError("the acceptable share must be below the unacceptable one, both from 0 to 1")
    step_if_poor = _log_likelihood_ratio(unacceptable, acceptable)
    step_if_good = _log_likelihood_ratio(1 - unacceptable, 1 - acceptable)
    accept_at, reject_at = math.log(beta / (1 - alpha)), math.log((1 - beta) / alpha)
    evidence, rated, n_poor = 0.0, 0, 0
    for rated, is_poor in enumerate(poor, 1):
        n_poor += is_poor
        evidence += step_if_poor if is_poor else step_if_good
        if evidence >= reject_at:
            return SequentialTestResult("reject", rated, n_poor, 0)
        if evidence <= accept_at:
            return SequentialTestResult("accept", rated, n_poor, 0)
    remaining = max(1, math.ceil((evidence - accept_at) / -step_if_good))
    return SequentialTestResult("rate more", rated, n_poor, remaining)


def _log_likelihood_ratio(numerator: float, denominator: float) -> float:
    if not denominator:
        return math.inf
    return math.log(numerator / denominator) if numerator else -math.inf

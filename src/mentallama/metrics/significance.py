"""Tests of the difference between two systems that answered the same rows, and corrections for many of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mentallama.metrics.bootstrap import BootstrapDistribution

ALPHA = 0.05
"""Largest adjusted p-value of a difference that is called one; it goes with 95 % intervals."""


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar test that two systems are right equally often; p-value, 0-1.

    It is the binomial test of the rows that only one system got right, each as likely either's (McNemar 1947). Rows
    are taken as independent: where several rows are about one post, the p-value is too small.

    >>> mcnemar_exact(1, 5)
    0.21875
    """
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def bootstrap_p_value(differences: BootstrapDistribution) -> float:
    """Two-sided p-value of a difference, by the shift method (Berg-Kirkpatrick et al. 2012; Efron and Tibshirani 1993).

    The resampled differences vary about the observed one as they would about 0 if there were no difference. So p is
    the share of resamples that lie at least as far from the observed difference as that lies from 0; the observed
    sample counts as one more resample (Davison and Hinkley 1997, section 4.2), so p is never 0.

    Parameters
    ----------
    differences
        Of one number per resample. Resamples that do not determine it are left out.
    """
    values = differences.values[~np.isnan(differences.values)]
    distance = abs(float(differences.estimate))
    # Differences that are equal on paper may differ in their last bits.
    extreme = np.abs(values - differences.estimate) >= distance * (1 - 1e-9) - 1e-12
    return (1 + int(extreme.sum())) / (1 + len(values))


def sign_flip_p_value(differences: Sequence[float], seed: int = 0, resamples: int = 9999) -> float:
    """Two-sided permutation test that paired differences are 0 on average; p-value, 0-1.

    If the two systems were alike, each difference would as likely have the other sign (Fisher's randomisation test).
    All signs are tried where there are at most `resamples` ways, otherwise random ones; then p is at least
    1 / (resamples + 1).

    Parameters
    ----------
    differences
        Of one system from another, one per post.
    """
    from scipy.stats import permutation_test

    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or not values.any():
        return 1.0
    found = permutation_test(
        (values,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 1_000_000 // len(values)),
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's step-down method (Holm 1979), in the order given.

    The chance of any false finding among them is at most the level that the adjusted values are compared with.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values: NDArray[np.float64] = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    result = np.empty(len(values))
    result[order] = adjusted
    return [float(value) for value in result]

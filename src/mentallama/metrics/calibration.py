"""Calibration of predicted probabilities: Brier score and expected calibration error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mentallama.records import Record

N_BINS = 10


class CalibrationBin(Record):
    """Answers with a probability in (low, high]; the first bin includes 0 as well.

    `mean_probability` and `accuracy` (both 0-1) are None where the bin is empty.
    """

    low: float
    high: float
    n: int
    mean_probability: float | None
    accuracy: float | None


class CalibrationScores(Record):
    """Calibration of the rows that have probabilities; all numbers are shares, not percent.

    `brier` is the mean over the `n_brier` rows with probabilities (0 best, 2 worst). `ece` covers only the `n_ece`
    parsed rows among them, since it compares the probability of the predicted label with its accuracy.
    """

    n_brier: int
    brier: float
    n_ece: int
    ece: float | None
    bins: tuple[CalibrationBin, ...]


def brier_score(gold: str, probabilities: Mapping[str, float]) -> float | None:
    """Brier score: the sum over labels of (probability - 1[label is gold])²; None without probabilities.

    This is the multi-class form of Brier (1950), with range 0-2.

    >>> brier_score("yes", {"yes": 0.5, "no": 0.5})
    0.5
    """
    if not probabilities:
        return None
    return float(sum((share - (label == gold)) ** 2 for label, share in probabilities.items()))


def calibration_scores(
    brier_scores: Sequence[float], predictions: Sequence[tuple[float, bool]]
) -> CalibrationScores | None:
    """Mean Brier score and expected calibration error (Naeini et al. 2015) with ten bins of equal width.

    Parameters
    ----------
    brier_scores
        Brier score of each row with probabilities; if there are none, the result is None.
    predictions
        Of each parsed row, the probability of the predicted label, and whether that label is correct.
    """
    if not brier_scores:
        return None
    bins = calibration_bins(predictions)
    return CalibrationScores(
        n_brier=len(brier_scores),
        brier=round(float(np.mean(brier_scores)), 6),
        n_ece=len(predictions),
        ece=expected_calibration_error(bins),
        bins=bins,
    )


def calibration_bins(predictions: Sequence[tuple[float, bool]]) -> tuple[CalibrationBin, ...]:
    """Sort (probability, correct) pairs into `N_BINS` bins of equal width."""
    probabilities = np.array([probability for probability, _ in predictions], dtype=np.float64)
    correct = np.array([is_correct for _, is_correct in predictions], dtype=np.float64)
    # A binary 0.3 may exceed the decimal one slightly; rounding keeps it in the bin of its decimal value.
    bin_of = np.clip(np.ceil(np.round(probabilities * N_BINS, 9)).astype(int) - 1, 0, N_BINS - 1)
    return tuple(
        CalibrationBin(
            low=index / N_BINS,
            high=(index + 1) / N_BINS,
            n=int((bin_of == index).sum()),
            mean_probability=_mean(probabilities[bin_of == index]),
            accuracy=_mean(correct[bin_of == index]),
        )
        for index in range(N_BINS)
    )


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float | None:
    """Mean gap between probability and accuracy, weighted by the bins' numbers of rows; None without rows."""
    total = sum(bin_.n for bin_ in bins)
    if not total:
        return None
    gaps = (
        bin_.n * abs(bin_.mean_probability - bin_.accuracy)
        for bin_ in bins
        if bin_.mean_probability is not None and bin_.accuracy is not None
    )
    return round(sum(gaps) / total, 6)


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    return round(float(values.mean()), 6) if len(values) else None

"""Whether a probability means what it says: Brier score and expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mentallama.evaluate.score_row import ScoredRow
from mentallama.records import Record

N_BINS = 10


class CalibrationBin(Record):
    """Answers whose probability lies in (low, high]; the first bin holds 0 as well.

    `mean_probability` and `share_right` (both 0-1) are None where the bin is empty.
    """

    low: float
    high: float
    n: int
    mean_probability: float | None
    accuracy: float | None


class CalibrationScores(Record):
    """Calibration of the rows that have probabilities; all numbers are shares, not percent.

    `brier` is over the `n_brier` rows with probabilities (0 best, 2 worst); `ece` over the `n` rows
    among them that were read, as the label read is the one whose probability is judged.
    """

    n_brier: int
    brier: float
    n_ece: int
    ece: float | None
    bins: tuple[CalibrationBin, ...]


def calibration_scores(rows: Sequence[ScoredRow]) -> CalibrationScores | None:
    """Brier score and expected calibration error (Naeini et al. 2015) with ten equal-width bins.

    None where no row has probabilities.
    """
    briers = [row.brier for row in rows if row.brier is not None]
    if not briers:
        return None
    judged = [(row.probability, row.correct) for row in rows if row.probability is not None]
    bins = calibration_bins(judged)
    return CalibrationScores(
        n_brier=len(briers),
        brier=round(float(np.mean(briers)), 6),
        n_ece=len(judged),
        ece=expected_calibration_error(bins),
        bins=bins,
    )


def calibration_bins(predictions: Sequence[tuple[float, bool]]) -> tuple[CalibrationBin, ...]:
    """Sort (probability, right) pairs into `N_BINS` bins of equal width."""
    sure = np.array([probability for probability, _ in predictions], dtype=np.float64)
    right = np.array([hit for _, hit in predictions], dtype=np.float64)
    # A share like 0.3 is a hair off in binary; rounding keeps it in the bin it is written in.
    place = np.clip(np.ceil(np.round(sure * N_BINS, 9)).astype(int) - 1, 0, N_BINS - 1)
    return tuple(
        CalibrationBin(
            low=index / N_BINS,
            high=(index + 1) / N_BINS,
            n=int((place == index).sum()),
            mean_probability=_mean(sure[place == index]),
            accuracy=_mean(right[place == index]),
        )
        for index in range(N_BINS)
    )


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float | None:
    """Mean gap between probability and share right, weighted by the bins' rows; None without rows."""
    total = sum(part.n for part in bins)
    if not total:
        return None
    gaps = (
        part.n * abs(part.mean_probability - part.accuracy)
        for part in bins
        if part.mean_probability is not None and part.accuracy is not None
    )
    return round(sum(gaps) / total, 6)


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    return round(float(values.mean()), 6) if len(values) else None

"""Score one row. A scorer sees one record; a metric (`metrics.py`) sees a list."""

from __future__ import annotations

from collections.abc import Mapping

from mentallama.records import Example, Reading, ReadingStatus, Record


class ScoredRow(Record):
    """One labelled row and what became of it.

    `predicted` is a label exactly when `status` is "parsed": an unparsed, refused or truncated answer is wrong
    and is never a class. `probability` is the one the model gave to `predicted` (0-1); `brier` is the
    row's Brier score over all labels (0 best, 2 worst). Both are None where there are no
    probabilities.
    """

    example_id: str
    set: str
    question: str
    post_id: str
    gold: str
    status: ReadingStatus
    predicted: str | None = None
    probability: float | None = None
    brier: float | None = None

    @property
    def correct(self) -> bool:
        """True where the label read is the gold label."""
        return self.predicted == self.gold


def score_row(example: Example, reading: Reading, probabilities: Mapping[str, float]) -> ScoredRow:
    """Score one answer against the example's gold label.

    Raises
    ------
    ValueError
        The example has no gold label.
    """
    if example.label is None:
        raise ValueError(f"example {example.id} has no label to score against")
    predicted = reading.label if reading.status == "parsed" else None
    return ScoredRow(
        example_id=example.id,
        set=example.task,
        question=example.question,
        post_id=example.post_id,
        gold=example.label,
        status=reading.status,
        predicted=predicted,
        probability=None if predicted is None else probabilities.get(predicted),
        brier=brier_score(example.label, probabilities),
    )


def brier_score(gold: str, probabilities: Mapping[str, float]) -> float | None:
    """Sum over labels of (probability - 1[label is gold])²; None without probabilities.

    Brier (1950), the multi-class form with range 0-2.

    >>> brier_score("yes", {"yes": 0.5, "no": 0.5})
    0.5
    """
    if not probabilities:
        return None
    return float(sum((share - (label == gold)) ** 2 for label, share in probabilities.items()))

"""Score one row: its gold label against what the answer says. Metrics (`scores.py`) see lists of scored rows."""

from __future__ import annotations

from collections.abc import Mapping

from mentallama.metrics.calibration import brier_score
from mentallama.records import Example, Reading, ReadingStatus, Record


class ScoredRow(Record):
    """One labelled row with its score.

    `predicted` is a label exactly if `status` is "parsed": an unparsed, refused or truncated answer is wrong and is
    never a class. `probability` (0-1) is the model's probability of `predicted`; `brier` is the row's Brier score over
    all labels (0 best, 2 worst). Both are None where there are no probabilities.
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
        """Whether the predicted label is the gold label."""
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

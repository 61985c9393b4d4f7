"""Metrics of answers that name any number of labels, or none."""

from __future__ import annotations

import numpy as np

from mentallama.metrics.kinds.answer_levels import AnswerLevels, class_counts


def hamming_loss(answers: AnswerLevels) -> float:
    """Share of labels, over rows x labels, whose presence is decided wrongly, in percent; 0 is best.

    scikit-learn's `hamming_loss`, but for rows without an answer: all of their labels are wrong.
    """
    return 100 * float(1 - answers.right.mean())


def example_f1(answers: AnswerLevels) -> float:
    """Mean over rows of the F1 of the labels that the row's answer names, in percent.

    scikit-learn's `f1_score(average="samples", zero_division=1)`, but for rows without an answer, which have 0: where
    neither names a label, the row has 1.
    """
    hits, gold, predicted = class_counts(answers, n_levels=2, first=1).sum(axis=1).T
    total = gold + predicted
    scores = np.divide(2 * hits, total, out=np.ones(total.shape), where=total > 0)
    return 100 * float(np.where(answers.answered, scores, 0.0).mean())

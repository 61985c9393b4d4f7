"""Decisions of linear heads, divided exactly among the words of a post."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mentallama.analysts.linear.features import FloatArray, TfidfVector
from mentallama.analysts.linear.rationale import NEAR_PRIOR, Support
from mentallama.analysts.linear.serialization import LinearHead


@dataclass(frozen=True)
class Decision:
    """The answer of a linear model to one question about one post.

    `logits` has shape (labels,), is calibrated and sums to 0; `label` is the index of the highest, or of a given label.
    `margin` is the label's logit minus the mean logit of the others, which for two labels is the log-odds; for an
    ordered level it is the log-odds. It is the sum of `prior_margin`, the margin of the label's prior, and of
    `contributions`, one per word: the post's weight of evidence (Good, 1950). So the words of a post speak for a label
    exactly if they make it likelier than it usually is.
    """

    logits: FloatArray
    label: int
    contributions: FloatArray
    prior_margin: float
    margin: float

    @property
    def probabilities(self) -> FloatArray:
        """Softmax of the calibrated logits, shape (labels,)."""
        weights: FloatArray = np.exp(self.logits - self.logits.max())
        probabilities: FloatArray = weights / weights.sum()
        return probabilities


def decide(vector: TfidfVector, head: LinearHead, label: int | None = None) -> Decision:
    """Apply a head to a vector. `label` is the index of the label to explain; None: the most likely."""
    weights = head.weights.take(vector.columns, axis=0).astype(np.float64)
    intercepts = head.intercepts.astype(np.float64)
    logits = vector.values @ weights + intercepts
    label = int(logits.argmax()) if label is None else label
    if len(logits) == 1:  # the only level that occurs in training is certain
        return Decision(logits, label, np.zeros(len(vector.words.forms)), 0.0, 0.0)
    if head.metadata.ordered:
        return _decide_level(vector, head, logits, label)
    # Logits sum to 0, so the mean of the others is -logit / (labels - 1).
    scale = len(logits) / (len(logits) - 1)
    log_prior = np.log(head.metadata.label_prior)
    prior_margin = float(log_prior[label] - log_prior.mean()) * scale
    intercept = float(intercepts[label]) * scale
    if not len(vector.columns):  # no known word: the intercept is all that is left
        return Decision(logits, label, np.zeros(len(vector.words.forms)), intercept, intercept)
    # A regression on posts of unit length moves an arbitrary part of the evidence into its intercept: words that are
    # common with one label weigh as much as the intercept takes back. Each word gets its share of the difference.
    excess = (intercept - prior_margin) / vector.values.sum()
    contributions = vector.attribute_to_words(weights[:, label] * scale + excess)
    return Decision(logits, label, contributions, prior_margin, float(logits[label] * scale))


def _decide_level(vector: TfidfVector, head: LinearHead, logits: FloatArray, level: int) -> Decision:
    """The decision on an ordered level.

    The log-odds of a level are no linear function of the words, but one of a score that is. So along the straight line
    from the usual score to that of the post, each word has a constant share of the change: the integrated gradients
    (Sundararajan et al. 2017) in closed form.
    """
    scale = head.level_scale
    usual = scale.log_odds(scale.usual_score, level)
    if not len(vector.columns):
        return Decision(logits, level, np.zeros(len(vector.words.forms)), usual, usual)
    by_label = head.weights.take(vector.columns, axis=0).astype(np.float64)
    shift = scale.usual_score / vector.values.sum()
    scores = vector.attribute_to_words(by_label[:, -1] - by_label[:, 0] - shift)
    moved = float(scores.sum())
    margin = scale.log_odds(scale.usual_score + moved, level)
    rate = (margin - usual) / moved if abs(moved) > 1e-6 else scale.slope(scale.usual_score, level)
    return Decision(logits, level, scores * rate, usual, usual + moved * rate)


def completeness_gap(decision: Decision, head: LinearHead) -> float:
    """How far the contributions are from adding up to the log-odds of the label less those of its prior."""
    if len(decision.logits) == 1 or head.metadata.ordered:
        return abs(float(decision.contributions.sum()) - (decision.margin - decision.prior_margin))
    found, prior = (
        _log_odds(distribution, decision.label)
        for distribution in (decision.probabilities, np.array(head.metadata.label_prior))
    )
    return abs(float(decision.contributions.sum()) - (found - prior))


def _log_odds(distribution: FloatArray, label: int) -> float:
    return float(np.log(distribution[label]) - np.log(np.delete(distribution, label).sum()))


def support_of(decision: Decision, head: LinearHead) -> Support:
    """How far the post speaks for the decision's label."""
    if decision.margin <= decision.prior_margin:
        return "none"
    gain = decision.probabilities[decision.label] - head.metadata.label_prior[decision.label]
    return "clear" if abs(gain) > NEAR_PRIOR else "weak"

"""The exact contributions of a linear analyst, against values worked by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.analysts.linear.features import NgramConfig, hash_word
from mentallama.analysts.linear.serialization import LinearHead, LinearHeadMetadata, LinearSetModel
from mentallama.attribution.log_odds import label_log_odds
from mentallama.attribution.methods.linear_exact import ExactAttribution
from mentallama.errors import UsageError
from tests.factories.toy_analyst import make_example

WORDS = NgramConfig(word_bigrams=False, min_chars=10, max_chars=10)
"""Whole words only, as long as they are short."""


def linear(
    labels: tuple[str, ...], prior: tuple[float, ...], weights: dict[str, list[float]]
) -> LinearAnalyst:
    """A model that knows some words, whose idf is 1, with logits 0 for a text of other words."""
    keys = np.array([hash_word(word, WORDS)[0] for word in weights], np.uint32)
    metadata = LinearHeadMetadata(
        labels=labels, label_prior=prior, C=1.0, class_weight="none", evidence_weight=0.0, topics=0, shift=False,
        temperature=1.0, weighted_f1=1.0,
    )  # fmt: skip
    head = LinearHead(
        metadata, np.array(list(weights.values()), np.float32), np.zeros(len(labels), np.float32)
    )
    model = LinearSetModel(keys, np.ones(len(keys), np.float32), {"stress": head, "cause": head})
    return LinearAnalyst(WORDS, {"dreaddit": model, "CAMS": model}, "linear:toy")


def test_between_two_labels_the_contributions_add_up_to_the_log_odds() -> None:
    # Each of the three known words has the value 1 / sqrt(3), and twice its weight for yes counts. The intercept is 0,
    # the log-odds of the prior are log 4: each known word gives a third of the difference back.
    analyst = linear(
        ("no", "yes"), (0.2, 0.8), {"sad": [-1.5, 1.5], "alone": [-0.5, 0.5], "glad": [0.75, -0.75]}
    )
    example = make_example("sad and alone, glad")
    (found,) = ExactAttribution(analyst).attribute([example], ["yes"])
    value, share = 1 / np.sqrt(3), log(4) / 3
    assert found.units == ((0, 3), (4, 7), (8, 13), (15, 19))
    expected = [3 * value - share, 0, value - share, -1.5 * value - share]
    assert found.weights == pytest.approx(expected)
    (text_log_odds,) = label_log_odds(analyst, [example], ["yes"])
    assert sum(found.weights) == pytest.approx(text_log_odds - log(4))
    assert found.completeness_gap == pytest.approx(0, abs=1e-9)


def test_the_other_label_has_the_opposite_weights() -> None:
    analyst = linear(("no", "yes"), (0.5, 0.5), {"sad": [-1.5, 1.5]})
    yes, no = ExactAttribution(analyst).attribute([make_example("so sad")] * 2, ["yes", "no"])
    assert yes.weights == pytest.approx([0, 3])
    assert no.weights == pytest.approx([0, -3])


def test_among_three_labels_the_gap_says_how_far_the_sum_is_from_the_log_odds() -> None:
    # One word of value 1 and logits (2, -1, -1): the contribution is 2 - (-1) = 3, and the log-odds rise from
    # log(1/2) to log(e^2 / (2 e^-1)) = 3 - log 2, so between equal alternatives the gap is 0 ...
    weights = {"sad": [2.0, -1.0, -1.0], "tired": [2.0, 0.0, -2.0]}
    analyst = linear(("none", "medication", "relationship"), (1 / 3, 1 / 3, 1 / 3), weights)
    examples = [
        make_example(text).model_copy(update={"task": "CAMS", "question": "cause"})
        for text in ("sad", "tired")
    ]
    equal, unequal = ExactAttribution(analyst).attribute(examples, ["none", "none"])
    assert equal.weights == pytest.approx([3.0])
    assert equal.completeness_gap == pytest.approx(0, abs=1e-9)
    # ... and between 0 and -2 it is |3 - (log(e^2 / (1 + e^-2)) - log(1/2))| = |1 - log 2 + log(1 + e^-2)|.
    assert unequal.weights == pytest.approx([3.0])
    assert unequal.completeness_gap == pytest.approx(1 - log(2) + log(1 + np.exp(-2)))


def test_a_label_that_was_not_learnt_has_no_reason() -> None:
    analyst = linear(("no", "yes"), (0.5, 0.5), {"sad": [-1.5, 1.5]})
    with pytest.raises(
        UsageError, match="linear:toy has not learnt the label 'maybe', so it has no reason for it"
    ):
        ExactAttribution(analyst).attribute([make_example("so sad")], ["maybe"])

"""Comprehensiveness and sufficiency, worked by hand on an analyst whose log-odds are sums of words."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from mentallama.attribution.units import word_units
from mentallama.errors import UsageError
from mentallama.explain.deletion import (
    SHARES,
    DeletionCurve,
    WordChoices,
    deletion_curves,
    matched_choices,
    top_choices,
)
from tests.factories.toy_analyst import SilentAnalyst, WordSumAnalyst, make_example

TEXT = "rent is due and sleep is gone my dear friends"
WEIGHTS = {"rent": 1.0, "sleep": 3.0, "gone": 2.0}


def probability(score: float) -> float:
    return 1 / (1 + exp(-score))


def choices_for(weights: dict[str, float]) -> WordChoices:
    words = word_units(TEXT)
    found = np.array([weights.get(TEXT[start:end], 0.0) for start, end in words])
    return top_choices(make_example(TEXT), "yes", words, found)


def test_words_are_left_out_and_kept_by_hand() -> None:
    choices = choices_for(WEIGHTS)
    # of ten words: 1, 1, 1, 2 and 5; "is" and "due" are the first of those that weigh nothing
    assert choices.choices == ((4,), (4,), (4,), (4, 6), (0, 1, 2, 4, 6))
    assert [variant.text for variant in choices.variants()] == [
        *["rent is due and is gone my dear friends"] * 3,
        "rent is due and is my dear friends",
        "and is my dear friends",
        *["sleep"] * 3,
        "sleep gone",
        "rent is due sleep gone",
    ]


def test_probabilities_by_hand() -> None:
    (curve,) = deletion_curves(WordSumAnalyst(WEIGHTS, bias=-1.0), [choices_for(WEIGHTS)])
    assert curve.whole == pytest.approx(probability(5))
    assert curve.removed == pytest.approx([probability(score) for score in (2, 2, 2, 0, -1)])
    assert curve.kept == pytest.approx([probability(score) for score in (2, 2, 2, 4, 5)])


def test_means_over_the_shares() -> None:
    curve = DeletionCurve(whole=0.9, removed=(0.8, 0.7, 0.6, 0.5, 0.4), kept=(0.5, 0.6, 0.7, 0.8, 0.9))
    assert curve.comprehensiveness == pytest.approx(0.3)
    assert curve.sufficiency == pytest.approx(0.2)


def test_the_true_ranking_beats_the_reverse() -> None:
    reverse = {word: -weight for word, weight in WEIGHTS.items()}
    true, false = deletion_curves(
        WordSumAnalyst(WEIGHTS, bias=-1.0), [choices_for(WEIGHTS), choices_for(reverse)]
    )
    assert true.comprehensiveness > false.comprehensiveness
    assert true.sufficiency < false.sufficiency


def test_all_variants_are_asked_about_in_one_call_and_equal_texts_once() -> None:
    analyst = WordSumAnalyst(WEIGHTS)
    choices = choices_for(WEIGHTS)
    curves = deletion_curves(analyst, [choices, choices])
    assert curves[0] == curves[1]
    (texts,) = analyst.calls
    assert len(texts) == len(set(texts)) == 1 + 3 + 3


def test_matched_words_are_as_many_by_share() -> None:
    choices = choices_for(WEIGHTS)
    matched = matched_choices(choices, np.random.default_rng(3))
    assert [len(choice) for choice in matched.choices] == [1, 1, 1, 2, 5]
    assert len(SHARES) == 5


def test_an_analyst_without_probabilities_is_refused() -> None:
    with pytest.raises(UsageError, match="gives no probabilities"):
        deletion_curves(SilentAnalyst(WEIGHTS), [choices_for(WEIGHTS)])


def test_nothing_to_ask() -> None:
    analyst = WordSumAnalyst(WEIGHTS)
    assert deletion_curves(analyst, []) == []
    assert analyst.calls == []

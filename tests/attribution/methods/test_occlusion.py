"""Occlusion of an analyst whose log-odds are known."""

from __future__ import annotations

import pytest

from mentallama.attribution.methods.occlusion import Occlusion
from mentallama.attribution.units import word_units
from tests.factories.toy_analyst import WordSumAnalyst, make_example

WEIGHTS = {"tired": 2.0, "garden": -1.0, "rent": 0.5}


def test_a_clause_weighs_what_the_log_odds_lose_without_it() -> None:
    analyst = WordSumAnalyst(WEIGHTS, bias=0.25)
    texts = ["So tired, the rent is due. My garden", "A garden"]
    first, second = Occlusion(analyst).attribute([make_example(text) for text in texts], ["yes", "no"])
    assert [texts[0][start:end] for start, end in first.units] == [
        "So tired,",
        "the rent is due.",
        "My garden",
    ]
    assert first.weights == pytest.approx([2.0, 0.5, -1.0])
    assert second.weights == pytest.approx([1.0])
    assert (first.label, first.method, first.completeness_gap) == ("yes", "occlusion", None)
    assert len(analyst.calls) == 1


def test_words_can_be_left_out_too() -> None:
    (found,) = Occlusion(WordSumAnalyst(WEIGHTS), word_units).attribute(
        [make_example("tired garden")], ["no"]
    )
    assert found.weights == pytest.approx([-2.0, 1.0])


def test_a_text_without_words_has_no_units() -> None:
    (found,) = Occlusion(WordSumAnalyst(WEIGHTS)).attribute([make_example("")], ["no"])
    assert found.units == found.weights == ()

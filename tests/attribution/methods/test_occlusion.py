"""Occlusion of an analyst whose log-odds are known."""

from __future__ import annotations

import pytest

from mentallama.attribution.methods.occlusion import Occlusion
from mentallama.attribution.units import sentence_units, word_units
from tests.factories.toy_analyst import FunctionAnalyst, WordSumAnalyst, make_example

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


def test_what_a_sentence_weighs_beyond_its_clauses_is_divided_among_them() -> None:
    # Without words the log-odds are 0; either of the first two clauses alone keeps them at 2.
    analyst = FunctionAnalyst(
        lambda text: 2.0 * ("tired" in text or "asleep" in text) + 0.5 * ("rent" in text)
    )
    text = "So tired, hardly asleep. The rent is due."
    (found,) = Occlusion(analyst, larger_units=sentence_units).attribute([make_example(text)], ["yes"])
    assert [text[start:end] for start, end in found.units] == [
        "So tired,",
        "hardly asleep.",
        "The rent is due.",
    ]
    assert found.weights == pytest.approx([1.0, 1.0, 0.5])
    assert found.method == "hierarchical-occlusion"
    (single,) = Occlusion(analyst).attribute([make_example(text)], ["yes"])
    assert single.weights == pytest.approx([0.0, 0.0, 0.5])


def test_a_sentence_of_one_clause_is_asked_about_once() -> None:
    method = Occlusion(WordSumAnalyst(WEIGHTS), larger_units=sentence_units)
    example = make_example("So tired. The rent is due, my garden too.")
    assert [variant.text for variant in method.variants(example)] == [
        "The rent is due, my garden too.",
        "So tired. my garden too.",
        "So tired. The rent is due,",
        "So tired.",
    ]

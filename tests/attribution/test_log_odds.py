"""Log-odds of labels through any analyst."""

from __future__ import annotations

from math import log

import pytest

from mentallama.attribution.log_odds import label_log_odds, log_odds, with_text
from mentallama.errors import UsageError
from tests.factories.toy_analyst import SilentAnalyst, WordSumAnalyst, make_example

WEIGHTS = {"tired": 2.0, "garden": -1.0}


def test_the_other_labels_are_added() -> None:
    assert log_odds({"a": 0.5, "b": 0.3, "c": 0.2}, "c") == pytest.approx(log(0.2 / 0.8))


def test_certain_labels_have_finite_log_odds() -> None:
    assert log_odds({"yes": 1.0, "no": 0.0}, "yes") == pytest.approx(-log(1e-12))
    assert log_odds({"yes": 1.0, "no": 0.0}, "no") == pytest.approx(log(1e-12))


def test_equal_texts_are_asked_once_and_all_in_one_call() -> None:
    analyst = WordSumAnalyst(WEIGHTS, bias=0.5)
    examples = [make_example(text) for text in ("So tired", "My garden", "So tired")]
    found = label_log_odds(analyst, examples, ["yes", "yes", "no"])
    assert found == pytest.approx([2.5, -0.5, -2.5])
    assert analyst.calls == [["So tired", "My garden"]]


def test_examples_with_one_id_and_different_texts_are_told_apart() -> None:
    example = make_example("So tired")
    other = example.model_copy(update={"text": "My garden"})
    found = label_log_odds(WordSumAnalyst(WEIGHTS), [example, other], ["yes", "yes"])
    assert found == pytest.approx([2.0, -1.0])


def test_a_text_of_its_own_has_an_id_of_its_own() -> None:
    example = make_example("So tired")
    variant = with_text(example, "So")
    assert (variant.text, variant.question, variant.id == example.id) == ("So", "stress", False)


def test_an_analyst_without_probabilities_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^toy:words gives no probabilities, .* use mode: answer-first, or a server"
    ):
        label_log_odds(SilentAnalyst(WEIGHTS), [make_example("So tired")], ["yes"])


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(UsageError, match="toy:words gives no label 'maybe'; its labels are yes, no"):
        label_log_odds(WordSumAnalyst(WEIGHTS), [make_example("So tired")], ["maybe"])

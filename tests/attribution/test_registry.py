"""The table of attribution methods, and the methods that need no model of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mentallama.attribution.base import Attribution
from mentallama.attribution.registry import ATTRIBUTION_METHODS, default_method, open_attribution
from mentallama.errors import UsageError
from tests.factories.toy_analyst import SilentAnalyst, WordSumAnalyst, make_example

TOY = WordSumAnalyst({"tired": 2.0})


def attribute(name: str, texts: Sequence[str]) -> list[Attribution]:
    return open_attribution(name, TOY).attribute([make_example(text) for text in texts], ["yes"] * len(texts))


def test_an_unknown_method_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="'oclusion'; did you mean occlusion"):
        open_attribution("oclusion", TOY)


@pytest.mark.parametrize("name", ATTRIBUTION_METHODS)
def test_every_method_refuses_an_analyst_without_probabilities(name: str) -> None:
    with pytest.raises(UsageError, match="toy:words gives no probabilities"):
        open_attribution(name, SilentAnalyst({}))


@pytest.mark.parametrize("name", [name for name, kind in ATTRIBUTION_METHODS.items() if kind.analyst])
def test_methods_of_one_kind_of_analyst_refuse_others(name: str) -> None:
    with pytest.raises(UsageError, match=rf"method {name} explains .* analysts, not toy; use occlusion"):
        open_attribution(name, TOY)


def test_any_analyst_is_explained_by_occlusion_unless_it_says_otherwise() -> None:
    assert default_method(TOY, "fast") == "occlusion"
    assert default_method(TOY, "full") == "hierarchical-occlusion"


def test_random_weights_depend_on_text_and_label_only() -> None:
    (first,), (again, other) = (
        attribute("random", ["So tired"]),
        attribute("random", ["So tired", "So very tired"]),
    )
    assert first == again
    assert len(first.weights) == len(first.units) == 2
    assert first.weights[0] != other.weights[0]
    assert -1 <= min(first.weights) <= max(first.weights) <= 1


def test_random_weights_favour_neither_side() -> None:
    (found,) = attribute("random", ["word " * 2000])
    # The standard error of the mean of 2,000 numbers from -1 to 1 is 0.0129.
    assert abs(np.mean(found.weights)) < 0.06


def test_weights_must_fit_the_units() -> None:
    with pytest.raises(ValueError, match="1 units have 2 weights"):
        Attribution("yes", ((0, 2),), (1.0, 2.0), "random")

"""SHAP and LIME through their libraries, on an analyst whose log-odds are a sum: both must find its weights."""

from __future__ import annotations

import pytest

from mentallama.attribution.base import Attribution
from mentallama.attribution.registry import open_attribution
from tests.factories.toy_analyst import WordSumAnalyst, make_example

TEXT = "So tired, rent is due. My garden"
WEIGHTS = {"tired": 2.0, "garden": -1.0, "rent": 0.5}
ANALYST = WordSumAnalyst(WEIGHTS, bias=0.25)


@pytest.fixture(autouse=True)
def _without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """shap compiles its loops when it is imported, which takes longer than all tests of it."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")


def attribute(method: str, text: str, label: str = "yes") -> Attribution:
    pytest.importorskip(method)
    (found,) = open_attribution(method, ANALYST).attribute([make_example(text)], [label])
    assert found.method == method
    return found


@pytest.mark.parametrize(("method", "tolerance"), [("shap", 1e-9), ("lime", 0.05)])
def test_weights_of_a_sum_are_found_again(method: str, tolerance: float) -> None:
    # The linear model that lime fits is penalised, so it comes close.
    found = attribute(method, TEXT, "no")
    assert [TEXT[start:end] for start, end in found.units] == [
        "So",
        "tired",
        "rent",
        "is",
        "due",
        "My",
        "garden",
    ]
    assert found.weights == pytest.approx([0, -2, -0.5, 0, 0, 0, 1], abs=tolerance)


@pytest.mark.parametrize("method", ["shap", "lime"])
@pytest.mark.parametrize(("text", "weights"), [("", ()), ("…", ()), ("Tired!", (2.0,))])
def test_texts_of_at_most_one_word(method: str, text: str, weights: tuple[float, ...]) -> None:
    assert attribute(method, text).weights == pytest.approx(weights, abs=0.05)

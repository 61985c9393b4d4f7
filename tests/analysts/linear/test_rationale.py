"""The reason written from evidence."""

from __future__ import annotations

import pytest

from mentallama.analysts.linear.rationale import Support, outweighing_spans, write_rationale
from mentallama.records import Span
from mentallama.tasks import ExplanationTemplate

REASON = ExplanationTemplate(
    evidence="It says {quotes}, {because}.",
    counter_evidence="Against it: {quotes}.",
    no_counter_evidence="Nothing against it.",
    inconclusive="Little to go by.",
    unsupported="Nothing speaks for it.",
)


def reason(text: str, *spans: tuple[int, int, float], support: Support = "clear") -> str:
    marked = [Span(start=start, end=end, weight=weight) for start, end, weight in spans]
    return write_rationale(REASON, text, marked, "as sad posts do", support)


def test_a_reason_with_both_sides() -> None:
    text = "numb days, sunny evenings"
    assert reason(text, (0, 4, 1.0), (11, 16, -0.5)) == (
        "It says “numb”, as sad posts do. Against it: “sunny”."
    )


def test_a_reason_with_nothing_against() -> None:
    assert reason("numb days", (0, 4, 1.0)) == "It says “numb”, as sad posts do. Nothing against it."


def test_a_reason_with_little_to_go_by() -> None:
    assert reason("") == "Little to go by."
    assert reason("numb days", (0, 4, 0.1), support="weak") == (
        "It says “numb”, as sad posts do. Little to go by."
    )
    assert reason("numb days", (0, 4, -0.1)) == "Against it: “numb”. Little to go by."


def test_a_reason_that_nothing_supports() -> None:
    assert reason("", support="none") == "Nothing speaks for it."
    assert reason("numb days", (0, 4, -0.1), support="none") == "Against it: “numb”. Nothing speaks for it."
    own = REASON.model_copy(update={"unsupported": None})
    assert write_rationale(own, "", (), "as sad posts do", "none") == "Little to go by."


@pytest.mark.parametrize(
    ("weights", "support", "kept"),
    [
        ((1.0, -0.5), "clear", (1.0, -0.5)),
        ((1.0, -0.5), "weak", (1.0, -0.5)),
        ((1.0, -0.5), "none", (-0.5,)),
        ((1.0, -0.6, -0.5), "clear", (-0.6, -0.5)),
        ((0.5, -0.5), "clear", (-0.5,)),
        ((), "clear", ()),
    ],
)
def test_supporting_spans_are_given_if_they_outweigh_the_others(
    weights: tuple[float, ...], support: Support, kept: tuple[float, ...]
) -> None:
    spans = tuple(Span(start=n, end=n + 1, weight=weight) for n, weight in enumerate(weights))
    assert tuple(span.weight for span in outweighing_spans(spans, support)) == kept


def test_a_wording_is_quoted_once() -> None:
    assert "“numb”, “so”," in reason("numb so Numb", (0, 4, 2.0), (5, 7, 1.0), (8, 12, 0.5))


def test_braces_in_a_post_are_only_braces() -> None:
    assert "“{quotes}”" in reason("{quotes}", (0, 8, 1.0))

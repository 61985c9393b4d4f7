"""The gate on quotations: which share may be absent from the post, and what its reason says."""

from __future__ import annotations

import pytest

from mentallama.check.gates.quote_grounding import check_quote_grounding
from tests.factories.gate_rows import row


@pytest.mark.parametrize(
    ("explanation", "threshold", "ok", "score"),
    [
        ("The post says “so quiet” and “Nobody calls me”.", 0.0, True, 0.0),
        ("The post says “so quiet” and “I lost my job”.", 0.0, False, 0.5),
        ("The post says “so quiet” and “I lost my job”.", 0.5, True, 0.5),
        ("The post says “I lost my job”.", 0.9, False, 1.0),
        ("The poster is lonely.", 0.0, True, None),
        ("The answer is “yes”, for “depression” shows.", 0.0, True, None),  # terms are not evidence
        ("The answer is “yes”, for “I lost my job” shows.", 0.5, False, 1.0),
    ],
)
def test_the_share_of_absent_quotations_decides(
    explanation: str, threshold: float, ok: bool, score: float | None
) -> None:
    verdict = check_quote_grounding(row(explanation), threshold)
    assert (verdict.ok, verdict.score, verdict.gate) == (ok, score, "quote_grounding")


def test_the_reason_counts_quotations_without_repeating_them() -> None:
    made = row("It says “we walked along the harbour” and “a plain lie” and “so quiet”.")
    verdict = check_quote_grounding(made, 0.0, other_post_quotes={"we walked along the harbour"})
    assert verdict.reason == "2 of 3 quotations not in the post, 1 of them in another post"

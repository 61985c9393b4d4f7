"""Evidence against the annotators' passages, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mentallama.explain.plausibility import plausibility
from mentallama.records import Span

WORDS = [(0, 2), (3, 8), (9, 11), (12, 17)]
WEIGHTS = np.array([0.1, 2.0, -1.0, 1.0])


def span(start: int, end: int, weight: float | None = None) -> Span:
    return Span(start=start, end=end, weight=weight)


def test_agreement_by_hand() -> None:
    found = plausibility(WORDS, WEIGHTS, [span(3, 11, 1.0), span(12, 17, -1.0)], [span(3, 8), span(12, 17)])
    # Quoted in favour: words 1 and 2, of which 1 is annotated. The passage (1, 2) shares 1 of 2 words with (1,), so it
    # matches one of two. By weight the words are 1, 3, 0, 2: both annotated ones come first.
    assert found is not None
    assert (found.token_f1, found.iou_f1, found.auprc) == pytest.approx((0.5, 2 / 3, 1.0))


def test_evidence_against_the_label_is_no_evidence_for_it() -> None:
    found = plausibility(WORDS, WEIGHTS, [span(3, 8, -1.0)], [span(3, 8)])
    assert found is not None
    assert (found.token_f1, found.iou_f1) == (0, 0)


@pytest.mark.parametrize("annotated", [[], [span(2, 3)]])
def test_without_annotated_words_there_is_nothing_to_compare_with(annotated: list[Span]) -> None:
    assert plausibility(WORDS, WEIGHTS, [span(3, 8, 1.0)], annotated) is None

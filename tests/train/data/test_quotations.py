"""Places of quotations in texts, and the threshold with the best F1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.records import Span
from mentallama.train.data.quotations import (
    best_threshold,
    overlapping,
    post_with_levels,
    quotation_ranges,
)
from tests.factories.answer_kinds import task_of_kind
from tests.factories.linear_cases import make_post, marked


def test_a_quotation_is_found_wherever_it_stands() -> None:
    found = quotation_ranges(
        task_of_kind("spans"), "up at 4, then up at 4 again", {"about": 'sleep: "up at 4"; low mood: "gone"'}
    )
    assert found == {"about: sleep": [(0, 7), (14, 21)], "about: low mood": []}
    assert quotation_ranges(task_of_kind("multi"), "up at 4", {"about": "sleep"}) == {}


def test_a_unit_overlaps_a_range_if_they_share_a_character() -> None:
    units = [(0, 0), (0, 2), (3, 5), (5, 7), (7, 9)]
    assert overlapping(units, [(4, 7)]).tolist() == [False, False, True, True, False]
    assert overlapping(units, [(0, 1), (8, 9)]).tolist() == [False, True, False, False, True]
    assert overlapping([], [(0, 1)]).tolist() == []


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=12))
def test_no_other_threshold_has_a_higher_f1(scored: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in scored], np.float64)
    positive = np.array([is_positive for _, is_positive in scored])

    def f1(threshold: float) -> float:
        chosen = scores > threshold
        return 2 * (chosen & positive).sum() / max(1, chosen.sum() + positive.sum())

    threshold = best_threshold(scores, positive)
    assert f1(threshold) == pytest.approx(max(f1(score - 0.5) for score in {*scores, 5.0}))


def test_evidence_stays_where_an_answer_is_a_single_decision() -> None:
    post = marked(make_post("synthetic-multi", "train", "up at 4", {"about": "sleep"}), "up")
    assert post_with_levels(task_of_kind("choice"), post) == post
    levels = post_with_levels(task_of_kind("multi"), post)
    assert (levels.labels["about: sleep"], levels.evidence) == ("present", {})


def test_quotations_are_the_evidence_of_their_types() -> None:
    post = make_post("synthetic-spans", "train", "up at 4, up at 4", {"about": 'sleep: "up at 4"'})
    found = post_with_levels(task_of_kind("spans"), post)
    assert found.labels == {"about: sleep": "present", "about: low mood": "absent"}
    assert found.evidence == {"about: sleep": (Span(start=0, end=7), Span(start=9, end=16))}

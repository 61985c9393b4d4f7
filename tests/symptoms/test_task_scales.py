"""Sums and bands of a task's own scale."""

from __future__ import annotations

import pytest

from mentallama.symptoms import score_answer
from tests.factories.answer_kinds import task_of_kind

SCALE = task_of_kind("scale", bands={"low": 0, "high": 3})


@pytest.mark.parametrize(
    ("label", "value", "band"),
    [
        ("sleep: not at all; energy: not at all", 0, "low"),
        ("sleep: not at all; energy: nearly every day", 2, "low"),
        ("sleep: several days; energy: nearly every day", 3, "high"),
        ("sleep: nearly every day; energy: nearly every day", 4, "high"),
    ],
)
def test_a_filled_scale_has_a_sum_and_a_band(label: str, value: int, band: str) -> None:
    score = score_answer(SCALE, label)
    assert (score.value, score.band, score.minimum, score.maximum, score.missing) == (value, band, 0, 4, ())


def test_an_item_that_is_not_filled_leaves_the_sum_open() -> None:
    score = score_answer(SCALE, "energy: nearly every day")
    assert (score.value, score.band, score.reason) == (None, None, "not filled: sleep")
    assert score_answer(SCALE, "none").missing == ("sleep", "energy")


def test_levels_count_by_their_own_scores_and_bands_may_be_left_out() -> None:
    labels = {
        name: {"answer": {"instruction": name, "completion": name}, "because": "x", "score": score}
        for name, score in (("never", 1), ("always", 7))
    }
    score = score_answer(task_of_kind("scale", labels=labels), "sleep: always; energy: never")
    assert (score.value, score.band, score.minimum, score.maximum) == (8, None, 2, 14)


def test_only_a_scale_has_a_sum() -> None:
    with pytest.raises(ValueError, match="dreaddit is of kind choice, and only a scale has a sum"):
        score_answer("dreaddit", "yes")
    with pytest.raises(ValueError, match="not an answer of synthetic-scale"):
        score_answer(SCALE, "hope: never")

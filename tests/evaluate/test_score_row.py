"""Scoring one row: a label read is right or wrong, everything else is wrong and no class."""

import pytest

from mentallama.evaluate.score_row import score_row
from mentallama.records import Example, Reading

EXAMPLE = Example(
    id="e1", post_id="p1", task="DR", question="depression", form="instruction", text="made up", label="yes"
)


def test_a_label_that_is_gold_is_right() -> None:
    row = score_row(EXAMPLE, Reading(status="parsed", label="yes"), {"yes": 0.8, "no": 0.2})
    assert (row.correct, row.predicted, row.probability) == (True, "yes", 0.8)
    # (0.8 - 1)² + (0.2 - 0)² = 0.04 + 0.04
    assert row.brier == pytest.approx(0.08)


@pytest.mark.parametrize("status", ["unparsed", "refused", "truncated"])
def test_what_is_not_read_is_wrong_and_has_no_label(status: str) -> None:
    row = score_row(EXAMPLE, Reading.model_validate({"status": status, "reason": "why"}), {})
    assert (row.correct, row.predicted, row.status) == (False, None, status)
    assert row.probability is None
    assert row.brier is None


def test_an_answer_that_is_not_read_is_still_judged_by_its_probabilities() -> None:
    # (0.5 - 1)² + (0.5 - 0)² = 0.5; there is no label whose probability could be named
    row = score_row(EXAMPLE, Reading(status="truncated", reason="length"), {"yes": 0.5, "no": 0.5})
    assert (row.brier, row.probability) == (0.5, None)


def test_without_a_gold_label_there_is_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="e1"):
        score_row(EXAMPLE.model_copy(update={"label": None}), Reading(status="parsed", label="yes"), {})

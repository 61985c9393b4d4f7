"""Right label for a right reason, worked by hand."""

from __future__ import annotations

import pytest

from mentallama.explanation_metrics.base import ExplanationRow
from mentallama.explanation_metrics.right_reason import has_right_reason, right_reason_score
from mentallama.explanation_metrics.scoring import summarize_rows
from mentallama.metrics.bootstrap import Resampling

CONSISTENT, INCONSISTENT = {"label_consistency": 100.0}, {"label_consistency": 0.0}
QUOTED, INVENTED = {"quotes_in_post": 100.0}, {"quotes_in_post": 50.0}
NOTHING_QUOTED = {"evidence": "no quotation"}


def row(
    number: int,
    predicted: str | None = "yes",
    values: dict[str, float] | None = None,
    unscored: dict[str, str] | None = None,
    absence: str | None = None,
) -> ExplanationRow:
    return ExplanationRow(
        example_id=f"e{number}",
        set="DR",
        question="depression",
        post_id=f"p{number}",
        gold="yes",
        predicted=predicted,
        absence=absence,
        values=values or {},
        unscored=unscored or {},
    )


ROWS = {
    "all three": row(0, values=CONSISTENT | QUOTED),
    "an invented quotation": row(1, values=CONSISTENT | INVENTED),
    "nothing quoted": row(2, values=CONSISTENT, unscored=NOTHING_QUOTED),
    "another label implied": row(3, values=INCONSISTENT | QUOTED),
    "wrong label": row(4, "no", CONSISTENT | QUOTED),
    "refused": row(5, None, absence="refused"),
    "right without a reason": row(6, absence="empty"),
    "unparsed": row(7, None, unscored={"label_consistency": "the answer has no label"}),
    "undecided": row(8, values=QUOTED, unscored={"label_consistency": "no words"}),
    "undecided and wrong": row(9, "no", values=QUOTED, unscored={"label_consistency": "no words"}),
}


@pytest.mark.parametrize("name", list(ROWS))
def test_an_answer_is_right_for_a_right_reason_only_if_all_three_hold(name: str) -> None:
    expected = {"all three": True, "undecided": None, "undecided and wrong": None}.get(name, False)
    assert has_right_reason(ROWS[name]) is expected


def test_shares_are_of_all_answers_that_could_be_decided() -> None:
    score = right_reason_score(list(ROWS.values()), Resampling(resamples=200))
    assert (score.n, score.undecided) == (8, 2)
    assert score.share == pytest.approx(100 / 8)
    assert score.right == pytest.approx(500 / 8)  # the first four, and the one without a reason
    assert score.consistent == pytest.approx(300 / 8)
    assert score.unquoted == pytest.approx(100 / 8)
    assert score.interval is not None
    assert 0 <= score.interval[0] <= 100 / 8 <= score.interval[1] <= 100


def test_a_set_in_which_nothing_could_be_decided_has_no_share() -> None:
    score = right_reason_score([ROWS["undecided"], ROWS["refused"]], Resampling(resamples=100))
    assert (score.n, score.undecided, score.share, score.interval) == (0, 1, None, None)


def test_answers_without_explanations_have_no_right_reason() -> None:
    rows = [ROWS["refused"], ROWS["right without a reason"]]
    score = right_reason_score(rows, Resampling(resamples=100))
    assert (score.n, score.undecided, score.share, score.right) == (2, 0, 0.0, 50.0)


def test_without_its_metrics_nothing_is_said_about_reasons() -> None:
    rows = [ROWS["all three"]]
    assert summarize_rows(rows, ["rouge1"], Resampling(resamples=100)).right_reason is None
    with_them = summarize_rows(rows, ["quotes_in_post", "label_consistency"], Resampling(resamples=100))
    assert with_them.right_reason is not None
    assert with_them.right_reason.share == 100.0

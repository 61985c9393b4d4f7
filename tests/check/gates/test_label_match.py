"""The teacher's label against the data set's, and reviewers' decisions."""

from __future__ import annotations

import pytest

from mentallama.check.gates.label_match import check_label_match
from mentallama.check.human_review.disagreements import Decisions, decision_key
from mentallama.check.response_rows import ResponseRow
from mentallama.check.selection import accepted_label
from tests.factories.check_cases import post_of, row_for

YES = "Yes, the poster suffers from depression. Reasoning: The days are said to be grey."


def row(label: str | None) -> ResponseRow:
    post = post_of("DR", "Another long grey week.", {} if label is None else {"depression": label})
    return row_for(post, "depression", YES)


def decided(word: str) -> Decisions:
    return Decisions({decision_key(row("no")): {"decision": word, "note": ""}})


def test_labels_that_agree_pass() -> None:
    verdict = check_label_match(row("yes"), Decisions())
    assert (verdict.gate, verdict.ok, verdict.reason) == ("label_match", True, None)
    assert accepted_label(row("yes"), Decisions()) == "yes"


@pytest.mark.parametrize(
    ("word", "accepted", "why"),
    [
        ("", None, "nobody has decided yet"),
        ("set", None, "the set's label is right; the response is dropped"),
        ("drop", None, "the response is dropped, whichever label is right"),
        ("teacher", "yes", None),
    ],
)
def test_a_decision_settles_a_label_disagreement(word: str, accepted: str | None, why: str | None) -> None:
    decisions = decided(word) if word else Decisions()
    verdict = check_label_match(row("no"), decisions)
    assert verdict.ok == (why is None)
    assert verdict.reason == (why and f"the teacher says 'yes', the set 'no'; {why}")
    assert accepted_label(row("no"), decisions) == accepted


def test_a_post_without_a_label_is_not_judged() -> None:
    verdict = check_label_match(row(None), Decisions())
    assert verdict.ok
    assert verdict.reason == "not judged: the set gives this post no label"
    assert accepted_label(row(None), Decisions()) == "yes"

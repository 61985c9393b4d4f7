"""Gate: the teacher's label is the set's label, or a person has decided for the teacher's."""

from __future__ import annotations

from mentallama.check.human_review.disagreements import DECISIONS, Decisions, disagrees
from mentallama.check.response_row import ResponseRow
from mentallama.records import Verdict

GATE = "label_match"


def check_label_match(row: ResponseRow, decisions: Decisions) -> Verdict:
    """Pass where the labels agree, and where the review file says `teacher`.

    A post without a label of its set's has nothing to be compared with and passes as not judged.
    """
    if row.example.label is None:
        return row.verdict(GATE).model_copy(update={"reason": "not judged: the set gives this post no label"})
    if not disagrees(row):
        return row.verdict(GATE)
    decision = decisions.get(row)
    if decision == "teacher":
        return row.verdict(GATE)
    labels = f"the teacher says {row.reading.label!r}, the set {row.example.label!r}"
    return row.verdict(GATE, f"{labels}; {DECISIONS[decision] if decision else 'nobody has decided yet'}")


def accepted_label(row: ResponseRow, decisions: Decisions) -> str | None:
    """The label that a row which passes is accepted with: the set's, or the teacher's where a person said so.

    None where the gate drops the row, and where neither gives a label.
    """
    if disagrees(row):
        return row.reading.label if decisions.get(row) == "teacher" else None
    return row.example.label or row.reading.label

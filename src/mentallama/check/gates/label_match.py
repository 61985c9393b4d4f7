"""Gate: the teacher's label is the data set's label, or a reviewer decided for the teacher's."""

from __future__ import annotations

from mentallama.check.gate import CorpusVerdicts, ResponseCorpus
from mentallama.check.human_review.disagreements import DECISIONS, Decisions, disagrees
from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict

GATE = "label_match"


def judge_label_match(corpus: ResponseCorpus, enabled: bool) -> CorpusVerdicts:
    """Compare every answer with the data set's label and with reviewers' decisions."""
    return CorpusVerdicts(check_label_match(row, corpus.decisions) for row in corpus.rows)


def check_label_match(row: ResponseRow, decisions: Decisions) -> Verdict:
    """Pass if the labels agree or the review file says `teacher`.

    A post without a label in its data set cannot be compared and passes as not judged.
    """
    if row.example.label is None:
        return row.not_judged(GATE, "the set gives this post no label")
    if not disagrees(row):
        return row.verdict(GATE)
    decision = decisions.get(row)
    if decision == "teacher":
        return row.verdict(GATE)
    labels = f"the teacher says {row.reading.label!r}, the set {row.example.label!r}"
    if row.task.kind == "spans":  # a reason holds no words of the post
        labels = "the teacher quotes other passages than the set"
    return row.verdict(GATE, f"{labels}; {DECISIONS[decision] if decision else 'nobody has decided yet'}")
